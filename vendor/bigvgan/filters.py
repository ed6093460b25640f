"""The low-pass filter of the anti-aliased activation, and resampling by two with it."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = 12
_CUTOFF = 0.25  # cycles a sample at the doubled rate: half of the band, all that the original rate can hold
_TRANSITION = 0.3


def kaiser_sinc() -> np.ndarray:
    """The filter [12]: a sinc under a Kaiser window, with a gain of 1 at 0 Hz.

    The window's shape follows from the width of the transition (Kaiser 1974): an attenuation of
    A = 2.285 (L - 1) π Δf + 7.95 dB, and β from A. Karras et al. 2021, "Alias-free GAN", appendix C.1.
    """
    half = TAPS // 2
    attenuation = 2.285 * (half - 1) * math.pi * 4 * _TRANSITION + 7.95
    beta = 0.1102 * (attenuation - 8.7)  # the branch of Kaiser's formula above 50 dB; here it is 51
    taps = np.kaiser(TAPS, beta) * np.sinc(2 * _CUTOFF * (np.arange(TAPS) - half + 0.5))
    return taps / taps.sum()


_TAPS = kaiser_sinc().tolist()


def _buffer() -> Tensor:
    """The filter [1, 1, 12] as a buffer of its own: the release's weights hold one for each place it is used."""
    return torch.tensor(_TAPS).view(1, 1, TAPS)


class Upsample(nn.Module):
    """[B, C, T] → [B, C, 2T]: zeros between the samples, then the filter; the ends are repeated beyond themselves."""

    def __init__(self):
        super().__init__()
        self.register_buffer("filter", _buffer())

    def forward(self, x: Tensor) -> Tensor:
        channels, pad = x.shape[1], TAPS // 2 - 1
        x = F.pad(x, (pad, pad), mode="replicate")
        # The gain of 2 makes up for the zeros. What the filter smears beyond the true 2T samples is cut off.
        x = 2 * F.conv_transpose1d(x, self.filter.expand(channels, -1, -1), stride=2, groups=channels)
        return x[..., 3 * pad : -3 * pad]


class LowPass(nn.Module):
    """[B, C, 2T] → [B, C, T]: the filter, then every second sample; the ends are repeated beyond themselves."""

    def __init__(self):
        super().__init__()
        self.register_buffer("filter", _buffer())

    def forward(self, x: Tensor) -> Tensor:
        channels, half = x.shape[1], TAPS // 2
        # An even filter has no middle tap: its delay of half a sample here cancels the one of the upsampling.
        x = F.pad(x, (half - 1, half), mode="replicate")
        return F.conv1d(x, self.filter.expand(channels, -1, -1), stride=2, groups=channels)


class Downsample(nn.Module):
    """[B, C, 2T] → [B, C, T] by `lowpass`, which is named so in the release's weights."""

    def __init__(self):
        super().__init__()
        self.lowpass = LowPass()

    def forward(self, x: Tensor) -> Tensor:
        return self.lowpass(x)
