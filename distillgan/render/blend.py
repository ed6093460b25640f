"""Several models at once: their mels morphed into one that one vocoder plays, or their waves mixed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.latent.curves import Curve

MODES = ("mel", "audio")
MOST = 4
_FRAMES = 256  # mel frames that are morphed at once
_MEAN_OF = 1000  # moments of a weight that moves


@dataclass(frozen=True)
class Part:
    """One model of a blend, by name, and its weight over time (0 or more)."""

    model: str
    weight: Curve


def parse(words: object) -> list[Part]:
    """["rain:60", "wind:40"], or with weights over time "rain:0:100 8:0", → parts.

    Raises:
        UserError: there are not 2 to 4 of them, one is not name:weight, a weight is negative, or none is ever above 0.
    """
    if not isinstance(words, list) or not 2 <= len(words) <= MOST:
        raise UserError(
            f"blend={words} must list 2 to {MOST} models with their weights, such as blend=[rain:60,wind:40]"
        )
    parts = []
    for word in words:
        name, colon, weight = str(word).partition(":")
        if not name or not colon:
            raise UserError(f"blend: {word!r} must be a model and its weight, such as rain:60")
        try:
            value = float(weight)
        except ValueError:
            value = weight
        curve = Curve.parse(f"blend: the weight of {name}", value)
        if curve.extremes[0] < 0:
            raise UserError(f"blend: the weight of {name} ({weight}) must be 0 or more")
        parts.append(Part(name, curve))
    names = [part.model for part in parts]
    if len(set(names)) < len(names):
        raise UserError(f"blend={words} names a model twice: give it one weight")
    ends = sorted({second for part in parts for second in part.weight.seconds})
    if min(sum(part.weight.at(np.array(ends)) for part in parts)) <= 0:
        raise UserError(f"blend={words}: at some time all weights are 0")
    return parts


def morphed(parts: list[Part], mels: list[Iterable[Tensor]], spec: MelSpec) -> Iterator[Tensor]:
    """Log-clamp mels, each in blocks [1, n_mels, t], as many frames each → their weighted mean, in blocks.

    In the logarithm, so that half of a loud and half of a quiet spectrum are one in the middle.
    """
    first = 0
    for blocks in zip(*(_even(mel) for mel in mels), strict=True):
        seconds = (first + np.arange(blocks[0].shape[-1])) / spec.frame_rate
        yield sum(torch.from_numpy(share) * block for share, block in zip(_shares(parts, seconds), blocks, strict=True))
        first += blocks[0].shape[-1]


def mixed(parts: list[Part], waves: list[Iterable[np.ndarray]], rate: int) -> Iterator[np.ndarray]:
    """Waves in blocks [1, n], as many samples each → their weighted sum, in blocks; the weights' squares add up to 1.

    So that sounds which know nothing of each other are together as loud as each was.
    """
    first = 0
    for blocks in zip(*waves, strict=True):
        seconds = (first + np.arange(blocks[0].shape[-1])) / rate
        gains = np.sqrt(np.stack(_shares(parts, seconds)))
        yield sum(gain * block for gain, block in zip(gains, blocks, strict=True)).astype(np.float32)
        first += blocks[0].shape[-1]


def loudness(parts: list[Part], lufs: list[float], seconds: float, mode: str) -> float:
    """How loud a blend is whose models are of these LUFS: morphed in the mean of the logarithm, mixed in that of power.

    The mean is one over the whole time, as the weights go.
    """
    times = (np.arange(_MEAN_OF) + 0.5) * seconds / _MEAN_OF
    shares = np.array([share.mean(dtype=np.float64) for share in _shares(parts, times)])
    levels = np.array(lufs)
    return float(shares @ levels if mode == "mel" else 10 * np.log10(shares @ 10 ** (levels / 10)))


def _shares(parts: list[Part], seconds: np.ndarray) -> list[np.ndarray]:
    weights = np.stack([part.weight.at(seconds) for part in parts])
    return list((weights / weights.sum(0)).astype(np.float32))


def _even(blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same frames in blocks of _FRAMES: those of models with other strides have other lengths."""
    waiting = None
    for block in blocks:
        waiting = block if waiting is None else torch.cat([waiting, block], -1)
        while waiting.shape[-1] >= _FRAMES:
            yield waiting[..., :_FRAMES]
            waiting = waiting[..., _FRAMES:]
    if waiting is not None and waiting.shape[-1]:
        yield waiting
