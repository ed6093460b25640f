"""The one gain of a file: its loudest moment to a common loudness, its own dynamics untouched; and how loud it was."""

import math
from collections.abc import Sequence

import numpy as np

TARGET_DBFS = -20.0
PEAK_LIMIT_DBFS = -1.0
WINDOW_SECONDS = 0.4
_HOPS = 4


def to_db(amplitude: float) -> float:
    """Linear amplitude → dB re full scale, not below -200 (so that silence stays a number in JSON)."""
    return float(20 * np.log10(max(amplitude, 1e-10)))


class LevelMeter:
    """Peak, RMS and the loudest 400 ms of a stream of float32 blocks [n] at `rate` Hz, in constant memory a second.

    The window moves in steps of 100 ms. A shorter file counts as followed by silence, so trimming the silence
    off a click does not change its gain.
    """

    def __init__(self, rate: int):
        self.peak = 0.0
        self.frames = 0
        self._hop = max(1, round(WINDOW_SECONDS * rate / _HOPS))
        self._energies: list[np.ndarray] = []
        self._rest = np.zeros(0, np.float32)

    def add(self, samples: np.ndarray) -> None:
        """Samples [n], any n."""
        if not len(samples):
            return
        self.peak = max(self.peak, float(np.abs(samples).max()))
        self.frames += len(samples)
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._hop * self._hop
        self._energies.append(np.square(samples[:whole].reshape(-1, self._hop), dtype=np.float64).sum(axis=1))
        self._rest = samples[whole:].copy()

    def _hop_energies(self) -> np.ndarray:
        return np.concatenate([*self._energies, [np.square(self._rest, dtype=np.float64).sum()]])

    @property
    def rms(self) -> float:
        """Linear, over all samples so far; 0 if there are none."""
        return float(np.sqrt(self._hop_energies().sum() / max(self.frames, 1)))

    @property
    def loudest(self) -> float:
        """Linear RMS of the loudest 400 ms."""
        windows = np.convolve(self._hop_energies(), np.ones(_HOPS))
        return float(np.sqrt(windows.max() / (_HOPS * self._hop)))


def together(parts: Sequence[tuple[float, float]]) -> float | None:
    """The loudness of sounds as one programme, from (LUFS, seconds) of each: None of none, to a hundredth.

    Their powers in the mean over time, without those that are more than 10 LU under that of all: the relative gate of
    ITU-R BS.1770-4, of files instead of blocks.
    """
    powers = np.array([10 ** (lufs / 10) for lufs, _ in parts])
    seconds = np.array([length for _, length in parts])
    if not seconds.sum():
        return None
    loud = powers > 0.1 * (powers @ seconds) / seconds.sum()
    return round(10 * math.log10((powers[loud] @ seconds[loud]) / seconds[loud].sum()), 2)


def gain_db(peak_dbfs: float, loudest_dbfs: float) -> float:
    """Gain in dB that brings the loudest 400 ms to -20 dBFS RMS, or less where the peak would pass -1 dBFS."""
    return min(TARGET_DBFS - loudest_dbfs, PEAK_LIMIT_DBFS - peak_dbfs)
