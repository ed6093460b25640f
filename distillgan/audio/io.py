"""Audio files in and out: float32 [C, N] in memory, libsndfile or FFmpeg at the disk, soxr between sample rates."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import soxr

from distillgan.audio.source import AudioFileError, AudioSource
from distillgan.errors import printable

__all__ = [
    "AudioFileError", "AudioSource", "iter_audio", "open_audio", "printable", "read_audio", "read_blocks", "resample",
]  # fmt: skip


@contextmanager
def open_audio(path: str | os.PathLike) -> Iterator[AudioSource]:
    """The open file, for reading from its first sample to its last, whatever its header says.

    Raises:
        AudioFileError: the file is missing, may not be read, is not audio, or wants the extra `media`.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            if not file.read(1):
                raise AudioFileError(path, "empty: the file has 0 bytes")
            if path.suffix.lower() == ".raw":
                raise AudioFileError(path, "unreadable: raw samples carry no sample rate: convert to wav or flac")
            source = AudioSource(path, file)
        except OSError as error:
            raise AudioFileError.from_os(path, error) from error
        stack.callback(source.close)
        yield source


def read_blocks(source: AudioSource, block: int) -> Iterator[np.ndarray]:
    """The rest of an open file as float32 [C, n], n = `block` samples but for the last; none of them is empty."""
    while len(frames := source.read(block)):
        yield frames.T


def iter_audio(path: str | os.PathLike, block: int) -> Iterator[np.ndarray]:
    """The file as float32 blocks [C, n] in -1…1 at its own rate, n = `block` samples but for the last.

    Raises:
        AudioFileError: as `open_audio`, also where nothing of it can be decoded.
    """
    with open_audio(path) as source:
        yield from read_blocks(source, block)


def read_audio(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """The whole file: float32 [C, N] in -1…1 and its sample rate in Hz.

    Raises:
        AudioFileError: as `iter_audio`.
    """
    with open_audio(path) as source:
        # Not in one go: a damaged or streamed file's header may promise any number of samples.
        blocks = [np.zeros((source.channels, 0), np.float32), *read_blocks(source, 2**20)]
        return np.concatenate(blocks, axis=1), source.samplerate


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """float32 [C, N] at `from_rate` Hz → float32 [C, about N · to_rate / from_rate] at `to_rate` Hz (soxr VHQ)."""
    if from_rate == to_rate:
        return wave
    frames = np.ascontiguousarray(wave.T, dtype=np.float32)
    return np.ascontiguousarray(soxr.resample(frames, from_rate, to_rate, quality="VHQ").T)
