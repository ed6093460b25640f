"""Finding model files by name, the beginning of a name, path, age or fingerprint."""

from pathlib import Path

from distillgan.errors import UserError
from distillgan.modellayout import read_header
from distillgan.paths import MODEL_SUFFIX, Home, composed

_NAMES_SHOWN = 10


def models_in(home: Home) -> list[Path]:
    """The model files of the library, latest first."""
    whole = (path for path in home.models.glob(f"*{MODEL_SUFFIX}") if path.is_file() and not path.name.startswith("."))
    return sorted(whole, key=lambda path: (-path.stat().st_mtime_ns, path.name))


def find_model(home: Home, model: str | None) -> Path:
    """The path of a file, a name as `find_named`, or None for the latest → its path.

    Raises:
        UserError: there is none, or several; lists those there are.
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
    return find_named(home, model)


def find_named(home: Home, name: str) -> Path:
    """The model of the library that has this name or, if none has, the one whose name begins so.

    Raises:
        UserError: there is none, or several begin so; lists them.
    """
    named = home.model(name)
    if named.exists() or named.is_symlink():  # a link to nowhere is found, too: whoever reads it says what is wrong
        return named
    there = models_in(home)
    begun = [path for path in there if name and composed(path.stem).startswith(composed(name))]
    exact = [path for path in begun if composed(path.stem) == composed(name)]  # from a disk that writes them otherwise
    if len(exact or begun) == 1:
        return (exact or begun)[0]
    if begun:
        raise UserError(f"model={name}: several names begin so: {_names(begun)}. Write more of it")
    raise UserError(f"model={name}: no such model or file. Models in {home.models}: {_names(there) or 'none yet'}")


def find_by_fingerprint(home: Home, fingerprint: str) -> Path | None:
    """The latest model with these weights, whatever it is called by now; None if there is none that can be read."""
    for path in models_in(home):
        try:
            if read_header(path).fingerprint == fingerprint:
                return path
        except UserError:  # damaged: not the one that is looked for
            continue
    return None


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - _NAMES_SHOWN} more" if len(paths) > _NAMES_SHOWN else ""
    return ", ".join(path.stem for path in paths[:_NAMES_SHOWN]) + more
