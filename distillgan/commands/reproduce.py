"""`distillgan reproduce FILE` and `distillgan again ID`: a sound made once more from what is known of it."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from distillgan import entry
from distillgan.audio.io import open_audio, printable
from distillgan.audio.tags import read_comment
from distillgan.commands.arguments import argument, single
from distillgan.data.generated import MARK
from distillgan.errors import UserError
from distillgan.generate import Made, generate
from distillgan.library.catalog import find_by_fingerprint, find_model
from distillgan.library.history import History
from distillgan.modellayout import read_header
from distillgan.paths import Home
from distillgan.recipe import arguments_of

EXIT_DIFFERENT = 1
_BLOCK = 1 << 16  # frames compared at once
_LARGEST_COMMENT = 1 << 20


def reproduce(arguments: argparse.Namespace) -> int:
    """A sound file alone: what made it is in its tags."""
    path = Path(arguments.file).expanduser()
    return _again(arguments, account_in(path), path, printable(path))


def again(arguments: argparse.Namespace) -> int:
    """A generation of the history, whether its file is still there or not."""
    generation = History(arguments.home).named([arguments.id])[0]
    path = generation.path
    return _again(arguments, generation.account, path if path.is_file() else None, f"generation {generation.id}")


def account_in(path: Path) -> dict[str, Any]:
    """What a generated file says of itself in its comment.

    Raises:
        UserError: it cannot be read, or says nothing, or nothing of this kind.
    """
    text = read_comment(path)
    try:
        account = json.loads(text) if 0 < len(text) < _LARGEST_COMMENT else None
    except (ValueError, RecursionError):
        account = None
    if not isinstance(account, dict) or MARK not in account or not isinstance(account.get("settings"), dict):
        raise UserError(
            f"{printable(path)}: its tags do not say how it was made: another program made it, or took them away. "
            "`distillgan history search` may still know it"
        )
    return account


def _again(arguments: argparse.Namespace, account: Mapping[str, Any], path: Path | None, title: str) -> int:
    out, home, given = arguments.out, arguments.home, entry.to_overrides(entry.steered(arguments.override))
    if account.get("interrupted"):
        out.say(f"{title} was broken off: it is made whole now")
    settings = {**account["settings"], **_models(home, account, out)}
    # Where it is written to is this user's business, not that of a file that may come from anyone.
    overrides = [f"paths.home={entry.quote(str(home.root))}", "export.overwrite=false", "export.file=null", *given]
    config = entry.composed("generate", arguments_of(settings, overrides) + overrides)
    made = generate(config, out.console)[0]
    verdict = _verdict(account, path, made)
    out.show(
        {"of": title, "path": str(made.path), "id": made.id, **verdict},
        lambda console: console.print(f"{title}: {verdict['words']}", markup=False),
    )
    return 0 if verdict["same"] else EXIT_DIFFERENT


def _models(home: Home, account: Mapping[str, Any], out) -> dict[str, Any]:
    """The models that made it, by the names they have now."""
    names = {}
    for model in account.get("models", []):
        name, fingerprint = str(model["name"]), str(model["fingerprint"])
        found = find_by_fingerprint(home, fingerprint)
        if found is None:
            there = read_header(find_model(home, name)).fingerprint
            out.say(f"warning: model {name} is {there} now, the sound was made by {fingerprint}: it will differ")
        else:
            names[name] = found.stem
    settings = account["settings"]
    listed = (settings.get("blend") or {}).get("models")
    if listed:
        renamed = [f"{names.get(name, name)}:{weight}" for name, _, weight in (word.partition(":") for word in listed)]
        return {"blend": {**settings["blend"], "models": renamed}}
    return {"model": {"name": next(iter(names.values()))}} if names else {}


def _verdict(account: Mapping[str, Any], path: Path | None, made: Made) -> dict[str, Any]:
    """Are the samples the same? By the file, where there is one, otherwise by what was noted of them."""
    same = account.get("sound") == made.account["sound"]
    if path is None:
        words = "the same samples" if same else "not the same samples (its file is gone: only their checksum tells)"
        return {"same": same, "largest_difference": None, "words": words}
    largest = _difference(path, made.path)
    if largest is None:
        return {"same": False, "largest_difference": None, "words": "not of the same length, rate or channels"}
    words = "the same samples" if largest == 0 else f"not the same samples: they differ by up to {largest:.2g}"
    return {"same": largest == 0, "largest_difference": largest, "words": words}


def _difference(first: Path, second: Path) -> float | None:
    """The largest difference between the samples of two files; None if they are not of one shape."""
    with open_audio(first) as a, open_audio(second) as b:
        if (a.frames, a.samplerate, a.channels) != (b.frames, b.samplerate, b.channels):
            return None
        largest = 0.0
        while len(left := _read(a)):
            largest = max(largest, float(np.abs(left - _read(b)).max()))
        return largest


def _read(file: sf.SoundFile) -> np.ndarray:
    return file.read(_BLOCK, dtype="float64", always_2d=True)


MORE = argument("override", nargs="*", help="further settings of generate, such as recording=FILE or device=cpu")


def main(given: list[str]) -> None:
    words = "make a sound again from its file alone, and compare"
    single("reproduce", words, reproduce, given, argument("file", help="a sound that distillgan made"), MORE)
