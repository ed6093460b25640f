"""Audio files in and out: float32 [C, N] in memory, soundfile at the disk, soxr between sample rates."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from distillgan.errors import UserError, printable

# What libsndfile has no decoder for, in the words on the box.
UNDECODABLE = {
    ".m4a": "AAC or ALAC", ".m4b": "AAC", ".m4p": "AAC", ".m4r": "AAC", ".aac": "AAC",
    ".wma": "WMA", ".ape": "Monkey's Audio", ".wv": "WavPack", ".mpc": "Musepack", ".tta": "TTA", ".tak": "TAK",
    ".dsf": "DSD", ".dff": "DSD", ".ra": "RealAudio", ".amr": "AMR", ".ac3": "AC-3", ".dts": "DTS",
    ".mka": "Matroska", ".weba": "WebM",
}  # fmt: skip

_SYSTEM_ERROR = 2
# libsndfile says of any content that turns out not to be MPEG audio that the file does not exist.
_MISLEADING = {7: "there is no audio in it", 29: "damaged audio data"}


class AudioFileError(UserError):
    """One audio file that cannot be used: `path`, `reason`, and whether the next try might do better (`transient`)."""

    def __init__(self, path: str | os.PathLike, reason: str, transient: bool = False):
        super().__init__(f"{printable(path)}: {reason}")
        self.path, self.reason, self.transient = path, reason, transient

    @classmethod
    def from_os(cls, path: str | os.PathLike, error: OSError) -> "AudioFileError":
        """For what the operating system refuses: a missing file, a folder, no permission, a failing disk."""
        remedy = ": check its access rights" if isinstance(error, PermissionError) else ""
        return cls(path, f"unreadable: {(error.strerror or str(error)).lower()}{remedy}", transient=True)


@contextmanager
def open_audio(path: str | os.PathLike) -> Iterator[sf.SoundFile]:
    """The open file, for reading block by block; libsndfile's errors inside the block are translated too.

    Raises:
        AudioFileError: the file is missing, may not be read, is not audio libsndfile knows, or is damaged.
    """
    path = Path(path)
    try:
        # First in Python, for the operating system's own words: libsndfile has one error for all.
        with open(path, "rb") as handle:
            empty = not handle.read(1)
    except OSError as error:
        raise AudioFileError.from_os(path, error) from error
    if empty:
        raise AudioFileError(path, "empty: the file has 0 bytes")
    if path.suffix.lower() == ".raw":
        raise AudioFileError(path, "unreadable: raw samples carry no sample rate: convert to wav or flac")
    try:
        # As bytes, since soundfile cannot encode a name that is not valid UTF-8.
        with sf.SoundFile(str(path) if os.name == "nt" else os.fsencode(path)) as file:
            yield file
    except sf.LibsndfileError as error:
        codec = UNDECODABLE.get(path.suffix.lower())
        if codec:
            reason = f"libsndfile has no {codec} decoder: convert to wav or flac"
        else:
            words = _MISLEADING.get(error.code, error.error_string.removeprefix("Error : ").rstrip("."))
            reason = f"{words} (libsndfile): export it again as wav or flac"
        raise AudioFileError(path, f"unreadable: {reason}", transient=error.code == _SYSTEM_ERROR) from error


def read_blocks(file: sf.SoundFile, block: int) -> Iterator[np.ndarray]:
    """The rest of an open file as float32 [C, n], n = `block` samples but for the last; none of them is empty."""
    while len(frames := file.read(block, dtype="float32", always_2d=True)):
        yield frames.T


def iter_audio(path: str | os.PathLike, block: int) -> Iterator[np.ndarray]:
    """The file as float32 blocks [C, n] in -1…1 at its own rate, n = `block` samples but for the last.

    Raises:
        AudioFileError: as `open_audio`, also midway where a damaged file stops decoding.
    """
    with open_audio(path) as file:
        yield from read_blocks(file, block)


def read_audio(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """The whole file: float32 [C, N] in -1…1 and its sample rate in Hz.

    Raises:
        AudioFileError: as `open_audio`.
    """
    with open_audio(path) as file:
        # Not in one go: a damaged or streamed file's header may promise any number of samples.
        blocks = [np.zeros((file.channels, 0), np.float32), *read_blocks(file, 2**20)]
        return np.concatenate(blocks, axis=1), file.samplerate


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """float32 [C, N] at `from_rate` Hz → float32 [C, about N · to_rate / from_rate] at `to_rate` Hz (soxr VHQ)."""
    if from_rate == to_rate:
        return wave
    frames = np.ascontiguousarray(wave.T, dtype=np.float32)
    return np.ascontiguousarray(soxr.resample(frames, from_rate, to_rate, quality="VHQ").T)
