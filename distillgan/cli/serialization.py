"""The arguments of `generate` that say what kept settings say."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from distillgan.cli.overrides import quote
from distillgan.errors import UserError
from distillgan.synthesis.generation import GROUPS, PLAIN, is_plain

_NODES = {"model": ("name",), "blend": ("models", "mode")}
_LEVEL = ("loudness", "peak")  # of `export`: the same for every format
_NAME = re.compile(r"[a-z]\w*", re.ASCII)
_DEVICES = ("auto", "cpu", "cuda", "mps")


def recorded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that a sound or a preset was kept with, as they were meant: of older builds with a level as of then."""
    export = settings.get("export")
    if isinstance(export, Mapping) and "loudness" in export:
        return dict(settings)
    if export is not None and not isinstance(export, Mapping):
        return dict(settings)
    return {**settings, "export": {"loudness": "off", "peak": None, **(export or {"name": "wav"})}}


def arguments_of(settings: Mapping[str, Any], given: Sequence[str] = ()) -> list[str]:
    """Arguments for `generate` that say what `settings` say, as far as those `given` say nothing of it.

    The settings may come from a stranger's file: only what is known is taken, and every text is quoted, so that
    nothing in it is read as more than a text.

    Raises:
        UserError: a value is of no kind that `generate` takes.
    """
    said = {argument.partition("=")[0].lstrip("-+~") for argument in given}
    found: list[tuple[str, str]] = []
    for key in PLAIN:
        if key in settings:
            found.append((key, _text(key, settings[key])))
    for node, keys in _NODES.items():
        for key in keys:
            if key in _mapping(settings, node):
                found.append((f"{node}.{key}", _text(f"{node}.{key}", settings[node][key])))
    if settings.get("vocoder") is not None:
        found.append(("vocoder", _group("vocoder", settings["vocoder"])))
    for group in GROUPS:
        values = _mapping(settings, group)
        own = "name" in values and group not in said  # otherwise another group is chosen, with values of its own
        if own:
            found.append((group, _group(group, values["name"])))
        kept = [key for key in values if key != "name" and (own or (group == "export" and key in _LEVEL))]
        found += [(f"{group}.{_name(key)}", _text(key, values[key])) for key in kept]
    for name, value in _mapping(settings, "controls").items():
        found.append((f"controls.{_name(name)}", _text(name, value)))
    if said & {"model.name", "blend.models"}:  # of the two that exclude each other the given one holds
        found = [(key, value) for key, value in found if key not in ("model.name", "blend.models")]
    return [f"{'++' if key.startswith('controls.') else ''}{key}={value}" for key, value in found if key not in said]


def written(value: Any) -> str:
    """A Python value as the command line has it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(written(item) for item in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, int | float) else quote(os.fspath(value))


def _mapping(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = settings.get(key) or {}
    if not isinstance(value, Mapping):
        raise UserError(f"{key}={value!r} must be a table of names and values")
    return value


def _name(key: Any) -> str:
    if not isinstance(key, str) or not _NAME.fullmatch(key):
        raise UserError(f"{key!r} is no name of a setting")
    return key


def _group(key: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"{key}={name!r} is no choice of {key}")
    return name


def _text(key: str, value: Any) -> str:
    if key == "device" and value not in _DEVICES:
        raise UserError(f"device={value!r} must be one of {', '.join(_DEVICES)}")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return f"[{','.join(quote(item) for item in value)}]"
    if not is_plain(value):
        raise UserError(f"{key}={value!r} is of no kind that can be set")
    if isinstance(value, str):
        return value if key == "device" else quote(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
