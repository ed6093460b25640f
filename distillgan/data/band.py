"""The band limit of a recording: telephones, dictaphones and lossy files hold nothing above some frequency.

Above the limit there is no sound to learn, only that none was kept. So a limit is looked for that nature does not make:
sound that lies densely under it, and within a few per cent of frequency nothing but a floor. A dark recording that
fades into its noise, or a few lone partials, has none.
"""

import numpy as np

NONE = 0.0  # Hz; of a recording that goes all the way up
_FFT = 4096
_BAND = 10  # bins that are averaged: 108 Hz at 44.1 kHz
_UNDER, _OVER = (0.5, 0.97), 1.06  # of the limit: where sound is, and from where on there is none
_LOWEST = 2500.0  # Hz: below it an edge is part of the sound
_HIGHEST = 0.86  # of half the rate: what ends above it is as good as whole
_DROP_DB = 20.0
_FLOOR_DB = -115.0  # of sound under the limit: quieter than 16 bits could hold
_CLEAR_DB = 6.0  # over what is above the limit
_SMALLEST = 1e-30


def readable(limit: float) -> str:
    """Hz → text in kHz."""
    return f"{limit / 1000:.1f}".removesuffix(".0") + " kHz"


class BandMeter:
    """Long-term power spectrum of a stream of float32 blocks [n] at `rate` Hz, in constant memory."""

    def __init__(self, rate: int):
        self._rate = rate
        # Blackman-Harris, -92 dB (Harris 1978, "On the use of windows for harmonic analysis", table 1): what
        # lies between partials is not to be filled by their skirts.
        cosines = np.cos(np.outer(np.arange(4), 2 * np.pi * np.arange(_FFT) / _FFT))
        self._window = (np.array([0.35875, -0.48829, 0.14128, -0.01168]) @ cosines).astype(np.float32)
        self._power = np.zeros(_FFT // 2 + 1)
        self._frames = 0
        self._rest = np.zeros(0, np.float32)

    def add(self, samples: np.ndarray) -> None:
        """Samples [n], any n."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // _FFT * _FFT
        spectra = np.fft.rfft(samples[:whole].reshape(-1, _FFT) * self._window)
        self._power += np.square(np.abs(spectra), dtype=np.float64).sum(0)
        self._frames += len(spectra)
        self._rest = samples[whole:].copy()

    def limit(self, source_rate: int) -> float:
        """The limit in Hz, NONE if there is none. A file's own rate is one, whatever its spectrum says."""
        power, frames = self._power, self._frames
        if not frames:
            padded = np.zeros(_FFT, np.float32)
            padded[: len(self._rest)] = self._rest
            power = np.square(np.abs(np.fft.rfft(padded * self._window)), dtype=np.float64)
        found = _edge(power / (max(frames, 1) * float(np.square(self._window).sum())), self._rate)
        found = min(found or np.inf, source_rate / 2)
        return float(found) if found <= _HIGHEST * self._rate / 2 else NONE


def _edge(power: np.ndarray, rate: int) -> float:
    """Power of each bin, that of white noise being its variance → the edge in Hz, NONE if there is none."""
    bands = len(power) // _BAND
    level = 10 * np.log10(power[: bands * _BAND].reshape(bands, _BAND).mean(1) + _SMALLEST)
    width = _BAND * rate / _FFT
    centre = (np.arange(bands) + 0.5) * width
    best, gap, over = NONE, _DROP_DB, 0.0
    loudest_above = np.maximum.accumulate(level[::-1])[::-1]
    for edge in np.arange(_LOWEST, _HIGHEST * rate / 2, width):
        under = level[(centre >= _UNDER[0] * edge) & (centre <= _UNDER[1] * edge)]
        first_over = int(np.searchsorted(centre, _OVER * edge))
        # The least of what is under it: between the partials of a lone tone there is nothing, too.
        if len(under) and under.min() > _FLOOR_DB and under.min() - loudest_above[first_over] > gap:
            best, gap, over = edge, under.min() - loudest_above[first_over], loudest_above[first_over]
    if best == NONE:
        return NONE
    near = np.flatnonzero((level > over + _CLEAR_DB) & (centre < _OVER * best + width))
    return float((near[-1] + 1) * width)
