"""Finding model files by name, path or age."""

from pathlib import Path

from distillgan.errors import UserError
from distillgan.paths import MODEL_SUFFIX, Home


def models_in(home: Home) -> list[Path]:
    """The model files of the library, latest first."""
    whole = (path for path in home.models.glob(f"*{MODEL_SUFFIX}") if path.is_file() and not path.name.startswith("."))
    return sorted(whole, key=lambda path: (-path.stat().st_mtime_ns, path.name))


def find_model(home: Home, model: str | None) -> Path:
    """A model's name, the path of its file, or None for the latest → its path.

    Raises:
        UserError: there is none; lists those there are.
    """
    if model is None:
        there = models_in(home)
        if not there:
            raise UserError(f"no model in {home.models} yet: train one with `python -m distillgan.train`")
        return there[0]
    model = str(model)  # a name of digits comes from the command line as a number
    path = Path(model).expanduser()
    if (path.suffix or "/" in model) and path.is_file():
        return path
    named = home.models / f"{model}{MODEL_SUFFIX}"
    if named.exists():
        return named
    names = ", ".join(path.stem for path in models_in(home)) or "none yet"
    raise UserError(f"model={model}: no such model or file. Models in {home.models}: {names}")
