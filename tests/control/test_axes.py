"""As many axes as a corpus has slow factors, pointing the way these do."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from distillgan.control.latents import CorpusLatents, Segments
from distillgan.control.sliders import Axes
from distillgan.errors import UserError

PIECES, FRAMES = 20, 120


def directions_of(factors: int, dimensions: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng([seed, 1]).standard_normal((dimensions, dimensions)))[0][:factors]


def corpus_of(factors: int, dimensions: int, seed: int, strengths: np.ndarray | float = 2.0) -> CorpusLatents:
    """Frames of noise, and factors along directions_of that change over seconds; `strengths` times the noise."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((PIECES * FRAMES, dimensions))
    slow = [gaussian_filter1d(rng.standard_normal((FRAMES, factors)), 16, axis=0, mode="wrap") for _ in range(PIECES)]
    slow = np.concatenate(slow)
    z += strengths * slow / np.maximum(slow.std(0), 1e-9) @ directions_of(factors, dimensions, seed)
    return CorpusLatents(torch.from_numpy(z.astype(np.float32)), torch.arange(PIECES + 1) * FRAMES)


@pytest.mark.parametrize("dimensions", [16, 32])
@pytest.mark.parametrize("factors", [1, 3, 5])
def test_as_many_axes_as_slow_factors(factors, dimensions):
    for seed in range(6):
        axes = Axes.of(corpus_of(factors, dimensions, seed))
        assert axes.directions.shape == (factors, dimensions) and axes.spread.shape == (factors,)
        assert axes.directions @ axes.directions.T == pytest.approx(np.eye(factors), abs=1e-6)
        # Together they span the factors' space.
        within = axes.directions @ directions_of(factors, dimensions, seed).T
        assert np.square(within).sum() > 0.97 * factors


@pytest.mark.parametrize("dimensions", [16, 32])
def test_noise_has_no_axes(dimensions):
    """Above the 95th percentile of chance is one corpus of noise in twenty, by definition; here some more may be."""
    counts = [len(Axes.of(corpus_of(0, dimensions, seed)).spread) for seed in range(20)]
    assert counts.count(0) >= 15 and sum(counts) <= 8


def test_a_loud_dimension_of_noise_is_no_axis():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2400, 16)) * np.where(np.arange(16) == 5, 30.0, 1.0)
    corpus = CorpusLatents(torch.from_numpy(z.astype(np.float32)), torch.tensor([0, 2400]))
    assert len(Axes.of(corpus).spread) == 0


def test_the_widest_comes_first_and_spread_and_coordinates_are_standard_deviations():
    corpus = corpus_of(3, 16, 1, np.array([2.0, 8.0, 4.0]))
    axes = Axes.of(corpus)
    true = directions_of(3, 16, 1)[[1, 2, 0]]
    assert np.abs(np.sum(axes.directions * true, 1)).min() > 0.95
    assert (np.diff(axes.spread) < 0).all()
    assert axes.spread == pytest.approx([8, 4, 2], rel=0.2)
    coordinates = axes.coordinates(Segments.of(corpus).means(corpus.z.numpy()))
    assert coordinates.mean(0) == pytest.approx(np.zeros(3), abs=0.15)
    assert coordinates.std(0) == pytest.approx(np.ones(3), abs=0.15)


def test_signs_are_always_the_same():
    corpus = corpus_of(3, 16, 2)
    first, mirrored = Axes.of(corpus), Axes.of(CorpusLatents(-corpus.z, corpus.starts))
    assert (np.take_along_axis(first.directions, np.abs(first.directions).argmax(1)[:, None], 1) > 0).all()
    # The same space, so the same directions: not their opposites.
    assert first.directions == pytest.approx(mirrored.directions, abs=1e-6)
    assert (Axes.of(corpus).directions == first.directions).all()


@pytest.mark.parametrize("lengths", [(1,), (15,), (16,), (17,), (40,), (1,) * 50, (300, 2)], ids=str)
def test_corpora_of_all_shapes(lengths):
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.standard_normal((sum(lengths), 8)).astype(np.float32))
    axes = Axes.of(CorpusLatents(z, torch.tensor(np.cumsum([0, *lengths]))))
    assert len(axes.spread) < 8 and (axes.spread > 0).all() and np.isfinite(axes.directions).all()


def test_a_corpus_that_never_changes_has_no_axes():
    assert len(Axes.of(CorpusLatents(torch.full((400, 8), 3.0), torch.tensor([0, 100, 400]))).spread) == 0


def test_a_direction_of_ones_own_is_one_axis_more():
    corpus, true = corpus_of(2, 16, 4), directions_of(2, 16, 4)
    axes = Axes.of(corpus)
    mine = axes.extended(7 * (true[0] + true[1]), corpus)
    assert (mine.directions[:2] == axes.directions).all() and (mine.spread[:2] == axes.spread).all()
    assert mine.directions[2] == pytest.approx((true[0] + true[1]) / np.sqrt(2), abs=1e-6)
    coordinates = mine.coordinates(Segments.of(corpus).means(corpus.z.numpy()))[:, 2]
    assert (coordinates.mean(), coordinates.std()) == pytest.approx((0, 1), abs=0.1)


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        (np.ones(15), r"of shape \[15\] must be \[16\]"),
        (np.ones((1, 16)), r"of shape \[1, 16\]"),
        (np.zeros(16), "not all 0"),
        (np.full(16, np.inf), "of finite numbers"),
        (np.eye(16)[3], "do not differ along this direction"),
    ],
)
def test_what_is_no_direction_of_a_corpus_is_refused(direction, words):
    corpus = corpus_of(2, 16, 4)
    corpus.z[:, 3] = 1.5
    with pytest.raises(UserError, match=words):
        Axes.of(corpus).extended(direction, corpus)
