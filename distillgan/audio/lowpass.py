"""Nothing above a limit: for recordings that hold nothing there, and for what is made from nothing else."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.convolve import convolved, evenly

_PASSES = 0.92  # share of the limit up to which nothing changes
_ATTENUATION_DB = 110.0


def band_limited(blocks: Iterable[np.ndarray], rate: int, limit: float, size: int) -> Iterator[np.ndarray]:
    """Blocks float32 [C, n] at `rate` Hz → the same samples without what is above `limit` Hz, in blocks of `size`.

    Linear phase, without delay; however the blocks are cut, the samples are the same.
    """
    taps = lowpass(rate, limit)
    return evenly(_each(blocks, taps), size)


def _each(blocks: Iterable[np.ndarray], taps: np.ndarray) -> Iterator[np.ndarray]:
    return convolved(blocks, taps[None, None], len(taps) // 2)


def lowpass(rate: int, limit: float) -> np.ndarray:
    """An odd number of taps, float64 [K], symmetric: 1 up to 92 % of `limit` Hz, -110 dB from `limit` on.

    Windowed sinc with Kaiser's window and his formulas for its length and shape (Kaiser 1974, "Nonrecursive digital
    filter design using the I0-sinh window function").
    """
    width = (1 - _PASSES) * limit / rate  # in cycles a sample
    half = int(np.ceil((_ATTENUATION_DB - 7.95) / (14.36 * width) / 2))
    middle = (1 + _PASSES) / 2 * limit / rate
    at = np.arange(-half, half + 1)
    taps = 2 * middle * np.sinc(2 * middle * at) * np.kaiser(2 * half + 1, 0.1102 * (_ATTENUATION_DB - 8.7))
    return taps / taps.sum()


def below(waves: Sequence[Tensor], limit: Tensor | None, rate: int) -> Sequence[Tensor]:
    """Waves [B, 1, N] at `rate` Hz without what is above the limit [B] in Hz of each item, infinity for none.

    None, for no limits at all, gives them back as they are. By their spectra and differentiable, so that a loss on the
    results neither wants nor punishes anything above.
    """
    if limit is None or torch.isinf(limit).all():
        return waves
    hertz = torch.linspace(0, rate / 2, waves[0].shape[-1] // 2 + 1, device=waves[0].device)
    limit = limit.to(hertz)[:, None, None]
    fall = ((limit - hertz) / ((1 - _PASSES) * limit)).clamp(0, 1)
    shape = torch.where(torch.isinf(limit), torch.ones_like(hertz), torch.sin(fall * torch.pi / 2) ** 2)
    return [torch.fft.irfft(torch.fft.rfft(wave) * shape, n=wave.shape[-1]) for wave in waves]
