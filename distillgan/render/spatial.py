"""Where a rendered sound is heard: in the middle, between two loudspeakers, or (see binaural.py) around the head."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import tee, zip_longest

import numpy as np

from distillgan.audio.convolve import convolved, evenly
from distillgan.checks import number
from distillgan.render.decorrelate import decorrelator

WIDEST = 1.5
_STEP = 1 << 14  # samples at once


class Spatial(ABC):
    """A mono sound made into one of `channels` channels, block by block, in constant memory.

    name: as in conf/spatial.
    second: whether `place` makes use of a second rendering.
    """

    channels: int
    second: bool

    def __init__(self, name: str):
        self.name = name

    @abstractmethod
    def place(
        self, blocks: Iterable[np.ndarray], second: Iterable[np.ndarray] | None, rate: int
    ) -> Iterator[np.ndarray]:
        """Blocks float32 [1, n] at `rate` Hz → blocks float32 [channels, n], as many samples in all.

        `second` is the same sound, as long, drawn with another seed of its slow deviations; without it, the sound
        itself takes its place. The samples do not depend on how either is cut into blocks.

        Raises:
            ValueError: the two are not equally long.
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

    M is the sound, S the second rendering through `decorrelator`: nothing of it is in the bass, and it is in step with
    M. So L and R are equally loud, their correlation is (1 - w²) / (1 + w²) where there is a side, and their mean, what
    a mono loudspeaker plays, is M / √(1 + w²) and nothing else.

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
