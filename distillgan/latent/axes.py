"""The directions in which a corpus's moments really differ: principal axes of the latent, and how many there are."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distillgan.errors import UserError
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.moments import FRAMES

_SHUFFLES = 100
_QUANTILE = 0.95
MAX_AXES = 32


@dataclass(frozen=True)
class Axes:
    """mean: [D]; directions: [n, D], of unit length, the widest first; spread: [n], standard deviation along each."""

    mean: np.ndarray
    directions: np.ndarray
    spread: np.ndarray

    def coordinates(self, z: np.ndarray) -> np.ndarray:
        """z [W, D] → [W, n] in standard deviations."""
        return (z - self.mean) @ self.directions.T / self.spread

    @classmethod
    def of(cls, corpus: CorpusLatents, seed: int = 0) -> "Axes":
        """Principal axes of the means of stretches of 16 frames, as many as stand out of chance.

        Chance is a corpus whose frames are shuffled in each dimension by itself: no two dimensions go together, and no
        frame goes with its neighbours. An axis is real while its variance is above the 95th percentile of the same
        axis's in 100 shuffled corpora (parallel analysis: Horn 1965; Glorfeld 1995 for the percentile).
        """
        z, rng = corpus.z.numpy().astype(np.float64), np.random.default_rng(seed)
        groups = _stretches(corpus.starts.numpy())
        means = _group_means(z, groups)
        mean = means.mean(0)
        _, singular, directions = np.linalg.svd(means - mean, full_matrices=False)
        chance = np.stack([_singular(_group_means(rng.permuted(z, axis=0), groups)) for _ in range(_SHUFFLES)])
        real = singular > np.maximum(np.quantile(chance, _QUANTILE, axis=0), 1e-9 * max(singular[0], 1e-30))
        count = min(MAX_AXES, len(real) if real.all() else int(np.argmin(real)))
        directions = directions[:count]
        # Which end of an axis is positive is arbitrary: that where its largest part is, so that it is always the same.
        largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
        return cls(mean, directions * np.sign(largest), singular[:count] / np.sqrt(len(means)))

    def extended(self, direction: np.ndarray, corpus: CorpusLatents) -> "Axes":
        """These and one more, along `direction` [D], as wide as the means of the corpus's stretches are along it.

        Raises UserError unless it is D finite numbers along which they differ.
        """
        direction, latent_dim = np.asarray(direction, np.float64), len(self.mean)
        if direction.shape != (latent_dim,) or not np.isfinite(direction).all() or not direction.any():
            shape = list(direction.shape)
            raise UserError(f"a direction of shape {shape} must be [{latent_dim}], of finite numbers, not all 0")
        unit = direction / np.linalg.norm(direction)
        means = _group_means(corpus.z.numpy().astype(np.float64), _stretches(corpus.starts.numpy()))
        spread = (means @ unit).std()
        if spread < 1e-6:
            raise UserError("the recordings do not differ along this direction: it would move nothing")
        return Axes(self.mean, np.vstack([self.directions, unit]), np.append(self.spread, spread))


def _stretches(starts: np.ndarray) -> np.ndarray:
    """Which stretch each frame belongs to, int [F]: pieces cut into 16 frames, their rest with the last."""
    numbers, number = np.empty(starts[-1], int), 0
    for start, end in pairwise(starts):
        count = max(1, (end - start) // FRAMES)
        numbers[start:end] = number + np.minimum(np.arange(end - start) // FRAMES, count - 1)
        number += count
    return numbers


def _group_means(z: np.ndarray, groups: np.ndarray) -> np.ndarray:
    sums = np.stack([np.bincount(groups, column) for column in z.T], 1)
    return sums / np.bincount(groups)[:, None]


def _singular(means: np.ndarray) -> np.ndarray:
    return np.linalg.svd(means - means.mean(0), compute_uv=False)
