"""Eight descriptors of a sound that a musician would name, each with its unit, its source and its range.

Measured over windows of about 1.5 s. A window's value is in the descriptor's own scale, in which equal steps sound
about equal; `Descriptor.shown` turns it into the unit that people read.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from distillgan.features import spectral
from distillgan.features.onsets import OnsetFeatures

WINDOW_SECONDS = 1.5
_LEAST_SHARE = 1e-3  # -30 dB: below it nothing audible changes
_SILENT_DB = -60.0  # of full scale: a window that is quieter has no timbre, and no audible pulse


@dataclass(frozen=True)
class Descriptor:
    """One of DESCRIPTORS.

    about: what lies at -10 and at +10; unit, shown: of the shown value, and how it comes from a value; noticeable: the
    step in the value that is just audible; temporal: it describes onsets rather than the spectrum.
    """

    name: str
    about: str
    unit: str
    shown: Callable[[float], float]
    noticeable: float
    temporal: bool


def _same(value: float) -> float:
    return value


def _percent(value: float) -> float:
    return 100.0 * value


DESCRIPTORS = (
    Descriptor("brightness", "dark … bright: spectral centroid", "Hz", lambda value: 2.0**value, 0.1, False),
    Descriptor("warmth", "thin … warm: energy in 100-500 Hz", "dB", _same, 1.0, False),
    Descriptor("roughness", "smooth … rough: fluctuation at 20-150 Hz", "dB", _same, 1.0, False),
    Descriptor("tension", "consonant … dissonant: of the spectral peaks", "%", _percent, 0.004, False),
    Descriptor("rhythm", "ambient … rhythmic: onsets' modulation at 0.5-8 Hz", "dB", _same, 0.1, True),
    Descriptor("pulse", "free … steady beat: periodicity of the onsets", "%", _percent, 0.05, True),
    Descriptor("density", "sparse … dense: onsets a second and share that sounds", "events/s", _same, 0.2, True),
    Descriptor("reverb", "dry … reverberant: decay after onsets", "dB/s", lambda value: 2.0**-value, 0.15, True),
)
NAMES = tuple(descriptor.name for descriptor in DESCRIPTORS)


def mean_known(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean along an axis of what is not NaN; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis)
    return np.where(known.any(axis), total / np.maximum(known.sum(axis), 1), np.nan)


def readable(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def describe(wave: np.ndarray, rate: int, windows: np.ndarray) -> np.ndarray:
    """The eight descriptors of each window: float64 [W, 8], in DESCRIPTORS' order and scale.

    Args:
        wave: float32 [N], -1…1.
        rate: Hz.
        windows: first and last sample of each, int [W, 2].

    NaN where there is nothing to measure: no timbre in silence, no decay without onsets.
    """
    seconds = windows / rate
    centroid, warm = spectral.brightness_and_warmth(wave, rate)
    onsets = OnsetFeatures.of(wave, rate)
    columns = [
        centroid.over(windows),
        10 * np.log10(warm.over(windows) + _LEAST_SHARE),
        10 * np.log10(spectral.roughness(wave, rate).over(windows) + _LEAST_SHARE),
        spectral.tension(wave, rate).over(windows),
        onsets.rhythm(seconds),
        onsets.pulse(seconds),
        onsets.density(seconds),
        -onsets.decay(seconds),
    ]
    values = np.stack(columns, 1)
    power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    last = np.minimum(windows[:, 1], len(wave))
    mean = (power[last] - power[windows[:, 0]]) / np.maximum(last - windows[:, 0], 1)
    silent = 10 * np.log10(mean + 1e-12) < _SILENT_DB
    values[silent, :4] = np.nan
    values[silent, NAMES.index("pulse")] = 0
    return values


def windows_of(samples: int, rate: int) -> np.ndarray:
    """Windows of 1.5 s, half overlapping, over a sound of `samples`: int [W, 2]; one window if it is shorter."""
    length = round(WINDOW_SECONDS * rate)
    firsts = np.arange(0, max(1, samples - length // 2), length // 2)
    return np.stack([firsts, np.minimum(firsts + length, samples)], 1)
