"""Segments come as often as their weights say, and sliders exchange only those that no longer suit."""

from itertools import pairwise

import numpy as np
import pytest
from materials import LATENT_RATE, analysis_of, controls_of, corpus_of, numbered

from distillgan.control.latents import Segments
from distillgan.control.segments import Grain, Selection, axis_target
from distillgan.control.sliders import Controls

SHAPES = [(1,), (1, 1, 1), (2, 9, 1), (15,), (16,), (17,), (40,), (300, 60, 16), (5, 1, 300, 2, 33)]
LONG = 24 * 4000  # latent frames: some 4000 grains


def selection_of(corpus, analysis=None, controls=None) -> Selection:
    segments = Segments.of(corpus)
    coordinates = None if analysis is None else analysis.axes.coordinates(segments.means(corpus.z.numpy()))
    return Selection(segments, analysis, controls or Controls(), coordinates)


def grains_of(selection: Selection, frames: int = 1000, evolution: float = 0.5, overlap: int = 8, seed=0, apart=None):
    return list(selection.grains(frames, LATENT_RATE, evolution, overlap, np.random.default_rng(seed), apart))


def squares(numbers: list[int], shares: np.ndarray) -> float:
    """Chi-square over its degrees of freedom: about 1 where the numbers are drawn with these shares."""
    expected = len(numbers) * shares
    counts = np.bincount(numbers, minlength=len(shares))
    return float((np.square(counts - expected) / expected).sum() / (len(shares) - 1))


def test_drawn_anew_each_moment_comes_as_often_as_any():
    selection = selection_of(numbered(*[16] * 30))
    numbers = [grain.segment for grain in grains_of(selection, LONG, evolution=1.0)]
    assert squares(numbers, np.full(30, 1 / 30)) < 1.8
    # And with no regard to the one before.
    repeated = np.mean(np.diff(numbers) == 0)
    assert repeated == pytest.approx(1 / 30, abs=0.012)


@pytest.mark.parametrize("position", [-8, 6])
def test_under_a_slider_each_moment_comes_with_its_weight(position):
    corpus = numbered(*[16] * 30)
    analysis = analysis_of(corpus, seed=1)
    selection = selection_of(corpus, analysis, controls_of(warmth=position))
    weights = np.exp(selection.log_weights(0.0))
    assert weights.sum() == pytest.approx(1) and weights.max() > 2 / 30
    numbers = [grain.segment for grain in grains_of(selection, LONG, evolution=1.0)]
    often = weights * len(numbers) > 5  # chi-square needs some of each
    rest = weights[~often].sum()
    shares = np.append(weights[often], rest if rest > 0 else 1e-9)
    places = np.where(often, np.cumsum(often) - 1, often.sum())
    assert squares(places[numbers].tolist(), shares) < 2.2
    wished = analysis.values[:, 1] @ weights - analysis.values[:, 1].mean()
    assert wished * np.sign(position) > 0.3


def test_without_evolution_it_stays_with_one_moment():
    grains = grains_of(selection_of(corpus_of(300, 200, 100)), 3000, evolution=0.0)
    assert len(grains) > 50 and len({grain.segment for grain in grains}) == 1
    others = {grains_of(selection_of(corpus_of(300, 200, 100)), 10, 0.0, seed=seed)[0].segment for seed in range(20)}
    assert len(others) > 10


def test_the_more_evolution_the_more_moments():
    selection = selection_of(corpus_of(*[100] * 10))
    counts = [len({grain.segment for grain in grains_of(selection, 2000, evolution)}) for evolution in (0, 0.1, 0.4, 1)]
    assert counts[0] == 1 and (np.diff(counts) > 0).all()


