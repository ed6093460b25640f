"""Integrated loudness (ITU-R BS.1770-4, Annex 1), block by block, so that sound of any length fits into memory."""

import math
import os
from array import array
from dataclasses import dataclass

import numpy as np

from distillgan.audio.iir import sosfilt
from distillgan.audio.io import AudioFileError, open_audio, read_blocks

_BLOCK = 1 << 16
_HOPS = 4  # gating blocks of 400 ms overlap by 75 %
_ABSOLUTE, _RELATIVE = -70.0, -10.0  # gates: LUFS, and LU under the mean
_OFFSET = -0.691
DUAL_MONO_LU = 10 * math.log10(2)  # what a second loudspeaker with the same sound adds
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
    """Float32 blocks [C, n] at `rate` Hz go in; channels are of weight 1, as left, right and centre are.

    dual_mono: a single channel counts as two, as it is heard from both loudspeakers: otherwise a mono sound is 3 dB
    quieter than the same sound as stereo, and so the standard and FFmpeg's `ebur128` measure a mono file.
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
