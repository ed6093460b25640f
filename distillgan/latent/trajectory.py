"""New latent sequences drawn around the corpus's own."""

import numpy as np
import torch
from torch import Tensor

from distillgan.latent.corpus import CorpusLatents

_MOMENT_FRAMES = (16, 44)  # 1.5 to 4 s at 10.8 frames a second
_FADE_FRAMES = 4
_LARGEST_SHARE = 0.5
_SHARE_PERIOD = 32
_WANDER = 0.15


def draw_trajectory(corpus: CorpusLatents, frames: int, seed: int) -> Tensor:
    """A latent sequence [D, frames], a pure function of its arguments.

    Two walks through the corpus, each a chain of its moments of 1.5 to 4 s faded into one another, are mixed with a
    share that drifts between none and half of the second; a slow deviation of a seventh of the corpus's own spread is
    added. So each moment comes clearly from the material, and none is a copy of it.
    """
    rng = np.random.default_rng(seed)
    first, second = (_walk(corpus, frames, rng) for _ in range(2))
    share = _LARGEST_SHARE * 0.5 * (1 + np.tanh(_slow_noise(1, frames, rng)))
    deviation = _WANDER * corpus.z.std(0, correction=0).numpy()[:, None] * _slow_noise(first.shape[0], frames, rng)
    return torch.from_numpy((first * (1 - share) + second * share + deviation).astype(np.float32))


def _walk(corpus: CorpusLatents, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Moments of the corpus one after another, [D, frames]."""
    z = corpus.z.numpy().astype(np.float64)
    starts = corpus.starts.numpy()
    lengths = np.diff(starts)
    weights = np.maximum(lengths, _MOMENT_FRAMES[0]) / np.maximum(lengths, _MOMENT_FRAMES[0]).sum()
    out = np.zeros((frames + _MOMENT_FRAMES[1], z.shape[1]))
    end = 0
    while end < frames:
        piece = rng.choice(len(lengths), p=weights)
        count = int(min(lengths[piece], rng.integers(*_MOMENT_FRAMES)))
        offset = starts[piece] + rng.integers(0, lengths[piece] - count + 1)
        fade = min(_FADE_FRAMES, end, count)
        ramp = (np.arange(fade) + 1)[:, None] / (fade + 1)
        moment = z[offset : offset + count]
        begin = end - fade
        out[begin:end] = out[begin:end] * (1 - ramp) + moment[:fade] * ramp
        # A moment no longer than its fade still moves the walk on by a frame, or it would never end.
        step = max(1, count - fade)
        out[end : end + step] = moment[-step:]
        end += step
    return out[:frames].T


def _slow_noise(channels: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit variance that changes over some 3 s, [channels, frames]."""
    points = frames // _SHARE_PERIOD + 3
    values = rng.standard_normal((channels, points))
    position = np.arange(frames) / _SHARE_PERIOD + rng.random()
    left = position.astype(int)
    blend = 0.5 - 0.5 * np.cos(np.pi * (position - left))
    return values[:, left] * np.sqrt(1 - blend) + values[:, left + 1] * np.sqrt(blend)
