"""Spectral features, frame by frame: brightness, warmth, roughness and harmonic tension."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distillgan.audio.filters import butterworth, sosfiltfilt

_FINE, _FINE_HOP = 2048, 512
_WARM = (100.0, 500.0)  # Hz
_QUICK, _QUICK_HOP = 256, 128  # shorter than the fluctuations that are measured
_ROUGH = (20.0, 150.0)  # Hz of fluctuation
_ROUGH_BANDS = 18
_LONG, _LONG_HOP = 8192, 4096  # bins of 5.4 Hz
_PEAKS = 20
_PEAK_RANGE = (50.0, 6000.0)  # Hz
_PEAK_FLOOR = 10 ** (-50 / 20)  # of the frame's largest
_BLOCK = 1 << 20  # samples transformed at once
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Share:
    """A quantity whose value over any stretch of frames is the ratio of two sums; a frame is `hop` samples.

    part, whole: [T]. Loud frames weigh more than quiet ones by themselves.
    """

    part: np.ndarray
    whole: np.ndarray
    hop: int

    def over(self, windows: np.ndarray) -> np.ndarray:
        """Windows (first sample, last) int [W, 2] → ratio of each, [W]; NaN where there is nothing but silence."""
        first = np.minimum(windows[:, 0] // self.hop, len(self.part) - 1)
        last = np.clip(-(-windows[:, 1] // self.hop), first + 1, len(self.part))
        sums = [np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)]) for values in (self.part, self.whole)]
        part, whole = (total[last] - total[first] for total in sums)
        return np.where(whole > _SMALLEST * (last - first), part / np.maximum(whole, _SMALLEST), np.nan)


def brightness_and_warmth(wave: np.ndarray, rate: int) -> tuple[Share, Share]:
    """Spectral centroid in log2 Hz, weighted by magnitude; energy in 100-500 Hz over all energy.

    The centroid is the mean of the bins' frequencies weighted by magnitude (Peeters et al. 2011, "The Timbre Toolbox",
    section 3.1). The share of low partials is what listeners call warm (Pratt and Doak 1976, "A subjective rating
    scale for timbre").
    """
    parts = []
    for magnitude in _spectra(wave, _FINE, _FINE_HOP):
        hertz = torch.linspace(0, rate / 2, len(magnitude))
        power, total = magnitude.square(), magnitude.sum(0)
        octave = torch.log2(((hertz @ magnitude) / total.clamp(min=_SMALLEST)).clamp(min=1.0))
        warm = power[(hertz >= _WARM[0]) & (hertz < _WARM[1])].sum(0)
        parts.append(torch.stack([octave * total, total, warm, power.sum(0)]))
    centroid, magnitude, warm, power = torch.cat(parts, -1).numpy()
    return Share(centroid, magnitude, _FINE_HOP), Share(warm, power, _FINE_HOP)


def roughness(wave: np.ndarray, rate: int) -> Share:
    """Power of the bands' fluctuations at 20-150 Hz over the power of their envelopes.

    Fluctuations of this rate within a critical band are felt as roughness (Daniel and Weber 1997, "Psychoacoustical
    roughness: implementation of an optimized model"). The bands are 18, of equal width on the Bark scale.
    """
    bark = 13 * np.arctan(0.00076 * _hertz(rate, _QUICK)) + 3.5 * np.arctan((_hertz(rate, _QUICK) / 7500) ** 2)
    band = np.minimum((bark / bark[-1] * _ROUGH_BANDS).astype(int), _ROUGH_BANDS - 1)
    grouping = torch.from_numpy((np.arange(_ROUGH_BANDS)[:, None] == band).astype(np.float32))
    # Without its negative frequencies: in short windows those of a low tone beat with it, once a cycle.
    parts = [torch.sqrt(grouping @ part.square()) for part in _spectra(_analytic(wave), _QUICK, _QUICK_HOP)]
    bands = torch.cat(parts, -1).numpy()
    fluctuation = sosfiltfilt(butterworth(4, _ROUGH, rate / _QUICK_HOP), bands, min(bands.shape[1] - 1, 60))
    return Share(np.square(fluctuation).sum(0), np.square(bands).sum(0), _QUICK_HOP)


def tension(wave: np.ndarray, rate: int) -> Share:
    """Sensory dissonance of the spectral peaks, 0…0.2, weighted by magnitude.

    Every two peaks together by Plomp and Levelt's curve as Sethares gives it ("Local consonance and the relationship
    between timbre and scale", 1993, section II), weighted by both amplitudes, over the sum of these weights.
    """
    parts = []
    for magnitude in _spectra(wave, _LONG, _LONG_HOP):
        hertz, amplitude = _peaks(magnitude, rate)
        above, below = torch.triu_indices(len(hertz), len(hertz), 1)
        weight = amplitude[above] * amplitude[below]
        lower = torch.minimum(hertz[above], hertz[below])
        distance = (hertz[above] - hertz[below]).abs() * 0.24 / (0.021 * lower + 19)
        apart = (torch.exp(-3.5 * distance) - torch.exp(-5.75 * distance)) * weight
        total = magnitude.sum(0)
        parts.append(torch.stack([total * apart.sum(0) / weight.sum(0).clamp(min=_SMALLEST), total]))
    part, whole = torch.cat(parts, -1).numpy()
    return Share(part, whole, _LONG_HOP)


def _peaks(magnitude: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """Magnitudes [bins, T] → frequencies in Hz and amplitudes of the largest local maxima, each [_PEAKS, T].

    Where there are fewer, the amplitude is 0. Frequencies by the parabola through three log magnitudes (Smith and
    Serra 1987, "PARSHL").
    """
    width = rate / 2 / (len(magnitude) - 1)
    low, high = (round(hertz / width) for hertz in _PEAK_RANGE)
    inside = magnitude[low - 1 : high + 1]
    centre = inside[1:-1]
    top = (centre > inside[:-2]) & (centre >= inside[2:]) & (centre > _PEAK_FLOOR * inside.amax(0))
    amplitude, place = torch.where(top, centre, 0.0).topk(_PEAKS, dim=0)
    left, middle, right = (inside.gather(0, place + step).clamp(min=_SMALLEST).log() for step in (0, 1, 2))
    curve = left - 2 * middle + right
    offset = torch.where(curve < 0, 0.5 * (left - right) / curve.clamp(max=-_SMALLEST), 0.0)
    return (place + low + offset.clamp(-0.5, 0.5)) * width, amplitude


def _analytic(wave: np.ndarray) -> np.ndarray:
    """Wave [N] → complex [N], the wave with its Hilbert transform as imaginary part: no negative frequencies."""
    step = 1 << max(1, len(wave).bit_length() - 3)
    size = -(-len(wave) // step) * step  # of small factors, so that the transform is quick
    half = torch.fft.rfft(torch.from_numpy(np.asarray(wave, np.float32)), size)
    half[1:-1] *= 2
    return torch.fft.ifft(F.pad(half, (0, size - len(half))))[: len(wave)].numpy()


def _hertz(rate: int, n_fft: int) -> np.ndarray:
    return np.linspace(0, rate / 2, n_fft // 2 + 1)


def _spectra(wave: np.ndarray, n_fft: int, hop: int) -> Iterator[Tensor]:
    """Magnitudes [n_fft / 2 + 1, frames] of a real or analytic wave [N], centred, in blocks of T frames in all."""
    frames, window = 1 + len(wave) // hop, torch.hann_window(n_fft)
    wave = np.ascontiguousarray(wave, np.complex64 if np.iscomplexobj(wave) else np.float32)
    padded = F.pad(torch.from_numpy(wave), (n_fft // 2, n_fft // 2 + hop))
    for first in range(0, frames, step := max(1, _BLOCK // hop)):
        count = min(step, frames - first)
        block = padded[first * hop : (first + count - 1) * hop + n_fft]
        spectra = torch.stft(block, n_fft, hop, window=window, center=False, return_complex=True)
        spectra = spectra[: n_fft // 2 + 1]
        yield torch.sqrt(spectra.real.square() + spectra.imag.square())  # half the time of abs()
