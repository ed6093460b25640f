"""The place of a rendered sound: mono, or stereo by decorrelation; `binaural` has places around the head."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import tee, zip_longest

import numpy as np

from distillgan.audio.filters import convolved, evenly
from distillgan.errors import number

SECONDS = 0.05  # the filter's length
EDGE = (120.0, 200.0)  # Hz: nothing below the first, all above the second
_SEED = 3
_REST = (0.5, 2.5)  # ERBs between two turns of the phase
_ROUNDS = 20


def decorrelator(rate: int) -> tuple[np.ndarray, int]:
    """A filter [K] for the side of a stereo sound, and its sample of time zero.

    It is flat from 200 Hz up, nothing below 120 Hz, and its phase a quarter turn ahead or behind, in bands by chance.
    So a sound M and its side S are uncorrelated, partial by partial, and M + wS and M - wS equally loud in every band.
    From band to band the phase turns by half, up or down, within one ERB (Glasberg & Moore 1990, eq. 3 and 4): the
    delay is within ± 0.8 / ERB, 6 ms at 1 kHz and 0.7 ms at 10 kHz, and 0 in the mean.
    """
    half = round(SECONDS * rate / 2)
    size = 1 << (8 * half).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    gain = np.clip(np.log(np.maximum(frequencies, 1) / EDGE[0]) / np.log(EDGE[1] / EDGE[0]), 0, 1)
    gain = np.sin(np.pi / 2 * gain) ** 2
    spectrum = gain * np.exp(1j * _phase(frequencies))
    window = _tukey(2 * half)
    for _ in range(_ROUNDS):  # cut to its length, it is no longer flat: made flat again, in turns
        response = np.roll(np.fft.irfft(spectrum, size), half)[: 2 * half + 1] * window
        cut = np.fft.rfft(response, size) * np.exp(2j * np.pi * frequencies * half / rate)
        spectrum = gain * np.exp(1j * np.angle(cut))
    return response, half


def _phase(frequencies: np.ndarray) -> np.ndarray:
    """Phase in radians [F] at Hz [F]: plateaus at odd multiples of π/2, a step of ±π between two of them."""
    scale = _erbs(frequencies)
    rng = np.random.default_rng(_SEED)
    phase = np.full_like(frequencies, np.pi / 2)
    start = _erbs(np.array(EDGE[1]))
    while start < scale[-1]:
        # Back again: a slope of the whole would be a delay. Two by two: as often through 0, where it correlates with
        # the middle, as through π, where it does so inverted.
        for turn in rng.choice([-1, 1]) * np.array([1, 1, -1, -1]):
            start += rng.uniform(*_REST)
            phase += turn * np.pi * ((1 - np.cos(np.pi * np.clip(scale - start, 0, 1))) / 2)
            start += 1
    return phase


def _tukey(length: int) -> np.ndarray:
    """Tukey window [length + 1], 1 in the middle half (Harris 1978, eq. 38, α = 0.5)."""
    first = np.arange(length // 4 + 1)
    rise, fall = -1 + 4.0 * first / length, -3 + 4.0 * (length - first[::-1]) / length
    middle = np.ones(length + 1 - 2 * len(first))
    return np.concatenate([0.5 * (1 + np.cos(np.pi * rise)), middle, 0.5 * (1 + np.cos(np.pi * fall))])


def _erbs(frequencies: np.ndarray) -> np.ndarray:
    """Number of equivalent rectangular bandwidths below frequencies in Hz (Glasberg & Moore 1990, eq. 4)."""
    return 21.4 * np.log10(4.37e-3 * frequencies + 1)


WIDEST = 1.5
_STEP = 1 << 14  # samples at once


class Spatial(ABC):
    """A mono sound made into `channels` channels, block by block, in constant memory.

    name: as in conf/spatial; second: whether `place` uses a second rendering.
    """

    channels: int
    second: bool

    def __init__(self, name: str):
        self.name = name

    @abstractmethod
    def place(
        self, blocks: Iterable[np.ndarray], second: Iterable[np.ndarray] | None, rate: int
    ) -> Iterator[np.ndarray]:
        """Blocks float32 [channels, n] from blocks float32 [1, n] at `rate` Hz, however they are cut.

        `second` is the same sound drawn with other slow deviations, or the sound itself if None. Raises ValueError if
        it is not as long.
        """


class Mono(Spatial):
    """The sound as it is."""

    channels, second = 1, False

    def place(
        self, blocks: Iterable[np.ndarray], second: Iterable[np.ndarray] | None, rate: int
    ) -> Iterator[np.ndarray]:
        yield from blocks


class Stereo(Spatial):
    """Middle and side: L = (M + wS) / √(1 + w²) and R = (M - wS) / √(1 + w²).

    M is the sound, S the second rendering through `decorrelator`. So L and R are equally loud, their correlation is
    (1 - w²) / (1 + w²) above the bass, and their mean, which a mono loudspeaker plays, is M / √(1 + w²).

    width: w, 0 (both channels are the sound itself) to 1.5; at 1 the channels are uncorrelated.
    """

    channels = 2

    def __init__(self, width: float, name: str = "stereo"):
        super().__init__(name)
        self.width = number("spatial.width", width, 0, WIDEST)
        self.second = self.width > 0

    def place(
        self, blocks: Iterable[np.ndarray], second: Iterable[np.ndarray] | None, rate: int
    ) -> Iterator[np.ndarray]:
        if not self.second:
            for block in blocks:
                yield np.concatenate([block, block])
            return
        if second is None:
            blocks, second = tee(blocks)
        response, lead = decorrelator(rate)
        sides = evenly(convolved(second, response[None, None], lead), _STEP)
        scale = np.float32(1 / np.sqrt(1 + self.width**2))
        for middle, side in zip_longest(evenly(blocks, _STEP), sides, fillvalue=np.zeros((1, 0))):
            if middle.shape != side.shape:
                raise ValueError("the second rendering is not as long as the first")
            spread = np.float32(self.width) * side
            yield scale * np.concatenate([middle + spread, middle - spread])
