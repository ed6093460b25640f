"""Sliders as the user sets them: those there are, as far as they go."""

from dataclasses import replace

import numpy as np
import pytest
from materials import analysis_of, corpus_of, with_response

from distillgan.control.sliders import Controls
from distillgan.errors import UserError
from distillgan.features.descriptors import NAMES

ANALYSIS = analysis_of(corpus_of(300, 300, dimensions=8))
LACKING = replace(ANALYSIS, known=np.where(np.array(NAMES) == "reverb", 0.0, 1.0))
TIMES = np.array([0.0, 4.0, 8.0, 100.0])


def test_numbers_and_breakpoints():
    controls, warnings = Controls.parse({"warmth": 3, "rhythm": "0:-5 8:7", "axis1": -2.5}, ANALYSIS, "rain")
    positions = dict(zip(NAMES, controls.descriptors(TIMES).tolist(), strict=True))
    assert warnings == []
    assert positions.pop("warmth") == [3, 3, 3, 3] and positions.pop("rhythm") == [-5, 1, 7, 7]
    assert set(map(tuple, positions.values())) == {(0, 0, 0, 0)}
    assert list(controls.axes()) == [0] and controls.axes()[0].at(TIMES).tolist() == [-2.5] * 4


def test_what_is_not_set_or_zero_is_no_control():
    controls, warnings = Controls.parse({"warmth": None, "rhythm": 0, "axis1": "0:0 5:0"}, ANALYSIS, "rain")
    assert controls == Controls() and warnings == [] and controls.to_dict() == {}


def test_a_curve_that_passes_zero_is_kept():
    controls, _ = Controls.parse({"warmth": "0:0 5:0 6:1"}, ANALYSIS, "rain")
    assert controls.to_dict() == {"warmth": "0:0 5:0 6:1"}


@pytest.mark.parametrize(("value", "found"), [(15, 12), (-13, -12), ("0:-20 8:5", -12)])
def test_beyond_the_ends_is_clamped_with_a_warning(value, found):
    controls, warnings = Controls.parse({"warmth": value}, ANALYSIS, "rain")
    assert controls.descriptors(np.zeros(1))[1, 0] == found
    assert warnings == [f"controls.warmth={value} is clamped to -12 … 12: rain goes no further"]


def test_a_one_sided_slider_is_clamped_at_zero():
    analysis = with_response(ANALYSIS, "warmth", [0.5, -0.3, 0, 1, 2])
    controls, warnings = Controls.parse({"warmth": -4}, analysis, "rain")
    assert not controls.descriptors(TIMES).any()
    assert warnings == ["controls.warmth=-4 is clamped to 0 … 12: rain goes no further"]
    assert Controls.parse({"warmth": 12}, analysis, "rain")[1] == []


def test_an_unknown_slider():
    with pytest.raises(UserError) as caught:
        Controls.parse({"loudness": 1}, LACKING, "rain")
    assert str(caught.value).startswith("controls.loudness: model rain has no such slider")
    assert str(caught.value).endswith("active ones are brightness, warmth, roughness, tension, rhythm, pulse, "
                                      "density, axis1")  # fmt: skip


@pytest.mark.parametrize("name", ["axis0", "axis2", "axis", "axis-1", "Warmth", ""])
def test_names_that_are_nearly_right(name):
    with pytest.raises(UserError, match="no such slider"):
        Controls.parse({name: 1}, ANALYSIS, "rain")


def test_an_inactive_slider():
    with pytest.raises(UserError, match=r"controls.reverb: inactive in model rain: only 0% of .* ones are brightness,"):
        Controls.parse({"reverb": 3}, LACKING, "rain")
    assert Controls.parse({"reverb": 0}, LACKING, "rain") == (Controls(), [])  # as a preset may hold it


def test_no_active_ones():
    nothing = replace(ANALYSIS, known=np.zeros(8), axes=replace(ANALYSIS.axes, spread=np.zeros(0)))
    with pytest.raises(UserError, match="active ones are none"):
        Controls.parse({"warmth": 3}, nothing, "rain")


def test_a_model_without_an_analysis():
    assert Controls.parse({"warmth": None}, None, "rain") == (Controls(), [])
    with pytest.raises(UserError, match=r"controls.warmth: model rain was packed without an analysis"):
        Controls.parse({"warmth": 3}, None, "rain")


def test_a_model_whose_analysis_is_pending_says_so_and_what_measures_it():
    words = r"controls.warmth: the sliders of model rain are pending: .* measures them: distillgan train name=rain"
    with pytest.raises(UserError, match=words):
        Controls.parse({"warmth": 3}, None, "rain", pending=True)


def test_no_number():
    with pytest.raises(UserError, match=r"controls.warmth=much must be a number, or breakpoints"):
        Controls.parse({"warmth": "much"}, ANALYSIS, "rain")
