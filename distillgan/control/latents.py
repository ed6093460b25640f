"""The latents of a corpus, kept in the model file, and the segments of them that new sound is drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpectrogram, to_log1p
from distillgan.data.manifest import AudioClip
from distillgan.errors import UserError
from distillgan.models.base import LatentModel

MAX_FRAMES = 20_000  # about half an hour; more would make the model file, not the sound, larger
_CHUNK_SECONDS = 30.0
FRAMES = 16  # of a segment: 1.49 s at 10.8 latent frames a second
_HOP = 8


@dataclass(frozen=True)
class CorpusLatents:
    """Posterior means of chunks of the corpus, one after another.

    z: float32 [F, D]; starts: int64 [P + 1], chunk p is z[starts[p]:starts[p + 1]], contiguous in one recording.
    """

    z: Tensor
    starts: Tensor

    def to_tensors(self) -> dict[str, Tensor]:
        """Tensors for a model file, in half precision: its error is a hundredth of the posterior's width."""
        return {"latent.z": self.z.half(), "latent.starts": self.starts}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], latent_dim: int, origin: str) -> "CorpusLatents":
        """Raises UserError, naming `origin`, unless they are the latents of a corpus in `latent_dim` dimensions."""
        z, starts = (tensors.get(name, torch.empty(0)) for name in ("latent.z", "latent.starts"))
        if z.dim() != 2 or z.shape[1] != latent_dim or starts.dim() != 1 or starts.dtype != torch.int64:
            raise UserError(
                f"{origin}: its latents {list(z.shape)} and their starts {list(starts.shape)} are not those of a "
                f"corpus in {latent_dim} dimensions: retrain"
            )
        if len(starts) < 2 or starts[0] != 0 or starts[-1] != len(z) or not (starts.diff() > 0).all():
            raise UserError(f"{origin}: the starts of its latents do not divide their {len(z)} frames: retrain")
        return cls(z.float(), starts)

    @property
    def chunks(self) -> int:
        return len(self.starts) - 1

    def chunk(self, number: int) -> Tensor:
        """Latents [frames, D] of one chunk."""
        return self.z[self.starts[number] : self.starts[number + 1]]


class Chunk(NamedTuple):
    """A stretch of the clip of that number, from the sample `start` on."""

    clip: int
    start: int
    samples: int

    def read(self, clips: Sequence[AudioClip], latent_samples: int) -> Tensor:
        """Wave [1, N], padded with silence to whole latent frames of `latent_samples`."""
        count = -(-self.samples // latent_samples) * latent_samples
        return torch.from_numpy(clips[self.clip].read(self.start, count))[None]


def encode_corpus(
    network: LatentModel,
    mel: MelSpectrogram,
    clips: Sequence[AudioClip],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CorpusLatents:
    """Posterior means of the clips: whole if they come to at most MAX_FRAMES, else of chunks spread over them."""
    spec, device = mel.spec, next(network.parameters()).device
    latent_samples = spec.hop_length * network.stride
    chunks = chunks_of(clips, latent_samples)
    means = []
    with torch.no_grad():
        for done, chunk in enumerate(chunks, 1):
            mean, _ = network.encode(to_log1p(mel(chunk.read(clips, latent_samples).to(device)), spec))
            means.append(mean[0].T.float().cpu())
            progress(done, len(chunks))
    starts = np.cumsum([0] + [len(mean) for mean in means])
    return CorpusLatents(torch.cat(means), torch.from_numpy(starts.astype(np.int64)))


def chunks_of(clips: Sequence[AudioClip], latent_samples: int) -> list[Chunk]:
    """The chunks that `encode_corpus` encodes, in its order; `latent_samples` a latent frame."""
    chunks = []
    for number, clip in enumerate(clips):
        longest = int(_CHUNK_SECONDS * clip.sample_rate)
        chunks += [Chunk(number, start, min(longest, clip.length - start)) for start in range(0, clip.length, longest)]
    frames = [-(-chunk.samples // latent_samples) for chunk in chunks]
    share = min(1.0, MAX_FRAMES / sum(frames))
    kept, passed, taken = [], 0, 0
    for chunk, count in zip(chunks, frames, strict=True):
        passed += count
        # Never ahead of the share of what was passed, so never over the limit, and spread evenly below it.
        if taken + count <= passed * share + 1e-6:
            kept.append(chunk)
            taken += count
    return kept


@dataclass(frozen=True)
class Segments:
    """Windows of 16 half overlapping frames of a CorpusLatents, all int [W].

    first: first frame; count: frames, fewer than 16 only where the chunk is shorter; end: that of the chunk.
    """

    first: np.ndarray
    count: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def of(cls, corpus: CorpusLatents) -> "Segments":
        parts = []
        for start, end in pairwise(corpus.starts.tolist()):
            first = np.arange(start, max(start + 1, end - FRAMES + _HOP), _HOP)
            # The last one ends with its chunk: what ends a sound belongs to it.
            first = np.maximum(np.minimum(first, end - FRAMES), start)
            parts.append(np.stack([first, np.minimum(first + FRAMES, end) - first, np.full(len(first), end)]))
        return cls(*np.concatenate(parts, 1))

    def means(self, z: np.ndarray) -> np.ndarray:
        """The mean of each segment's frames of z [F, D], [W, D]."""
        total = np.concatenate([np.zeros((1, z.shape[1])), np.cumsum(z, 0, dtype=np.float64)])
        return (total[self.first + self.count] - total[self.first]) / self.count[:, None]
