"""The true peak of sound: what its wave comes to between the samples (ITU-R BS.1770-4, Annex 2), block by block."""

import numpy as np

OVERSAMPLING = 4  # the standard's for 48 kHz, and used at every rate
_TAPS = 32  # of each phase; the standard's example has 12
_BETA = 8.0  # of the Kaiser window: 80 dB
_STEP = 1 << 13  # samples that are looked at at once


class TruePeakMeter:
    """Float32 blocks [C, n] go in; `peak` is the largest absolute value of the wave, linear, at least that of a sample.

    Before the first sample and, once `finish` was called, after the last there is silence.
    """

    def __init__(self, channels: int):
        self._phases = _interpolators()
        self._rest = np.zeros((channels, _TAPS - 1), np.float32)
        self.peak = 0.0

    def add(self, block: np.ndarray) -> None:
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
        joined = np.concatenate([self._rest, block], axis=1, dtype=np.float32)
        for first in range(0, block.shape[1], _STEP):
            self._look(joined[:, first : first + _STEP + _TAPS - 1])
        self._rest = joined[:, block.shape[1] :]

    def finish(self) -> None:
        """The sound is over."""
        self.add(np.zeros((len(self._rest), _TAPS - 1), np.float32))

    def _look(self, wave: np.ndarray) -> None:
        """[C, n + T - 1] → the n values between samples of each phase, summed tap by tap, so always in one order."""
        count = wave.shape[1] - _TAPS + 1
        between, product = (np.empty((len(wave), count), np.float32) for _ in range(2))
        for taps in self._phases:
            np.multiply(wave[:, :count], taps[0], out=between)
            for number in range(1, _TAPS):
                between += np.multiply(wave[:, number : number + count], taps[number], out=product)
            self.peak = max(self.peak, float(between.max()), -float(between.min()))


def _interpolators() -> np.ndarray:
    """Low-passes at half the rate that give the wave a quarter, a half and three quarters between samples: [3, T]."""
    shifts = np.arange(1, OVERSAMPLING)[:, None] / OVERSAMPLING
    times = np.arange(_TAPS) - (_TAPS // 2 - 1) - shifts
    window = np.i0(_BETA * np.sqrt(1 - np.square(2 * times / _TAPS))) / np.i0(_BETA)
    taps = np.sinc(times) * window
    return (taps / taps.sum(1, keepdims=True)).astype(np.float32)
