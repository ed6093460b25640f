"""The corpus as points of TensorBoard's projector: a moment each, with its recording, second, descriptors and mel."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from distillgan.audio.mel import MelSpectrogram, to_log1p
from distillgan.data.cache import AudioClip
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.errors import printable
from distillgan.latent.corpus import CorpusLatents, pieces_of
from distillgan.latent.descriptors import DESCRIPTORS, readable
from distillgan.latent.moments import Moments
from distillgan.latent.sliders import Analysis

MOST = 2500  # points: an embedding of more takes a browser long, and a picture of so many still fits every GPU
SIDE = 32  # pixels of a point's picture


@dataclass(frozen=True)
class CorpusPoints:
    """P points. means: float64 [P, D], of each moment's latent frames; columns, rows: names, and the texts of each
    point; pictures: float32 [P, 3, SIDE, SIDE], 0…1, its mel, low bands below, dark where there is sound.
    """

    means: np.ndarray
    columns: list[str]
    rows: list[list[str]]
    pictures: Tensor


@torch.no_grad()
def corpus_points(
    clips: dict[str, list[AudioClip]],
    latents: CorpusLatents,
    analysis: Analysis | None,
    mel: MelSpectrogram,
    stride: int,
) -> CorpusPoints:
    """The moments of the clips, in the order in which `encode_corpus` was given them; MOST at most, evenly spread.

    `stride`: mel frames a latent frame. Without an analysis there are no descriptors.
    """
    moments = Moments.of(latents)
    chosen = np.unique(np.linspace(0, len(moments) - 1, min(MOST, len(moments))).round().astype(int))
    split_of = [split for split in (TRAIN, HELD_OUT) for _ in clips[split]]
    heard, latent_samples = [*clips[TRAIN], *clips[HELD_OUT]], stride * mel.spec.hop_length
    pieces, starts = pieces_of(heard, latent_samples), latents.starts.numpy()
    of_piece = np.searchsorted(starts, moments.first[chosen], side="right") - 1
    begins = moments.first[chosen] - starts[of_piece]
    columns, rows = ["recording", "second", "split"], []
    for number, begin in zip(of_piece, begins, strict=True):
        piece = pieces[number]
        second = (piece.start + begin * latent_samples) / mel.spec.sample_rate
        rows.append([printable(heard[piece.clip].name), f"{second:.2f}", split_of[piece.clip]])
    if analysis is not None:
        columns += [f"{item.name}, {item.unit}" for item in DESCRIPTORS]
        for row, values in zip(rows, analysis.values[chosen], strict=True):
            row += [readable(item.shown(value)) for item, value in zip(DESCRIPTORS, values, strict=True)]
    spans, device, mels = np.stack([begins, begins + moments.count[chosen]], 1) * stride, mel.bank.device, []
    for number, piece in enumerate(pieces):
        own = spans[of_piece == number]
        if len(own):
            x = to_log1p(mel(piece.read(heard, latent_samples).to(device)), mel.spec)
            mels += [adaptive_avg_pool2d(x[..., first:last], SIDE)[0].cpu() for first, last in own]
    return CorpusPoints(moments.means(latents.z.numpy())[chosen], columns, rows, _drawn(torch.stack(mels)))


def _drawn(mels: Tensor) -> Tensor:
    """Log1p mels [P, n_mels, T] → pictures [P, 3, n_mels, T], all on one scale of greys.

    The projector multiplies a picture by its point's colour, so that only light ones show it, and its page is white.
    """
    grey = 0.9 - 0.8 * mels.flip(1) / max(1e-6, float(mels.max()))
    return grey[:, None].expand(-1, 3, -1, -1)
