"""Corpora whose latents say where they come from, and analyses that are known by construction."""

from dataclasses import replace

import numpy as np
import torch

from distillgan.control.latents import CorpusLatents, Segments
from distillgan.control.sliders import PERCENTILES, POSITIONS, Analysis, Axes, Controls, Curve
from distillgan.control.trajectory import Material
from distillgan.features.descriptors import NAMES

FRAME_RATE, STRIDE = 44100 / 512, 8
LATENT_RATE = FRAME_RATE / STRIDE


def corpus_of(*lengths: int, dimensions: int = 6, seed: int = 0) -> CorpusLatents:
    """Pieces of slow noise, each around a place of its own; the dimensions differ in mean and spread."""
    rng = torch.Generator().manual_seed(seed)
    chunks = []
    for length in lengths:
        drift = torch.randn(length + 8, dimensions, generator=rng).unfold(0, 9, 1).mean(-1) * 2
        chunks.append(drift + torch.randn(dimensions, generator=rng))
    z = torch.cat(chunks) * torch.linspace(0.1, 2, dimensions) + torch.arange(dimensions)
    return CorpusLatents(z, starts_of(*lengths))


def numbered(*lengths: int, dimensions: int = 2) -> CorpusLatents:
    """Frame f is f throughout: what is drawn tells where it was taken from."""
    z = torch.arange(sum(lengths), dtype=torch.float32)[:, None].expand(-1, dimensions).contiguous()
    return CorpusLatents(z, starts_of(*lengths))


def starts_of(*lengths: int) -> torch.Tensor:
    return torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])


def analysis_of(corpus: CorpusLatents, seed: int = 0, **changes) -> Analysis:
    """Descriptors of the segments are independent normal numbers, and each slider moves its own from -2 to 2.

    Each descriptor's direction is a latent dimension; half of a target is delivered by it; one axis, along the first.
    """
    segments, dimensions = len(Segments.of(corpus)), corpus.z.shape[1]
    values = np.random.default_rng(seed).standard_normal((segments, len(NAMES)))
    parts = {
        "values": values,
        "known": np.ones(len(NAMES)),
        "percentiles": np.percentile(values, PERCENTILES, axis=0).T.copy(),
        "directions": np.eye(len(NAMES), dimensions) * (np.arange(len(NAMES)) < 4)[:, None],
        "delivered": np.full(len(NAMES), 0.3),
        "response": response_of(np.eye(len(NAMES))),
        "axes": Axes(np.zeros(dimensions), np.eye(1, dimensions), np.array([2.0])),
    }
    return Analysis(**{**parts, **changes})


def response_of(slopes: np.ndarray) -> np.ndarray:
    """slopes [8, 8]: by how much slider s moves descriptor d over five of its steps."""
    return np.array(POSITIONS)[None, :, None] / 5 * slopes[:, None, :]


def with_response(analysis: Analysis, name: str, own: list[float]) -> Analysis:
    """The slider `name` moves its descriptor so at its five positions."""
    response = analysis.response.copy()
    response[NAMES.index(name), :, NAMES.index(name)] = own
    return replace(analysis, response=response)


def material_of(corpus: CorpusLatents, analysis: Analysis | None = None) -> Material:
    return Material(corpus, analysis, FRAME_RATE, STRIDE)


def controls_of(**settings: float | str) -> Controls:
    return Controls({name: Curve.parse(name, value) for name, value in settings.items()})
