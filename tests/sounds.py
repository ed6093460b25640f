"""Sounds whose descriptors are known from physics, float32 [N] at 44.1 kHz."""

import numpy as np
from scipy.signal import butter, sosfilt

from distillgan.features.descriptors import NAMES, describe

RATE = 44100


def sine(hertz: float, seconds: float = 3.0, amplitude: float = 0.2) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * times(seconds))).astype(np.float32)


def harmonic(hertz: float, partials: int = 6, seconds: float = 3.0) -> np.ndarray:
    return sum(sine(number * hertz, seconds, 0.15 / number) for number in range(1, partials + 1))


def modulated(wave: np.ndarray, hertz: float) -> np.ndarray:
    """Its amplitude comes and goes `hertz` times a second."""
    return (wave * (1 + np.sin(2 * np.pi * hertz * np.arange(len(wave)) / RATE)) / 2).astype(np.float32)


def noise(seconds: float = 3.0, below: float | None = None, amplitude: float = 0.1, seed: int = 0) -> np.ndarray:
    wave = amplitude * np.random.default_rng(seed).standard_normal(len(times(seconds)))
    if below is not None:
        wave = sosfilt(butter(4, below, fs=RATE, output="sos"), wave)
    return wave.astype(np.float32)


def struck(at: np.ndarray, decay_db: float = 400.0, seconds: float = 3.0, hertz: float | None = None) -> np.ndarray:
    """Noise, or a tone, struck at each time `at` and decaying by `decay_db` a second."""
    wave, body = np.zeros(len(times(seconds))), noise(seconds, amplitude=0.3) if hertz is None else sine(hertz, seconds)
    for second in at:
        first = round(second * RATE)
        left = np.arange(len(wave) - first) / RATE
        wave[first:] += body[: len(left)] * 10 ** (-decay_db * left / 20)
    return wave.astype(np.float32)


def irregular(count: int, seconds: float, seed: int) -> np.ndarray:
    """`count` times, 0.1 s or more apart, with no beat in them."""
    gaps = np.random.default_rng(seed).exponential(1.0, count + 1)
    return np.cumsum(gaps / gaps.sum())[:-1] * (seconds - 0.1 * count) + 0.1 * np.arange(count)


def times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE


def described(wave: np.ndarray) -> dict[str, float]:
    """The descriptors of all of a sound."""
    values = describe(wave, RATE, np.array([[0, len(wave)]]))[0]
    return dict(zip(NAMES, values.tolist(), strict=True))
