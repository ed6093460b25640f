"""A sound taken down as it is rendered, on the disk, until it is over and its level is known."""

import hashlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import soxr

from distillgan.atomic import refused
from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec
from distillgan.audio.pooled_mel import PooledMel
from distillgan.errors import UserError
from distillgan.render.normalization import LoudnessMeter
from distillgan.render.thumbnail import Thumbnail

_AT_ONCE = 1 << 16  # samples read back


class Take:
    """Float32 blocks [C, n] at the mel's rate go in; the same at `sample_rate` Hz are read back, as often as wanted.

    `file` is open for writing and reading, unbuffered and empty; `path` is what the sound is to become, for messages.
    `samples` (a channel, of what is read back), `digest` (SHA-256 of them all) and `loudness` are known once `finish`
    has been called. Memory depends on the blocks' lengths, not on their number.
    """

    def __init__(self, file: FileIO, path: Path, spec: MelSpec, sample_rate: int):
        self._file, self._path, self._spec, self._rate = file, path, spec, sample_rate
        self._resampler: soxr.ResampleStream | None = None
        self._came = 0  # samples that went in
        self.mel, self.thumbnail = PooledMel(spec), Thumbnail()
        self._hash = hashlib.sha256()
        self.channels, self.samples = 0, 0
        self.loudness: LoudnessMeter | None = None

    @property
    def seconds(self) -> float:
        return self._came / self._spec.sample_rate

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def add(self, block: np.ndarray) -> None:
        """What comes next, float32 [C, n].

        Raises:
            ValueError: the block is not [C, n], or has another C than those before it.
            UserError: it has NaN or infinite samples, or the disk refuses.
        """
        if block.ndim != 2 or not block.shape[0] or block.shape[0] != (self.channels or block.shape[0]):
            raise ValueError(f"a block must be [{self.channels or 'C'}, n], not {list(block.shape)}")
        if not np.isfinite(block).all():
            raise UserError(
                f"{printable(self._path)}: not written, after {self.seconds:.1f} s the sound has NaN or infinite "
                "samples: the model or its vocoder is broken; choose another vocoder, or an earlier model"
            )
        if not self.channels:
            self.channels = block.shape[0]
            self.loudness = LoudnessMeter(self._rate, self.channels)
            if self._rate != self._spec.sample_rate:
                self._resampler = soxr.ResampleStream(self._spec.sample_rate, self._rate, self.channels, quality="VHQ")
        block = np.ascontiguousarray(block, dtype=np.float32)
        self._came += block.shape[1]
        self.mel.add(block)
        frames = np.ascontiguousarray(block.T)
        self._keep(frames if self._resampler is None else self._resampler.resample_chunk(frames))

    def finish(self) -> None:
        """The sound is over. Raises UserError if the disk refuses."""
        if self._resampler is not None:
            self._keep(self._resampler.resample_chunk(np.empty((0, self.channels), np.float32), last=True))

    def blocks(self, gain: float) -> Iterator[np.ndarray]:
        """The sound times `gain`, from its beginning, as float32 blocks [C, n]."""
        self._file.seek(0)
        for first in range(0, self.samples, _AT_ONCE):
            count = min(_AT_ONCE, self.samples - first)
            frames = np.fromfile(self._file, np.float32, count * self.channels).reshape(count, self.channels)
            yield frames.T * np.float32(gain)

    def _keep(self, frames: np.ndarray) -> None:
        """Frames float32 [n, C], contiguous, go to the end of the file."""
        if not len(frames):
            return
        self.thumbnail.add(frames)
        self.loudness.add(frames.T)
        self._hash.update(frames)
        left = memoryview(frames).cast("B")
        try:
            while left:  # an unbuffered file may take a part of it
                left = left[self._file.write(left) :]
        except OSError as error:
            raise refused(printable(self._path), error) from error
        self.samples += len(frames)
