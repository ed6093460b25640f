"""Integrated loudness and true peak (ITU-R BS.1770-4, Annexes 1 and 2), block by block: sound of any length fits."""

import math
import os
from array import array
from dataclasses import dataclass

import numpy as np

from distillgan.audio.filters import sosfilt
from distillgan.audio.io import AudioFileError, open_audio, read_blocks

_BLOCK = 1 << 16
_HOPS = 4  # gating blocks of 400 ms overlap by 75 %
_ABSOLUTE, _RELATIVE = -70.0, -10.0  # gates: LUFS, and LU under the mean
_OFFSET = -0.691
DUAL_MONO_LU = 10 * math.log10(2)  # what a second loudspeaker with the same sound adds
OVERSAMPLING = 4  # of the true peak: the standard's for 48 kHz, and used at every rate
_TAPS = 32  # of each phase; the standard's example has 12
_BETA = 8.0  # of the Kaiser window: 80 dB
_STEP = 1 << 13  # samples at once
LOWEST_RATE = 8000  # Hz; further down the shelf is beyond half the rate


@dataclass(frozen=True)
class Loudness:
    """lufs: integrated, -inf for what never comes over -70 LUFS; peak: largest sample; shape: [C, N]; rate: Hz."""

    lufs: float
    peak: float
    shape: tuple[int, int]
    rate: int

    @property
    def short(self) -> bool:
        """Shorter than a gating block: measured as a whole, without gates."""
        return self.shape[1] < _HOPS * _hop(self.rate)


class Meter:
    """Integrated loudness of float32 blocks [C, n] at `rate` Hz, whose channels weigh 1, as left, right and centre do.

    dual_mono: a single channel counts as two, since both loudspeakers play it: otherwise a mono sound is 3 dB quieter
    than the same sound as stereo, and so the standard and FFmpeg's `ebur128` measure a mono file.
    """

    def __init__(self, rate: int, channels: int, dual_mono: bool = True):
        self._hop, self._weight = _hop(rate), 2 if channels == 1 and dual_mono else 1
        self._sections = k_weighting(rate)
        self._state = np.zeros((len(self._sections), channels, 2))
        self._hops = array("d")
        self._rest = np.zeros(0)
        self.samples, self.peak = 0, 0.0

    def add(self, block: np.ndarray) -> None:
        weighted, self._state = sosfilt(self._sections, block, self._state)
        power = np.concatenate([self._rest, self._weight * np.square(weighted).sum(0)])
        whole = len(power) // self._hop
        self._hops.frombytes(power[: whole * self._hop].reshape(whole, self._hop).sum(1).tobytes())
        self._rest = power[whole * self._hop :].copy()
        self.samples += block.shape[1]
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))

    def lufs(self) -> float:
        """Of all that came: the mean of the blocks over both gates (sections 5 and 6), -inf if there are none."""
        hops = np.array(self._hops)
        if len(hops) < _HOPS:
            power = np.array([(hops.sum() + self._rest.sum()) / max(self.samples, 1)])
        else:
            power = np.convolve(hops, np.ones(_HOPS), "valid") / (_HOPS * self._hop)
        power = power[power > _power(_ABSOLUTE)]
        if not len(power):
            return -math.inf
        power = power[power > power.mean() * 10 ** (_RELATIVE / 10)]
        return float(_OFFSET + 10 * np.log10(power.mean()))


def measure(path: str | os.PathLike) -> Loudness:
    """The loudness of a file.

    Raises:
        AudioFileError: as `open_audio`, or it has more than two channels, NaN or infinite samples.
    """
    with open_audio(path) as file:
        if file.channels > 2:
            raise AudioFileError(path, f"{file.channels} channels: the loudness of mono and stereo is known here")
        meter = Meter(file.samplerate, file.channels)
        for block in read_blocks(file, _BLOCK):
            if not np.isfinite(block).all():
                raise AudioFileError(path, "NaN or infinite samples")
            meter.add(block)
        return Loudness(meter.lufs(), meter.peak, (file.channels, meter.samples), file.samplerate)


def k_weighting(rate: int) -> np.ndarray:
    """The head's shelf and the high-pass (Annex 1, tables 1 and 2) at any rate in Hz: two sections, float64 [2, 6].

    The standard lists coefficients for 48 kHz. They are bilinear transforms of a shelf of 4.0 dB at 1682 Hz and of a
    high-pass at 38.1 Hz, which are transformed here for `rate`.
    """
    gain, bend = 10 ** (3.999843853973347 / 20), 0.4996667741545416
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    shelf = [gain + gain**bend * k / q + k * k, 2 * (k * k - gain), gain - gain**bend * k / q + k * k]
    shelf += [1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    norm = 1 + k / q + k * k
    high_pass = [norm, -2 * norm, norm, norm, 2 * (k * k - 1), 1 - k / q + k * k]
    return np.array([np.divide(shelf, shelf[3]), np.divide(high_pass, norm)])


def _hop(rate: int) -> int:
    return round(rate / 10)


def _power(lufs: float) -> float:
    return 10 ** ((lufs - _OFFSET) / 10)


class TruePeakMeter:
    """True peak of float32 blocks [C, n]: `peak`, the largest absolute value of the wave, linear; at least a sample's.

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
            wave = joined[:, first : first + _STEP + _TAPS - 1]
            count = wave.shape[1] - _TAPS + 1
            between, product = (np.empty((len(wave), count), np.float32) for _ in range(2))
            for taps in self._phases:  # summed tap by tap, so always in one order
                np.multiply(wave[:, :count], taps[0], out=between)
                for number in range(1, _TAPS):
                    between += np.multiply(wave[:, number : number + count], taps[number], out=product)
                self.peak = max(self.peak, float(between.max()), -float(between.min()))
        self._rest = joined[:, block.shape[1] :]

    def finish(self) -> None:
        """The sound is over."""
        self.add(np.zeros((len(self._rest), _TAPS - 1), np.float32))


def _interpolators() -> np.ndarray:
    """Low-passes at half the rate that give the wave a quarter, a half and three quarters between samples: [3, T]."""
    shifts = np.arange(1, OVERSAMPLING)[:, None] / OVERSAMPLING
    times = np.arange(_TAPS) - (_TAPS // 2 - 1) - shifts
    window = np.i0(_BETA * np.sqrt(1 - np.square(2 * times / _TAPS))) / np.i0(_BETA)
    taps = np.sinc(times) * window
    return (taps / taps.sum(1, keepdims=True)).astype(np.float32)
