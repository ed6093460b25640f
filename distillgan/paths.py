"""Where conf/, the models, the runs and the cache are."""

import os
import re
import sys
import unicodedata
from functools import cache
from pathlib import Path

import platformdirs

from distillgan.errors import UserError

_PACKAGE = Path(__file__).resolve().parent

MODEL_SUFFIX = ".distillgan"
MAX_NAME, MAX_BYTES = 80, 150  # characters; file systems take 255 bytes, and endings come to it
CONFIG, MANIFEST = "config.yaml", "manifest.json"  # of a run, in its folder
RENAMED = {"vocos": "harmonic"}  # kinds of vocoders as files and commands of older versions call them → as they are now

_OF_A_HOME = (f"models/*{MODEL_SUFFIX}", "runs/*/vae", "library.sqlite")


def conf_dir() -> Path:
    """Hydra's config folder: the copy inside an installed wheel, else ../conf of a checkout."""
    packaged = _PACKAGE / "conf"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "conf"


def default_home() -> Path:
    """The home if `paths.home` names none: $DISTILLGAN_HOME, else outputs/ of a checkout, else the user's data folder.

    Versions before 0.2 kept everything in experiments/ of the current folder. Such a home is used for as long as it
    holds something and the new one does not. A line on standard error says so, as it does where it is passed over.
    """
    if told := os.environ.get("DISTILLGAN_HOME"):
        return Path(told)
    checkout = None if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent
    home = platformdirs.user_data_path("distillgan", appauthor=False) if checkout is None else checkout / "outputs"
    before = [Path("experiments"), *([] if checkout is None else [checkout / "experiments"])]
    old = next((folder.absolute() for folder in before if _is_home(folder)), None)
    if old is None:
        return home
    if _is_home(home):
        _note(f"note: {home} is used. {old} is a home of an earlier version: DISTILLGAN_HOME={old} uses that one")
        return home
    _note(f"note: {old} is used, the home of an earlier version, until what it holds is moved to {home}")
    return old


def _is_home(folder: Path) -> bool:
    """Does it hold a model, a run or a library? A folder experiments/ may be another project's."""
    return any(next(folder.glob(pattern), None) for pattern in _OF_A_HOME)


@cache
def _note(line: str) -> None:
    """Once in a process."""
    print(line, file=sys.stderr)


def current_kind(kind: str) -> str:
    """The name that a kind of vocoder has now."""
    return RENAMED.get(kind, kind)


def stage_folder(run: Path, stage: str) -> Path:
    """The folder of a stage within that of a run; of a run that an older version began, by the stage's old name."""
    names = [stage, *(old for old, new in RENAMED.items() if new == stage)]
    return next((run / name for name in names if (run / name).exists()), run / stage)


def is_name(name: str) -> bool:
    """Whether it can name a run and a model file on every system."""
    name = composed(name)
    return (
        0 < len(name) <= MAX_NAME
        and len(name.encode("utf-8", "surrogatepass")) <= MAX_BYTES
        and (name[0].isalnum() or name[0] == "_")
        and all(_in_names(sign) for sign in name)
    )


def check_name(name: str) -> str:
    """Return `name`, in composed form (`composed`), if it can name a run and a model file on every system.

    Raises:
        UserError: empty, longer than 80 characters or 150 bytes, or with characters other than letters and digits of
            any script, `_`, `-`, `.`.
    """
    if not is_name(name):
        raise UserError(
            f"name={name!r} cannot name a model: use 1 to {MAX_NAME} letters, digits, '_', '-' or '.' (of any script, "
            f"{MAX_BYTES} bytes in UTF-8 at most), starting with a letter, a digit or '_'"
        )
    return composed(name)


def composed(name: str) -> str:
    """The name with each letter and its marks as one character where Unicode has one (NFC): ö is one, not o and ¨.

    Some disks and keyboards write the other form, which looks the same.
    """
    return unicodedata.normalize("NFC", name)


def name_from_path(path: Path) -> str:
    """A valid name made from that of a folder or file."""
    return shortened(in_name(path.resolve().name).strip("._-"), MAX_NAME, MAX_BYTES) or "model"


def in_name(text: str) -> str:
    """The text with what cannot be in a name as `_`, one for each stretch of it."""
    return re.sub("\0+", "_", "".join(sign if _in_names(sign) else "\0" for sign in composed(text)))


def shortened(text: str, letters: int, size: int) -> str:
    """The beginning of a text, of at most so many characters and bytes in UTF-8."""
    return text[:letters].encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def _in_names(sign: str) -> bool:
    """A letter or digit of any script, or a mark on one, as Hindi writes vowels; or one of three signs."""
    return sign in "_.-" or sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc")


class Home:
    """The folder that holds all that is made: runs/, models/, audio/ and cache/."""

    def __init__(self, root: str | os.PathLike[str]):
        """Makes the folder if it is missing. Raises UserError if that cannot be."""
        if not str(root or "").strip():
            raise UserError("paths.home is empty: name a folder, or leave it out")
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
        return self.runs / composed(name)

    def lock(self, name: str) -> Path:
        """The file that is locked while the run or the model of this name is being changed."""
        return self.runs / f".{composed(name)}.lock"

    def process(self, name: str) -> Path:
        """The file that says which process trains this name, while it does."""
        return self.runs / f".{composed(name)}.process"

    def training(self, name: str) -> Path:
        """What the page notes of the trainings of this name that it starts."""
        return self.root / "trainings" / composed(name)

    def model(self, name: str) -> Path:
        return self.models / f"{composed(name)}{MODEL_SUFFIX}"
