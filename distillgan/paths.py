"""Where conf/, vendor/, the models, the runs and the cache are."""

import os
import re
from pathlib import Path

from distillgan.errors import UserError

_PACKAGE = Path(__file__).resolve().parent

MODEL_SUFFIX = ".distillgan"
MAX_NAME = 80
CONFIG, MANIFEST = "config.yaml", "manifest.json"  # of a run, in its folder


def conf_dir() -> Path:
    """Hydra's config folder: the copy inside an installed wheel, else ../conf of a checkout."""
    packaged = _PACKAGE / "conf"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "conf"


def vendor_dir() -> Path:
    """vendor/ with the pins: inside an installed wheel, else ../vendor of a checkout."""
    packaged = _PACKAGE / "vendor"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "vendor"


def default_home() -> Path:
    """`paths.home` when no override is given: $DISTILLGAN_HOME, else ./experiments."""
    return Path(os.environ.get("DISTILLGAN_HOME") or "experiments")


def is_name(name: str) -> bool:
    """Can it name a run and a model file on every system?"""
    return len(name) <= MAX_NAME and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) is not None


def check_name(name: str) -> str:
    """Return `name` if it can name a run and a model file on every system.

    Raises:
        UserError: empty, longer than 80 characters, or with characters other than letters, digits, `_`, `-`, `.`.
    """
    if not is_name(name):
        raise UserError(
            f"name={name!r} cannot name a model: use 1 to {MAX_NAME} letters, digits, '_', '-' or '.', "
            "starting with a letter, a digit or '_'"
        )
    return name


def name_from_path(path: Path) -> str:
    """A valid name made from that of a folder or file."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", path.resolve().name).strip("._-")[:MAX_NAME] or "model"


class Home:
    """The folder that holds all that is made: runs/, models/, audio/ and cache/."""

    def __init__(self, root: str | Path):
        """Makes the folder if it is missing. Raises UserError if that cannot be."""
        if not str(root or "").strip():
            raise UserError("paths.home is empty: name a folder, or leave it out for ./experiments")
        try:
            self.root = Path(str(root)).expanduser().resolve()
            self.root.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:
            raise UserError(f"paths.home={root} cannot be used ({error}): name a folder that can be written") from error
        self.runs = self.root / "runs"
        self.models = self.root / "models"
        self.audio = self.root / "audio"
        self.sweeps = self.root / "sweeps"
        self.decoded = self.root / "cache" / "audio"
        self.demo = self.root / "cache" / "demo"

    def run(self, name: str) -> Path:
        return self.runs / name

    def lock(self, name: str) -> Path:
        """The file that is locked while the run or the model of this name is being changed."""
        return self.runs / f".{name}.lock"

    def process(self, name: str) -> Path:
        """The file that says which process trains this name, while it does."""
        return self.runs / f".{name}.process"

    def training(self, name: str) -> Path:
        """What the page notes of the trainings of this name that it starts."""
        return self.root / "trainings" / name

    def model(self, name: str) -> Path:
        return self.models / f"{name}{MODEL_SUFFIX}"
