"""Two sounds as loud as each other, so that the ear compares what they are and not how loud they are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distillgan.audio.formats import Wav
from distillgan.audio.io import iter_audio, printable
from distillgan.audio.loudness import Loudness, measure
from distillgan.audio.tags import Tags
from distillgan.errors import UserError

PEAK_DB = -1.0  # dBFS, the most that a matched sound has
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Matched:
    """The copies, what their sounds were, and what each was turned by (dB)."""

    paths: tuple[Path, Path]
    loudness: tuple[Loudness, Loudness]
    gains_db: tuple[float, float]

    @property
    def lufs(self) -> float:
        """Of either copy."""
        return self.loudness[0].lufs + self.gains_db[0]


def match(sounds: tuple[Path, Path], copies: tuple[Path, Path]) -> Matched:
    """Copy both as 24-bit WAV, as loud as the quieter one, or less where a peak would be over -1 dBFS.

    Raises:
        UserError: a sound cannot be read, or is silent; the disk refuses.
    """
    first, second = measure(sounds[0]), measure(sounds[1])
    for path, loudness in zip(sounds, (first, second), strict=True):
        if not math.isfinite(loudness.lufs):
            raise UserError(f"{printable(path)}: silent (under -70 LUFS): there is no loudness to match")
    gains = gains_db(first, second)
    for sound, copy, loudness, gain in zip(sounds, copies, (first, second), gains, strict=True):
        Wav(loudness.rate).write(copy, _turned(sound, gain), loudness.shape, Tags(title=copy.stem))
    return Matched(copies, (first, second), gains)


def gains_db(first: Loudness, second: Loudness) -> tuple[float, float]:
    """What brings both to one loudness (dB): the quieter one's, or as much less as keeps the peaks at -1 dBFS."""
    both = (first, second)
    target = min(item.lufs for item in both)
    over = max(target - item.lufs + 20 * math.log10(item.peak) - PEAK_DB for item in both)
    target -= max(0.0, over)
    return target - first.lufs, target - second.lufs


def _turned(path: Path, gain_db: float) -> Iterator[np.ndarray]:
    gain = np.float32(10 ** (gain_db / 20))
    for block in iter_audio(path, _BLOCK):
        yield gain * block
