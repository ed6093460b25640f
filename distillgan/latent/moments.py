"""The moments of a corpus, that new sound is made of: windows of 16 latent frames (1.5 s), half overlapping."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distillgan.latent.corpus import CorpusLatents

FRAMES = 16  # 1.49 s at 10.8 latent frames a second
_HOP = 8


@dataclass(frozen=True)
class Moments:
    """Where the moments lie among the frames of a CorpusLatents: all int [W].

    first: their first frame; count: their frames, fewer than 16 only where the piece is shorter; end: that of the
    piece that each lies in.
    """

    first: np.ndarray
    count: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def of(cls, corpus: CorpusLatents) -> "Moments":
        parts = []
        for start, end in pairwise(corpus.starts.tolist()):
            first = np.arange(start, max(start + 1, end - FRAMES + _HOP), _HOP)
            # The last one ends with its piece: what ends a sound belongs to it.
            first = np.maximum(np.minimum(first, end - FRAMES), start)
            parts.append(np.stack([first, np.minimum(first + FRAMES, end) - first, np.full(len(first), end)]))
        return cls(*np.concatenate(parts, 1))

    def means(self, z: np.ndarray) -> np.ndarray:
        """The mean of each moment's frames of z [F, D], [W, D]."""
        total = np.concatenate([np.zeros((1, z.shape[1])), np.cumsum(z, 0, dtype=np.float64)])
        return (total[self.first + self.count] - total[self.first]) / self.count[:, None]
