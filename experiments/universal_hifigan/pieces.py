"""A sound file → mono pieces of at most 20 s at 44.1 kHz, written as FLAC."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 44100
LONGEST_SECONDS = 20.0
SHORTEST_SECONDS = 0.08  # what distillgan reads begins at 0.05 s
_SILENT = 2.0**-15  # the smallest step of 16 bits: what lies below is digital silence
_FINE = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE"}


class Unfit(Exception):
    """A file that is no use to this corpus; the text says why."""


def load(path: Path) -> tuple[np.ndarray, str]:
    """A file's mono sound at 44.1 kHz without its silent ends, float32 [N] within ±1, and its FLAC subtype."""
    subtype = "PCM_24" if soundfile.info(path).subtype in _FINE else "PCM_16"
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate < SAMPLE_RATE:
        raise Unfit(f"recorded at {rate} Hz: nothing above {rate // 2} Hz")
    if not np.isfinite(sound).all():
        raise Unfit("NaN or infinite samples")
    mono = sound.mean(axis=1)
    powers = np.square(sound).sum(axis=0)
    if np.square(mono).sum() < 0.05 * powers.mean():  # the channels cancel out
        mono = sound[:, powers.argmax()]
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE, quality="VHQ")
    mono = trim(mono)
    if len(mono) < SHORTEST_SECONDS * SAMPLE_RATE:
        raise Unfit(f"{len(mono) / SAMPLE_RATE:.3f} s of sound, at least {SHORTEST_SECONDS} s are needed")
    return mono / max(1.0, float(np.abs(mono).max())), subtype


def trim(sound: np.ndarray) -> np.ndarray:
    """`sound` [N] without the digital silence at its ends; [0] if there is nothing else."""
    loud = np.flatnonzero(np.abs(sound) > _SILENT)
    return sound[loud[0] : loud[-1] + 1] if len(loud) else sound[:0]


def cut(sound: np.ndarray) -> list[np.ndarray]:
    """`sound` [N] in as few equal pieces of at most 20 s as it takes; together they are `sound`."""
    count = max(1, int(np.ceil(len(sound) / (LONGEST_SECONDS * SAMPLE_RATE))))
    return np.array_split(sound, count)


def spread(items: Sequence, count: int) -> list:
    """`count` of the items, evenly spaced from the first on; all if they are fewer."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def content_hash(sound: np.ndarray) -> str:
    """The same for the same sound [N] in another container, at 16 bits."""
    return hashlib.sha256(np.round(sound * 32767).astype("<i2").tobytes()).hexdigest()


def write(sound: np.ndarray, path: Path, subtype: str) -> str:
    """Writes `sound` [N] and returns the file's SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, SAMPLE_RATE, format="FLAC", subtype=subtype)
    return hashlib.sha256(path.read_bytes()).hexdigest()
