"""Comparison of two entries of the history: settings, measurements, and copies of one loudness to listen to."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distillgan.audio.formats import Wav
from distillgan.audio.io import iter_audio, printable
from distillgan.audio.loudness import Loudness, measure
from distillgan.audio.tags import Tags
from distillgan.errors import UserError
from distillgan.features.descriptors import DESCRIPTORS
from distillgan.paths import Home, current_kind
from distillgan.store import history_files
from distillgan.store.history import Generation, flat

PEAK_DB = -1.0  # dBFS, the most that a matched sound has
_BLOCK = 1 << 16
_RESULTS = ("settings", "models", "check", "sound", "gain_db", "level")
_LEVELS = {"peak_db": "dBFS", "rms_db": "dBFS", "lufs": "LUFS", "true_peak_db": "dBTP"}


@dataclass(frozen=True)
class Matched:
    """Two copies of one loudness, the loudness of their sounds, and the gain of each (dB)."""

    paths: tuple[Path, Path]
    loudness: tuple[Loudness, Loudness]
    gains_db: tuple[float, float]

    @property
    def lufs(self) -> float:
        """Integrated loudness of either copy."""
        return self.loudness[0].lufs + self.gains_db[0]

    def to_dict(self) -> dict:
        """The paths, the sounds' loudness and the gains, for JSON."""
        return {
            "paths": list(map(str, self.paths)),
            "lufs": [round(item.lufs, 2) for item in self.loudness],
            "gains_db": [round(gain, 2) for gain in self.gains_db],
        }


@dataclass(frozen=True)
class Difference:
    """A parameter that two sounds do not share; None where one has none."""

    key: str
    first: object
    second: object


@dataclass(frozen=True)
class Measurement:
    """A measurement of two sounds, in the unit that people read; None where there was nothing to measure."""

    name: str
    unit: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first


def match(sounds: tuple[Path, Path], copies: tuple[Path, Path]) -> Matched:
    """Copy both as 24-bit WAV, as loud as the quieter one, or less where a peak would be over -1 dBFS.

    Raises UserError if a sound cannot be read or is silent, or if the disk refuses.
    """
    first, second = measure(sounds[0]), measure(sounds[1])
    for path, loudness in zip(sounds, (first, second), strict=True):
        if not math.isfinite(loudness.lufs):
            raise UserError(f"{printable(path)}: silent (under -70 LUFS): there is no loudness to match")
    gains = gains_db(first, second)
    for sound, copy, loudness, gain in zip(sounds, copies, (first, second), gains, strict=True):
        Wav(loudness.rate).write(copy, _with_gain(sound, gain), loudness.shape, Tags(title=copy.stem))
    return Matched(copies, (first, second), gains)


def gains_db(first: Loudness, second: Loudness) -> tuple[float, float]:
    """Gains (dB) to the loudness of the quieter one, or to as much less as keeps the peaks at -1 dBFS."""
    both = (first, second)
    target = min(item.lufs for item in both)
    over = max(target - item.lufs + 20 * math.log10(item.peak) - PEAK_DB for item in both)
    target -= max(0.0, over)
    return target - first.lufs, target - second.lufs


def _with_gain(path: Path, gain_db: float) -> Iterator[np.ndarray]:
    gain = np.float32(10 ** (gain_db / 20))
    for block in iter_audio(path, _BLOCK):
        yield gain * block


def differences(first: Mapping, second: Mapping) -> list[Difference]:
    """Settings, models, vocoder and versions that differ between two accounts."""
    mine, other = _parameters(first), _parameters(second)
    keys = dict.fromkeys([*mine, *other])
    return [Difference(key, mine.get(key), other.get(key)) for key in keys if mine.get(key) != other.get(key)]


def measurements(first: Mapping, second: Mapping) -> list[Measurement]:
    """Levels and descriptors of two accounts, whether they differ or not; those that neither has are left out."""
    mine, other = first.get("check") or {}, second.get("check") or {}
    levels = [{**found, **(account.get("level") or {})} for account, found in ((first, mine), (second, other))]
    rows = [Measurement(name, unit, *(found.get(name) for found in levels)) for name, unit in _LEVELS.items()]
    mine, other = mine.get("descriptors") or {}, other.get("descriptors") or {}
    rows += [Measurement(item.name, item.unit, mine.get(item.name), other.get(item.name)) for item in DESCRIPTORS]
    return [row for row in rows if (row.first, row.second) != (None, None)]


def copies(home: Home, first: Generation, second: Generation) -> tuple[Matched | None, str]:
    """Equally loud copies of both in `paths.home`/audio/compare; or None, and the reason."""
    for entry in (first, second):
        fault = history_files.fault(entry)
        if fault:
            return None, f"{printable(entry.path)} of entry {entry.id}: {fault}"
    folder = home.audio / "compare"
    names = [f"{first.id}-{second.id}_{side}_{e.path.stem}.wav" for side, e in (("A", first), ("B", second))]
    try:
        return match((first.path, second.path), (folder / names[0], folder / names[1])), ""
    except UserError as error:
        return None, str(error)


def _parameters(account: Mapping) -> dict[str, object]:
    found = flat(account.get("settings"))
    for number, model in enumerate(account.get("models") or [], 1):
        # Its controls are those of the settings.
        found |= flat({key: value for key, value in model.items() if key != "controls"}, f"models.{number}")
    found |= flat({key: value for key, value in account.items() if key not in _RESULTS})
    return found | ({"vocoder": current_kind(str(found["vocoder"]))} if "vocoder" in found else {})