def test_moving_a_slider_a_little_exchanges_few_moments():
    corpus = corpus_of(*[100] * 20, dimensions=8)
    analysis, seeds = analysis_of(corpus), range(40)

    def first_segments(**settings: float) -> np.ndarray:
        selection = selection_of(corpus, analysis, controls_of(**settings))
        return np.array([grains_of(selection, 1, seed=seed)[0].segment for seed in seeds])

    still = first_segments()
    little, much = (np.mean(first_segments(warmth=position) != still) for position in (1, 10))
    assert little < 0.35 and much > 0.6
    assert np.mean(first_segments(warmth=6) != first_segments(warmth=6.5)) < 0.3


def test_an_axis_is_a_wish_along_its_coordinate():
    corpus = corpus_of(*[100] * 20, dimensions=8)
    analysis = analysis_of(corpus)
    along = analysis.axes.coordinates(Segments.of(corpus).means(corpus.z.numpy()))[:, 0]
    means = []
    for position in (-5, 0, 5):
        controls = controls_of(axis1=position) if position else Controls()
        weights = np.exp(selection_of(corpus, analysis, controls).log_weights(0.0))
        means.append(along @ weights / weights.sum())
    assert means[0] < means[1] < means[2]
    assert (
        axis_target(10) == pytest.approx(2.05) and axis_target(0) == 0
    )  # the 98th percentile of a normal distribution


def test_weights_follow_the_slider_over_time():
    corpus = corpus_of(*[100] * 10, dimensions=8)
    analysis = analysis_of(corpus)
    selection = selection_of(corpus, analysis, controls_of(warmth="10:-8 12:8"))
    weights = [np.exp(selection.log_weights(seconds)) for seconds in (0, 10, 11, 12, 60)]
    means = [analysis.values[:, 1] @ some / some.sum() for some in weights]
    assert means[0] == means[1] < means[2] < means[3] == means[4]


@pytest.mark.parametrize("lengths", SHAPES, ids=str)
@pytest.mark.parametrize("overlap", [0, 1, 8])
def test_slots_stay_within_their_piece_and_overlap_by_half_at_most(lengths, overlap):
    corpus = numbered(*lengths)
    segments, starts = Segments.of(corpus), corpus.starts.numpy()
    for evolution in (0.0, 0.5, 1.0):
        grains = grains_of(selection_of(corpus), 400, evolution, overlap, seed=3)
        for grain in grains:
            chunk = np.searchsorted(starts, segments.first[grain.segment], "right") - 1
            assert starts[chunk] <= grain.first and grain.first + grain.count <= starts[chunk + 1]
            assert 1 <= grain.count <= 32
        assert grains[0].at == 0 and grains[-1].at + grains[-1].count >= 400
        for before, after in pairwise(grains):
            common = before.at + before.count - after.at
            assert 0 <= common <= min(overlap, before.count / 2, after.count / 2)
            assert after.at > before.at


def test_slots_are_a_second_and_a_half_to_three_where_there_is_material():
    counts = [grain.count for grain in grains_of(selection_of(corpus_of(*[3000] * 4)), 20_000, overlap=0)]
    assert np.quantile(counts, 0.02) >= 16 and 31 <= max(counts) <= 32
    assert np.mean(counts) == pytest.approx(24, abs=1)


def test_the_same_recording_goes_on_rather_than_to_begin_again():
    corpus = numbered(200)
    segments = Segments.of(corpus)
    grains = grains_of(selection_of(corpus), 3000, evolution=1.0, overlap=0)
    gone_on = 0
    for before, after in pairwise(grains):
        ended = before.first + before.count
        if abs(segments.first[after.segment] - ended) < 12 and ended < 185:
            assert after.first == ended
            gone_on += 1
    assert gone_on > 5


def test_slots_may_begin_at_a_pace_of_their_own():
    grains = grains_of(selection_of(corpus_of(*[20] * 8)), 2000, 1.0, 0, apart=(24, 64))
    apart = np.diff([grain.at for grain in grains])
    assert grains[0].at == 0 and apart.min() >= 24 and apart.max() < 64
    assert grains[-1].at < 2000 <= grains[-1].at + 64
    assert isinstance(grains[0], Grain)
