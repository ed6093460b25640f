"""What generate tells of a sound, its account: the parts that are listed, searched and compared."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from distillgan.errors import printable


def model_names(account: Mapping) -> list[str]:
    return [str(model["name"]) for model in account.get("models") or [] if model.get("name")]


def title(account: Mapping) -> str:
    """The models that play, as one name: that of the only one, or `rain + wind` for a blend."""
    return " + ".join(model_names(account))


def fingerprint(account: Mapping) -> str:
    """The models', in the order of `title`."""
    return " + ".join(str(model.get("fingerprint", "")) for model in account.get("models") or [])


def flat(values: object, key: str = "") -> dict[str, object]:
    """Nested settings → dotted key: value; lists stay values, and what is None is left out."""
    if isinstance(values, Mapping):
        found = {}
        for name, value in values.items():
            found |= flat(value, f"{key}.{name}" if key else str(name))
        return found
    return {} if values is None else {key: values}


def told(value: object) -> str:
    """A value for people: 5.0 is 5."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value))
    return printable(str(value))


def search_text(account: Mapping, path: Path) -> str:
    """What a search looks through: a line for each model, setting (`controls.brightness=5`) and the file."""
    return "".join(f"{_folded(line)}\n" for line in _lines(account, path))


def search_word(word: str) -> str:
    """A word as it stands in a search text; `name=value` ends its line, so that seed=3 is not seed=31."""
    name, equals, value = word.partition("=")
    if not equals:
        return _folded(word)
    if re.fullmatch(r"[+-]?\d{1,15}(\.\d{0,15})?", value):
        value = told(float(value)) if "." in value else str(int(value))
    return f"{_folded(f'{name}={value}')}\n"


def _lines(account: Mapping, path: Path) -> Iterator[str]:
    yield printable(path)
    for name in model_names(account):
        yield f"model={name}"
    for name in ("vocoder", "seed"):
        if account.get(name) is not None:
            yield f"{name}={told(account[name])}"
    for key, value in flat(account.get("settings")).items():
        yield f"{key}={told(value)}"


def _folded(text: str) -> str:
    """Upper and lower case, and the ways to write an accent, are one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
