"""The only mel definition: 44.1 kHz, 128 Slaney bands, hop 512 (the mel of `bigvgan_v2_44khz_128band_512x`).

Two pointwise views of one linear magnitude mel:

    log1p form      x = log1p(gain * mel)              what the VAE sees: 0 is silence
    log-clamp form  y = log(max(mel, 1e-5))            what the vocoders see

`log1p_to_log_clamp` is the exact map between them: no resampling, no phase, no round trip.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.audio.torchaudio_compat import torchaudio
from distillgan.checks import number, whole
from distillgan.errors import UserError

LOG_FLOOR = 1e-5
_MAGNITUDE_EPS = 1e-9


@dataclass(frozen=True)
class MelSpec:
    """Everything that must agree between a model, a vocoder and the audio they are fed.

    Frequencies in Hz, n_fft and hop_length in samples. `log1p_gain` scales magnitudes before log1p.
    """

    sample_rate: int = 44100
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    f_min: float = 0.0
    f_max: float = 22050.0
    log1p_gain: float = 1000.0

    def __post_init__(self):
        for field in fields(self):
            object.__setattr__(self, field.name, field.type(getattr(self, field.name)))
        if not 0 < self.hop_length <= self.n_fft:
            raise UserError(f"mel.hop_length={self.hop_length} must be between 1 and mel.n_fft={self.n_fft}")
        if (self.n_fft - self.hop_length) % 2:
            raise UserError(
                f"mel.hop_length={self.hop_length} and mel.n_fft={self.n_fft} must both be even or both be odd: half "
                "of their difference is padded on each side"
            )
        if self.n_mels < 1:
            raise UserError(f"mel.n_mels={self.n_mels} must be at least 1")
        if not 0 < self.log1p_gain < float("inf"):
            raise UserError(f"mel.log1p_gain={self.log1p_gain:g} must be a positive number")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise UserError(
                f"mel.f_min={self.f_min:g} and mel.f_max={self.f_max:g} Hz must be ordered and at most half of "
                f"mel.sample_rate={self.sample_rate}"
            )

    @property
    def frame_rate(self) -> float:
        """Mel frames a second."""
        return self.sample_rate / self.hop_length

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "MelSpec":
        """Raises UserError if a field is missing or unknown."""
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise UserError(f"mel spec has the fields {sorted(values)}, expected {sorted(known)}")
        return cls(**values)

    @classmethod
    def from_config(cls, values: Mapping) -> "MelSpec":
        """From the `mel` node of a configuration. Raises UserError if a value is no number or out of range."""
        for key, value in values.items():
            number(f"mel.{key}", value)
        for field in fields(cls):
            if field.type is int and field.name in values:
                whole(f"mel.{field.name}", values[field.name], 1)
        return cls.from_dict(dict(values))

    def require(self, other: "MelSpec", mine: str, theirs: str) -> None:
        """Raises UserError, with both specs named, unless `other` equals this one."""
        if self != other:
            raise UserError(f"the mel of {mine} and of {theirs} differ:\n  {mine}: {self}\n  {theirs}: {other}")


class MelSpectrogram(nn.Module):
    """Wave [B, N] or [B, 1, N] in -1…1 → linear magnitude mel [B, n_mels, N // hop_length]; differentiable.

    Reflect padding of (n_fft - hop_length) / 2 on each side, frames not centred, Hann window,
    magnitude sqrt(re² + im² + 1e-9), Slaney filterbank with area normalisation.
    """

    def __init__(self, spec: MelSpec):
        super().__init__()
        self.spec = spec
        self.pad = (spec.n_fft - spec.hop_length) // 2
        bank = torchaudio.functional.melscale_fbanks(
            spec.n_fft // 2 + 1,
            spec.f_min,
            spec.f_max,
            spec.n_mels,
            spec.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("bank", bank.T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(spec.n_fft), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Raises ValueError if the wave is not longer than the padding (768 samples by default)."""
        if wave.dim() == 3:
            wave = wave.squeeze(1)
        if wave.shape[-1] <= self.pad:
            raise ValueError(f"{wave.shape[-1]} samples are too few for a mel: more than {self.pad} are needed")
        return self._of_padded(F.pad(wave.unsqueeze(1), (self.pad, self.pad), mode="reflect").squeeze(1))

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
            blocks.append(self._of_padded(F.pad(wave[None, None], beyond, mode="reflect")[0])[0])
        return torch.cat(blocks, -1)

    def _of_padded(self, wave: Tensor) -> Tensor:
        return self.of_spectra(self.spectra(wave))

    def spectra(self, padded: Tensor) -> Tensor:
        """Wave [B, (T - 1) * hop_length + n_fft], its padding included → complex spectra [B, n_fft / 2 + 1, T]."""
        n_fft, hop = self.spec.n_fft, self.spec.hop_length
        return torch.stft(padded, n_fft, hop, window=self.window, center=False, return_complex=True)

    def of_spectra(self, spectra: Tensor) -> Tensor:
        """Complex spectra [B, n_fft / 2 + 1, T] → linear magnitude mel [B, n_mels, T]."""
        return self.bank @ torch.sqrt(spectra.real.square() + spectra.imag.square() + _MAGNITUDE_EPS)


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
