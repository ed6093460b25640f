"""Sounds put in their places as a request has it, and what can be measured at two ears."""

from collections.abc import Sequence

import numpy as np

from distillgan.synthesis.generation import spatial_of
from distillgan.synthesis.request import SPATIAL
from distillgan.synthesis.spatial.placement import Spatial

RATE = 44100
AT = 1000  # the sample that `click` has


def spatial(name: str, **settings) -> Spatial:
    """spatial=`name`, with these settings and the defaults for the others."""
    return spatial_of(SPATIAL[name](**settings))


def placed(place: Spatial, wave: np.ndarray, second: np.ndarray | None = None, cuts: Sequence[int] = ()) -> np.ndarray:
    """float32 [1, N] → [channels, N], cut into blocks where `cuts` say, the second rendering into others."""
    blocks = iter(np.split(wave, list(cuts), axis=1))
    other = None if second is None else iter(np.split(second, list(cuts)[::2], axis=1))
    return np.concatenate(list(place.place(blocks, other, RATE)), axis=1)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """White noise float32 [1, N], a tenth of full scale in its root mean square."""
    return (0.1 * np.random.default_rng(seed).standard_normal((1, int(seconds * RATE)))).astype(np.float32)


def click(samples: int = 8192) -> np.ndarray:
    wave = np.zeros((1, samples), np.float32)
    wave[0, AT] = 1
    return wave


def ears(**settings) -> np.ndarray:
    """Spectra [2, F] of what both ears hear of a click, in open air if nothing else is said."""
    heard = placed(spatial("binaural", **{"reflections": 0, **settings}), click())
    return np.fft.rfft(heard.astype(np.float64))


def hertz(spectra: np.ndarray) -> np.ndarray:
    return np.fft.rfftfreq(2 * (spectra.shape[1] - 1), 1 / RATE)


def levels(spectra: np.ndarray, frequency: float) -> np.ndarray:
    """dB [2] at a frequency."""
    return 20 * np.log10(np.abs(spectra[:, np.abs(hertz(spectra) - frequency).argmin()]))


def level_difference(spectra: np.ndarray, frequency: float) -> float:
    """dB, left over right, at a frequency."""
    left, right = levels(spectra, frequency)
    return float(left - right)


def low_delay(spectra: np.ndarray) -> float:
    """Seconds that the right ear hears low tones later: the slope of the phase between the ears, up to 100 Hz."""
    frequencies = hertz(spectra)
    band = (frequencies >= 20) & (frequencies <= 100)
    phase = np.angle(spectra[0] * np.conj(spectra[1]))[band]
    return float(phase @ frequencies[band] / (frequencies[band] ** 2).sum() / (2 * np.pi))


def high_delay(spectra: np.ndarray) -> float:
    """Seconds that the right ear hears a click later, above 3 kHz: where the ears' correlation peaks."""
    fine = 32
    across = np.where(hertz(spectra) >= 3000, np.conj(spectra[0]) * spectra[1], 0)
    size = fine * 2 * (spectra.shape[1] - 1)
    peak = int(np.fft.irfft(across, size).argmax())
    return (peak if peak < size // 2 else peak - size) / (fine * RATE)
