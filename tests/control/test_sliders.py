"""Which sliders a model has, and why it lacks the others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from materials import analysis_of, corpus_of, response_of, with_response
from scipy.stats import spearmanr

from distillgan.control.latents import Segments
from distillgan.control.sliders import PERCENTILES, Analysis, Axes, Slider, rank_correlation
from distillgan.errors import UserError
from distillgan.features.descriptors import NAMES

CORPUS = corpus_of(300, 300, 300, dimensions=10)
SEGMENTS = len(Segments.of(CORPUS))
# Values of a scale that is noticeable in each descriptor; the brightness of a few octaves.
ANALYSIS = analysis_of(CORPUS)


def slider_of(analysis: Analysis, name: str) -> Slider:
    return {slider.name: slider for slider in analysis.sliders()}[name]


def test_what_moves_its_own_and_nothing_else_is_active():
    sliders = ANALYSIS.sliders()
    assert [slider.name for slider in sliders] == [*NAMES, "axis1"]
    assert [slider.reason for slider in sliders] == [None] * 9
    assert {(slider.least, slider.most) for slider in sliders} == {(-12, 12)}
    assert [slider.rank for slider in sliders[:8]] == [1.0] * 8
    assert [slider.crosstalk for slider in sliders[:8]] == pytest.approx([0.0] * 8)


def test_what_is_shown_is_in_the_unit_of_the_descriptor():
    brightness, reverb = (slider_of(ANALYSIS, name) for name in ("brightness", "reverb"))
    assert brightness.unit == "Hz" and brightness.shown == pytest.approx((0.25, 0.5, 1, 2, 4))
    assert reverb.unit == "dB/s" and reverb.shown == pytest.approx((4, 2, 1, 0.5, 0.25))
    low, middle, high = np.percentile(ANALYSIS.values[:, 0], (2, 50, 98))
    assert brightness.corpus == pytest.approx((2**low, 2**middle, 2**high))


def test_recordings_that_are_all_alike():
    values, percentiles = ANALYSIS.values.copy(), ANALYSIS.percentiles.copy()
    values[:, 1] = values[:, 1] * 0.01 - 6
    percentiles[1] = percentiles[1] * 0.01 - 6
    slider = slider_of(replace(ANALYSIS, values=values, percentiles=percentiles), "warmth")
    assert slider.reason.startswith("the recordings have no range in it: -6.0") and slider.reason.endswith("dB")


def test_a_descriptor_that_few_moments_have():
    known = np.where(np.array(NAMES) == "reverb", 0.12, 1.0)
    slider = slider_of(replace(ANALYSIS, known=known), "reverb")
    assert slider.reason == "only 12% of the recordings' moments have one"
    assert slider_of(replace(ANALYSIS, known=known), "warmth").reason is None


@pytest.mark.parametrize(
    "own",
    [[0, 0, 0, 0, 0], [2, 1, 0, -1, -2], [0, 2, -2, 2, 0], [-2, 2, 1, 0, 2], [-0.05, -0.02, 0, 0.02, 0.05]],
    ids=["nothing", "backwards", "to and fro", "a jump", "too little"],
)
def test_what_does_not_move_its_own_steadily_and_far(own):
    slider = slider_of(with_response(ANALYSIS, "warmth", own), "warmth")
    assert "moved from -10 to 10 it changes by" in slider.reason and "rank correlation" in slider.reason


def test_one_exchange_of_neighbours_is_forgiven():
    assert slider_of(with_response(ANALYSIS, "warmth", [-2, 0.1, 0, 1, 2]), "warmth").reason is None


@pytest.mark.parametrize(
    ("own", "ends"),
    [([0.5, -0.3, 0, 1, 2], (0, 12)), ([-2, -1, 0, -0.6, -0.9], (-12, 0)), ([-2, -1, 0, 1, 2], (-12, 12))],
)
def test_a_slider_may_have_one_side(own, ends):
    slider = slider_of(with_response(ANALYSIS, "warmth", own), "warmth")
    assert (slider.least, slider.most) == ends and slider.reason is None and slider.rank == 1


def test_one_side_must_be_clear():
    slider = slider_of(with_response(ANALYSIS, "warmth", [0.5, -0.3, 0, 0.2, 0.4]), "warmth")
    assert slider.reason is not None


def crossed(*others: float) -> Analysis:
    """Warmth moves so much of the descriptors after it, too."""
    slopes = np.eye(len(NAMES))
    slopes[1, 2 : 2 + len(others)] = others
    return replace(ANALYSIS, response=response_of(slopes))


def test_what_moves_all_the_others_too_is_inactive():
    slider = slider_of(crossed(*[0.9] * 6), "warmth")
    assert slider.reason.startswith("it moves the others, too: by 0.") and slider.crosstalk > 0.5
    assert slider_of(crossed(*[0.9] * 6), "roughness").reason is None


def test_crosstalk_is_the_mean_change_of_the_others_over_its_own():
    sized = ANALYSIS.spread
    assert slider_of(crossed(0.7), "warmth").crosstalk == pytest.approx(0.7 / sized[2] * sized[1] / 7, rel=0.01)
    assert slider_of(crossed(0.7, -0.7), "warmth").crosstalk == pytest.approx(
        0.7 * (1 / sized[2] + 1 / sized[3]) * sized[1] / 7, rel=0.01
    )


def test_what_an_inactive_descriptor_does_is_no_crosstalk():
    """It may well change: there is no slider of which this could be said."""
    known = np.where(np.isin(NAMES, ("roughness", "tension")), 0.0, 1.0)
    loud = replace(crossed(50, 50), known=known)
    assert slider_of(loud, "warmth").crosstalk == pytest.approx(0) and slider_of(loud, "warmth").reason is None


def test_wishes_are_percentiles_of_the_recordings():
    for number in range(8):
        for position, percentile in ((-12, 0.5), (-10, 2), (10, 98), (12, 99.5)):
            positions = np.where(np.arange(8) == number, position, 0)
            target = ANALYSIS.targets(positions)
            column = ANALYSIS.values[:, number]
            assert target[number] * column.std() + column.mean() == pytest.approx(np.percentile(column, percentile))
            assert np.delete(target, number) == pytest.approx(np.zeros(7), abs=1e-12)
    steps = [ANALYSIS.targets(np.full(8, position)) for position in np.linspace(-12, 12, 25)]
    assert (np.diff(steps, axis=0) > 0).all()


@pytest.mark.parametrize("outlier", [-100.0, 100.0])
def test_at_zero_nothing_is_wished_even_where_a_few_outliers_move_the_mean(outlier):
    values = np.random.default_rng(0).uniform(-0.01, 0.01, (SEGMENTS, 8))
    values[0] = outlier
    analysis = replace(ANALYSIS, values=values, percentiles=np.percentile(values, PERCENTILES, axis=0).T.copy())
    assert analysis.targets(np.zeros(8)) == pytest.approx(np.zeros(8), abs=1e-9)
    assert (analysis.targets(np.full(8, -10.0)) <= 0).all() and (analysis.targets(np.full(8, 10.0)) >= 0).all()


def test_stored_and_read_again():
    tensors = ANALYSIS.to_tensors()
    assert all(name.startswith("latent.analysis.") and t.dtype == torch.float32 for name, t in tensors.items())
    again = Analysis.from_tensors({**tensors, "vae.x": torch.zeros(1)}, 10, SEGMENTS, "rain.distillgan")
    for name in ("values", "known", "percentiles", "directions", "delivered", "response"):
        assert getattr(again, name) == pytest.approx(getattr(ANALYSIS, name), abs=1e-5)
    assert again.axes.directions == pytest.approx(ANALYSIS.axes.directions)
    assert again.sliders()[0].reason is None and len(again.sliders()) == 9
    assert all(torch.equal(again.to_tensors()[name], tensor) for name, tensor in tensors.items())


def test_without_axes_stored_and_read_again():
    bare = replace(ANALYSIS, axes=Axes(np.zeros(10), np.zeros((0, 10)), np.zeros(0)))
    again = Analysis.from_tensors(bare.to_tensors(), 10, SEGMENTS, "rain.distillgan")
    assert again.axes.directions.shape == (0, 10) and len(again.sliders()) == 8


def test_a_model_without_an_analysis():
    assert Analysis.from_tensors({"latent.z": torch.zeros(3, 10)}, 10, SEGMENTS, "rain.distillgan") is None


@pytest.mark.parametrize("name", list(ANALYSIS.to_tensors()))
@pytest.mark.parametrize("damage", ["missing", "shape", "scalar", "nan"])
def test_parts_that_do_not_fit_are_refused(name, damage):
    tensors = {key: tensor.clone() for key, tensor in ANALYSIS.to_tensors().items()}
    if damage == "missing":
        del tensors[name]
    elif damage == "nan":
        tensors[name].view(-1)[-1] = torch.nan
    else:
        tensors[name] = tensors[name][1:] if damage == "shape" else torch.tensor(1.0)
    with pytest.raises(UserError, match=r"^rain.distillgan: the part .* of its analysis is missing or not .*: retrain"):
        Analysis.from_tensors(tensors, 10, SEGMENTS, "rain.distillgan")


@pytest.mark.parametrize(("latent_dim", "segments"), [(11, SEGMENTS), (10, SEGMENTS + 1)])
def test_the_analysis_of_another_corpus_is_refused(latent_dim, segments):
    with pytest.raises(UserError, match="retrain"):
        Analysis.from_tensors(ANALYSIS.to_tensors(), latent_dim, segments, "rain.distillgan")


def test_the_rank_correlation_is_scipys_where_values_are_equal_too():
    rng = np.random.default_rng(2)
    for one, other in (rng.integers(0, 6, (2, 9)), rng.standard_normal((2, 5)), ([1, 1, 2], [3.0, 2.0, 2.0])):
        assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert rank_correlation(np.arange(4), np.ones(4)) == 0
