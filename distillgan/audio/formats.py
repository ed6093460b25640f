"""Formats for writing sound: WAV, FLAC, OGG Vorbis and MP3; whole or not at all, block by block."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile as sf

from distillgan.atomic import replace_file
from distillgan.audio import containers
from distillgan.audio.io import printable
from distillgan.audio.tags import Tags, append_id3, id3, write_tags
from distillgan.errors import UserError, number

SAMPLE_RATES = (44100, 48000, 96000)
_WAV_BYTES = 2**32 - 65536  # of samples and `id3 `: the sizes in a WAV are 32-bit
_SUBTYPES = {16: "PCM_16", 24: "PCM_24", "32f": "FLOAT"}
_DITHER_SEED = 16
_AT_ONCE = 1 << 16  # samples of a channel: the Vorbis encoder puts all that it is given on the stack, which is small


class Format(ABC):
    """A format of sound files: `sample_rate` in Hz, and the `suffix` of its files.

    Raises UserError if the format cannot have the sample rate.
    """

    suffix: str
    sample_rates: ClassVar[tuple[int, ...]] = SAMPLE_RATES

    def __init__(self, sample_rate: int):
        self.sample_rate = _one_of("sample_rate", sample_rate, self.sample_rates, f"Hz ({self.suffix})")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).items()))

    def write(self, path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], tags: Tags) -> None:
        """Write float32 blocks [C, n], whole or not at all; what is beyond ±1 is clipped where the format ends there.

        `shape` is [C, N] of all blocks joined.

        Raises:
            ValueError: the blocks are not as many samples as `shape` says.
            UserError: a disk that refuses.
        """
        try:
            with replace_file(path) as temporary:
                self._write(temporary, blocks, shape, tags)
        except sf.LibsndfileError as error:
            # It keeps the system's reason to itself; the folder is there, and a full disk is the usual one.
            raise UserError(f"{printable(path)}: cannot be written ({error}): is the disk full?") from error

    @abstractmethod
    def _write(self, path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], tags: Tags) -> None:
        """The file at `path`, with its tags."""

    def _encode(
        self, target, blocks: Iterable[np.ndarray], shape: tuple[int, int], tags: Tags, subtype: str, **options
    ) -> None:
        """The blocks by libsndfile, of whose SoundFile `options` are."""
        written = 0
        with sf.SoundFile(target, "w", self.sample_rate, shape[0], subtype, **options) as file:
            write_tags(file, tags)
            for block in dithered(blocks) if subtype == "PCM_16" else (block.T for block in blocks):
                for first in range(0, len(block), _AT_ONCE):
                    file.write(block[first : first + _AT_ONCE])
                written += len(block)
        if written != shape[1]:
            raise ValueError(f"{written} samples came, not {shape[1]}")


class Wav(Format):
    """depth: 16 (dithered), 24, or "32f" (32-bit floats). Above 4 GB it is an RF64 file (EBU Tech 3306)."""

    suffix = ".wav"

    def __init__(self, sample_rate: int = 44100, depth: int | str = 24):
        super().__init__(sample_rate)
        self.depth = _one_of("depth", depth, (16, 24, "32f"), "bits (.wav)")

    def _write(self, path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], tags: Tags) -> None:
        bytes_a_sample = int(str(self.depth).removesuffix("f")) // 8
        size = shape[0] * shape[1] * bytes_a_sample + len(id3(tags))
        kind = "RF64" if size > _WAV_BYTES else "WAV"
        self._encode(path, blocks, shape, tags, _SUBTYPES[self.depth], format=kind)
        append_id3(path, tags)


class Flac(Format):
    """depth: 16 (dithered) or 24 bits."""

    suffix = ".flac"

    def __init__(self, sample_rate: int = 44100, depth: int = 24):
        super().__init__(sample_rate)
        self.depth = _one_of("depth", depth, (16, 24), "bits (.flac)")

    def _write(self, path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], tags: Tags) -> None:
        self._encode(path, blocks, shape, tags, _SUBTYPES[self.depth], format="FLAC")


class Ogg(Format):
    """OGG Vorbis; quality: 0 to 10, as its own encoder counts. More than two channels come in WAV's order."""

    suffix = ".ogg"

    def __init__(self, sample_rate: int = 44100, quality: float = 8):
        super().__init__(sample_rate)
        number("export.quality", quality, 0, 10)
        self.quality = quality

    def _write(self, path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], tags: Tags) -> None:
        order = containers.from_wav(shape[0])
        blocks = (block[order] for block in blocks)
        self._encode(path, blocks, shape, tags, "VORBIS", format="OGG", compression_level=1 - self.quality / 10)


class Mp3(Format):
    """mode: "cbr", 320 kbit/s, or "vbr" with quality 0 (best) to 9, as LAME counts."""

    suffix = ".mp3"
    sample_rates = (44100, 48000)

    def __init__(self, sample_rate: int = 44100, mode: str = "cbr", quality: float = 0):
        super().__init__(sample_rate)
        self.mode = _one_of("mode", mode, ("cbr", "vbr"), "(.mp3)")
        number("export.quality", quality, 0, 9)
        self.quality = quality
        if self.mode == "cbr" and self.quality:
            raise UserError(f"export.quality={quality} is for export.mode=vbr: say so, or leave it out")

    def _write(self, path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], tags: Tags) -> None:
        rate = {"bitrate_mode": "VARIABLE", "compression_level": self.quality / 10}
        if self.mode == "cbr":
            rate = {"bitrate_mode": "CONSTANT", "compression_level": 0.0}
        with tempfile.TemporaryFile(dir=path.parent) as encoded:
            self._encode(encoded.fileno(), blocks, shape, Tags(), "MPEG_LAYER_III", format="MP3", closefd=False, **rate)
            encoded.seek(0)
            with open(path, "wb") as whole:
                whole.write(id3(tags))
                shutil.copyfileobj(encoded, whole, 1 << 20)


def dithered(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """float32 blocks [C, n] → int16 [n, C], with noise of a triangular distribution, ±1 step, before rounding.

    So that what rounding adds is a steady, quiet noise and no distortion of the sound (Lipshitz et al. 1992, JAES 40,
    section 4). The noise is always the same.
    """
    first, second = (np.random.default_rng([_DITHER_SEED, number]) for number in range(2))
    for block in blocks:
        frames = block.T * np.float32(32768)
        noise = first.random(frames.shape, np.float32) - second.random(frames.shape, np.float32)
        yield np.rint(frames + noise).clip(-32768, 32767).astype(np.int16)


def _one_of(key: str, value: Any, choices: tuple, of: str) -> Any:
    if value not in choices or isinstance(value, bool):
        raise UserError(f"export.{key}={value} must be one of {', '.join(map(str, choices))} {of}")
    return value
