"""The mel of a sound that comes block by block, made small enough for a picture however long the sound is."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distillgan.audio.mel import MelSpec, MelSpectrogram

_COLUMNS = 2048  # at most; of a sound that has more frames, half as many at least
_FRAMES = 256  # analysed at once


class PooledMel:
    """Takes float32 blocks [C, n] and keeps the linear mel, the mean over channels, of groups of frames.

    A group is as many frames as let the whole fit in the columns, always a power of two; of its frames the loudest
    counts in every band, so that a click is seen in an hour of silence. Silence is before and after the sound.
    """

    def __init__(self, spec: MelSpec):
        self._mel = MelSpectrogram(spec)
        self._pooled = torch.zeros(spec.n_mels, _COLUMNS)
        self._group = 1  # frames a column
        self._frames = 0
        self._waiting: Tensor | None = None  # [C, n]: samples that later frames reach back to

    @torch.inference_mode()
    def add(self, block: np.ndarray) -> None:
        for piece in torch.tensor(block).split(_FRAMES * self._mel.spec.hop_length, dim=-1):
            before = F.pad(piece[:, :0], (self._mel.pad, 0)) if self._waiting is None else self._waiting
            self._waiting = self._analysed(torch.cat([before, piece], -1))

    @torch.inference_mode()
    def finish(self) -> tuple[Tensor, float]:
        """The sound is over: its pooled mel [n_mels, at most 2048], and columns a second."""
        if self._waiting is not None:
            spec = self._mel.spec
            samples = self._waiting.shape[-1] - self._mel.pad  # beyond the frames that are done
            missing = -(-samples // spec.hop_length) * spec.hop_length - samples
            self._analysed(F.pad(self._waiting, (0, missing + self._mel.pad)))
        columns = -(-self._frames // self._group)
        return self._pooled[:, :columns].clone(), self._mel.spec.frame_rate / self._group

    def _analysed(self, wave: Tensor) -> Tensor:
        """Pools all frames that lie within `wave` [C, n]; the samples [C, m] that the frames after them want."""
        spec = self._mel.spec
        frames = max(0, (wave.shape[-1] - spec.n_fft) // spec.hop_length + 1)
        if frames:
            used = (frames - 1) * spec.hop_length + spec.n_fft
            self._pool(self._mel.of_spectra(self._mel.spectra(wave[:, :used])).mean(0))
        return wave[:, frames * spec.hop_length :].clone()

    def _pool(self, mel: Tensor) -> None:
        total = self._frames + mel.shape[-1]
        while total > _COLUMNS * self._group:
            halved = self._pooled.unflatten(1, (-1, 2)).amax(-1)
            self._pooled = F.pad(halved, (0, _COLUMNS - halved.shape[-1]))
            self._group *= 2
        column = torch.arange(self._frames, total) // self._group
        self._pooled.scatter_reduce_(1, column.expand(len(mel), -1), mel, "amax")
        self._frames = total
