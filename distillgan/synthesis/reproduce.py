"""A sound made once more from what is known of it, and whether it is the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from distillgan.audio.io import open_audio, printable, read_blocks
from distillgan.audio.tags import read_comment
from distillgan.data.decode import MARK
from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home, check_name
from distillgan.store.history import Generation
from distillgan.store.library import find_by_fingerprint
from distillgan.synthesis.generation import RenderResult
from distillgan.synthesis.request import RenderRequest

_BLOCK = 1 << 16  # frames compared at once
_LARGEST_COMMENT = 1 << 20
_ROUNDING = 0.01  # seconds


@dataclass(frozen=True)
class Original:
    """A sound that is to be made again: what made it, its file if there is one, and what it is called in messages."""

    metadata: Mapping[str, Any]
    path: Path | None
    title: str

    @classmethod
    def of_file(cls, path: Path) -> "Original":
        """What a generated file says of itself in its comment.

        Raises:
            UserError: it cannot be read, or says nothing, or nothing of this kind.
        """
        text = read_comment(path)
        try:
            metadata = json.loads(text) if 0 < len(text) < _LARGEST_COMMENT else None
        except (ValueError, RecursionError):
            metadata = None
        if not _is_metadata(metadata):
            raise UserError(
                f"{printable(path)}: its tags do not say how it was made: another program made it, or took them away. "
                "`distillgan history search` may still know it"
            )
        with open_audio(path) as file:
            seconds = (file.frames or 0) / file.samplerate
        _check_foreign(metadata, seconds, printable(path))
        return cls(metadata, path, printable(path))

    @classmethod
    def of_history(cls, generation: Generation) -> "Original":
        """A generation, whether its file is still there or not."""
        path = generation.path
        return cls(generation.metadata, path if path.is_file() else None, f"generation {generation.id}")

    @property
    def broken_off(self) -> bool:
        """Whether it is the beginning of what its settings say."""
        return bool(self.metadata.get("interrupted"))

    def request(self, home: Home) -> tuple[RenderRequest, list[str]]:
        """What makes it again in this home, and what is to be known before.

        Raises:
            UserError: what is known of it are no settings of a sound, or its model is gone.
        """
        notes = []
        if self.broken_off:
            notes.append(f"{self.title} was broken off: it is made whole now, and cannot be compared")
        settings = self.metadata["settings"]
        request = RenderRequest.from_dict({**settings, **models_now(home, self.metadata, notes)})
        # Where it is written to is this user's business, not that of a file that may come from anyone.
        return replace(request, home=home.root, export=replace(request.export, file=None, overwrite=False)), notes

    def verdict(self, made: RenderResult) -> "Verdict":
        """Are the samples the same? By the file, where there is one, otherwise by what was noted of them."""
        if self.broken_off:
            return Verdict(None, None, "it was broken off, here it is whole")
        same = self.metadata.get("sound") == made.metadata["sound"]
        if self.path is None:
            words = "the same samples" if same else "not the same samples (its file is gone: only their checksum tells)"
            return Verdict(same, None, words)
        largest = _difference(self.path, made.path)
        if largest is None:
            return Verdict(False, None, "not of the same length, rate or channels")
        words = "the same samples" if largest == 0 else f"not the same samples: they differ by up to {largest:.2g}"
        return Verdict(largest == 0, largest, words)


@dataclass(frozen=True)
class Verdict:
    """Whether two sounds are the same; the largest difference between samples. None where it cannot be told."""

    same: bool | None
    largest_difference: float | None
    words: str


def models_now(home: Home, metadata: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The settings that name the models that made a sound, by the names they have now; what differs goes to `notes`.

    Raises:
        UserError: one is gone.
    """
    names = {}
    for model in metadata.get("models", []):
        name, fingerprint = str(model["name"]), str(model["fingerprint"])
        found = find_by_fingerprint(home, fingerprint)
        if found is None:
            there = read_header(_by_name(home, name)).fingerprint
            notes.append(f"warning: model {name} is {there} now, the sound was made by {fingerprint}: it will differ")
        else:
            names[name] = found.stem
    settings = metadata["settings"]
    listed = (settings.get("blend") or {}).get("models")
    if listed:
        renamed = [f"{names.get(name, name)}:{weight}" for name, _, weight in (word.partition(":") for word in listed)]
        return {"blend": {**settings["blend"], "models": renamed}}
    return {"model": {"name": next(iter(names.values()))}} if names else {}


def _is_metadata(metadata: object) -> bool:
    """Whether it has the shape of what `generate` writes, as far as it is made use of."""
    if not isinstance(metadata, dict) or MARK not in metadata:
        return False
    settings, models = metadata.get("settings"), metadata.get("models")
    if not isinstance(settings, dict) or not isinstance(models, list) or not models:
        return False
    blend = settings.get("blend") or {}
    listed = blend.get("models") or [] if isinstance(blend, dict) else None
    return all(
        isinstance(model, dict) and isinstance(model.get("name"), str) and isinstance(model.get("fingerprint"), str)
        for model in models
    ) and (isinstance(listed, list) and all(isinstance(word, str) for word in listed))


def _check_foreign(metadata: Mapping[str, Any], seconds: float, title: str) -> None:
    """Raises UserError for what no generated file says of itself: it names no path, and is as long as it says."""
    settings, duration = metadata["settings"], metadata["settings"].get("duration")
    names = [model["name"] for model in metadata["models"]]
    names += [word.partition(":")[0] for word in (settings.get("blend") or {}).get("models") or []]
    for name in names:
        check_name(name)
    spatial = settings.get("spatial") or {}
    for path in (settings.get("recording"), spatial.get("sofa") if isinstance(spatial, dict) else None):
        if path is not None and (not isinstance(path, str) or "/" in path or "\\" in path):
            raise UserError(f"{title}: its tags name a path, {path!r}, which no generated file does")
    if isinstance(duration, int | float) and not metadata.get("interrupted") and abs(duration - seconds) > _ROUNDING:
        raise UserError(
            f"{title}: lasts {seconds:.1f} s, but its tags are those of a sound of {duration:g} s: it was cut, or they "
            "are another's"
        )


def _by_name(home: Home, name: str) -> Path:
    """A model by its whole name: another that begins so is another. Raises UserError if it is gone."""
    path = home.model(check_name(name))
    if not path.exists():
        raise UserError(f"model {name}, which made it, is not in {home.models} any more, under any name")
    return path


def _difference(first: Path, second: Path) -> float | None:
    """The largest difference between the samples of two files; None if they are not of one shape."""
    with open_audio(first) as a, open_audio(second) as b:
        if (a.frames, a.samplerate, a.channels) != (b.frames, b.samplerate, b.channels):
            return None
        largest = 0.0
        for left, right in zip_longest(read_blocks(a, _BLOCK), read_blocks(b, _BLOCK)):
            if left is None or right is None or left.shape != right.shape:
                return None
            largest = max(largest, float(np.abs(left - right).max()))
        return largest
