"""The only mel definition: 44.1 kHz, 128 Slaney bands, hop 512 (the mel of `bigvgan_v2_44khz_128band_512x`).

Two pointwise views of one linear magnitude mel:

    log1p form      x = log1p(gain * mel)              the VAE's: 0 is silence
    log-clamp form  y = log(max(mel, 1e-5))            the vocoders'

`log1p_to_log_clamp` is the exact map between them: no resampling, no phase, no round trip.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.audio.spec import HERTZ_A_MEL, KNEE_HERTZ, KNEE_MEL, LOG_STEP, MelSpec, mel_of

LOG_FLOOR = 1e-5
_MAGNITUDE_EPS = 1e-9
_COLUMNS = 2048  # of a pooled mel, at most; of a sound that has more frames, half as many at least
_FRAMES = 256  # analysed at once for it


class MelSpectrogram(nn.Module):
    """Wave [B, N] or [B, 1, N] in -1…1 → linear magnitude mel [B, n_mels, N // hop_length]; differentiable.

    Reflect padding of (n_fft - hop_length) / 2 on each side, frames not centred, Hann window,
    magnitude sqrt(re² + im² + 1e-9), Slaney filterbank with area normalisation.
    """

    bank: Tensor
    window: Tensor

    def __init__(self, spec: MelSpec):
        super().__init__()
        self.spec = spec
        self.pad = (spec.n_fft - spec.hop_length) // 2
        bank = slaney_filters(spec.n_fft // 2 + 1, spec.n_mels, spec.sample_rate, spec.f_min, spec.f_max)
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("window", torch.hann_window(spec.n_fft), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Raises ValueError if the wave is not longer than the padding (768 samples by default)."""
        if wave.dim() == 3:
            wave = wave.squeeze(1)
        if wave.shape[-1] <= self.pad:
            raise ValueError(f"{wave.shape[-1]} samples are too few for a mel: more than {self.pad} are needed")
        padded = F.pad(wave.unsqueeze(1), (self.pad, self.pad), mode="reflect").squeeze(1)
        return self.of_spectra(self.spectra(padded))

    def of_long(self, read: Callable[[int, int], np.ndarray], samples: int, block_frames: int = 4096) -> Tensor:
        """The mel [n_mels, ceil(samples / hop_length)] of a long wave, in blocks that equal the whole.

        `read(start, count)` gives float32 [count], zeros past the end.
        Raises ValueError if the wave, filled up to whole frames, is not longer than the padding.
        """
        hop, pad, device = self.spec.hop_length, self.pad, self.window.device
        frames = -(-samples // hop)
        if frames * hop <= pad:
            raise ValueError(f"{samples} samples are too few for a mel: more than {pad} are needed")
        blocks = []
        for first in range(0, frames, block_frames):
            last = min(first + block_frames, frames)
            begin, end = max(0, first * hop - pad), min(frames * hop, last * hop + pad)
            wave = torch.from_numpy(read(begin, end - begin)).to(device)
            beyond = (begin - (first * hop - pad), last * hop + pad - end)
            blocks.append(self.of_spectra(self.spectra(F.pad(wave[None, None], beyond, mode="reflect")[0]))[0])
        return torch.cat(blocks, -1)

    def spectra(self, padded: Tensor) -> Tensor:
        """Wave [B, (T - 1) * hop_length + n_fft], its padding included → complex spectra [B, n_fft / 2 + 1, T]."""
        n_fft, hop = self.spec.n_fft, self.spec.hop_length
        return torch.stft(padded, n_fft, hop, window=self.window, center=False, return_complex=True)

    def of_spectra(self, spectra: Tensor) -> Tensor:
        """Complex spectra [B, n_fft / 2 + 1, T] → linear magnitude mel [B, n_mels, T]."""
        return self.bank @ magnitudes(spectra)


def slaney_filters(bins: int, bands: int, sample_rate: float, f_min: float, f_max: float) -> Tensor:
    """Triangular filters [bands, bins] from 0 Hz to half of `sample_rate`, each of area 1 over Hz.

    Their edges and centres are evenly spaced from f_min to f_max Hz on the mel scale (Slaney 1998, "Auditory Toolbox"),
    and each reaches from the centre before it to the one after it. Filters narrower than a bin may be empty.
    """
    mels = torch.linspace(mel_of(f_min), mel_of(f_max), bands + 2)
    above = KNEE_HERTZ * torch.exp(LOG_STEP * (mels - KNEE_MEL))
    edges = torch.where(mels < KNEE_MEL, HERTZ_A_MEL * mels, above)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    hertz = torch.linspace(0, sample_rate / 2, bins)
    triangles = torch.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)).clamp(min=0)
    return triangles * (2 / (high - low))


def magnitudes(spectra: Tensor) -> Tensor:
    """Complex spectra → their magnitudes, same shape; never 0, where the root has no derivative."""
    return torch.sqrt(spectra.real.square() + spectra.imag.square() + _MAGNITUDE_EPS)


@functools.lru_cache(maxsize=8)
def lowest_hertz(spec: MelSpec) -> Tensor:
    """The lowest frequency that each band holds anything of, Hz [n_mels]."""
    bank = MelSpectrogram(spec).bank
    return (bank > 0).float().argmax(1) * (spec.sample_rate / spec.n_fft)


def silent_above(mel: Tensor, spec: MelSpec, limit: float) -> Tensor:
    """Log-clamp mel [B, n_mels, T] → the same, with silence in the bands that are wholly above `limit` Hz."""
    above = (lowest_hertz(spec) >= limit).to(mel.device)
    return mel.masked_fill(above[:, None], math.log(LOG_FLOOR))


def to_log1p(mel: Tensor, spec: MelSpec) -> Tensor:
    """Linear mel → log1p form, same shape."""
    return torch.log1p(spec.log1p_gain * mel)


def from_log1p(x: Tensor, spec: MelSpec) -> Tensor:
    """log1p form → linear mel, same shape; what is below silence (x < 0) is silence."""
    return torch.expm1(x.clamp(min=0)) / spec.log1p_gain


def to_log_clamp(mel: Tensor) -> Tensor:
    """Linear mel → log-clamp form, same shape."""
    return torch.log(mel.clamp(min=LOG_FLOOR))


def log1p_to_log_clamp(x: Tensor, spec: MelSpec) -> Tensor:
    """log1p form → log-clamp form, same shape: the mel adapter between VAE and vocoder."""
    return to_log_clamp(from_log1p(x, spec))


class PooledMel:
    """The linear mel of a sound that comes in float32 blocks [C, n], small enough for a picture however long it is.

    The mean over channels, of groups of frames: as many as let the whole fit in the columns, always a power of two. Of
    a group's frames the loudest counts in every band, so that a click is seen in an hour of silence. Silence is before
    and after the sound.
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
