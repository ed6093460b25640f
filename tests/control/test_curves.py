"""Positions that change over time, as they are written and as they are read."""

import numpy as np
import pytest

from distillgan.control.sliders import Curve
from distillgan.errors import UserError


@pytest.mark.parametrize("value", [-5, 3.25, 0])
def test_a_number_is_the_same_at_all_times(value):
    curve = Curve.parse("controls.warmth", value)
    assert curve.at(np.array([0.0, 1.0, 1e6])).tolist() == [value] * 3
    assert curve.extremes == (value, value)


def test_breakpoints_are_joined_by_straight_lines_and_held_at_both_ends():
    curve = Curve.parse("controls.warmth", "2:-5 6:7  10:7")
    assert curve.at(np.array([0, 2, 3, 4, 6, 8, 10, 500])).tolist() == [-5, -5, -2, 1, 7, 7, 7, 7]
    assert curve.extremes == (-5, 7)


def test_one_breakpoint_is_a_number():
    assert Curve.parse("k", "3:4").at(np.array([0, 9])).tolist() == [4, 4]


def test_points_may_be_written_in_any_notation():
    assert Curve.parse("k", "0:-.5 1e1:+2").at(np.array([0, 10])).tolist() == [-0.5, 2]


def test_clamped():
    curve = Curve.parse("k", "0:-20 10:5 20:13").clamped(-12, 12)
    assert curve.at(np.array([0, 10, 20])).tolist() == [-12, 5, 12]
    straight = Curve.parse("k", "0:-20 10:5 20:13").at(np.linspace(0, 25, 500))
    assert np.allclose(curve.at(np.linspace(0, 25, 500)), np.clip(straight, -12, 12))  # between breakpoints, too


@pytest.mark.parametrize("text", ["0:-5 8:7", "0.5:1.25 60:-12 61:0"])
def test_written_as_it_was_read(text):
    curve = Curve.parse("k", text)
    assert curve.to_value() == text and Curve.parse("k", curve.to_value()) == curve


def test_a_constant_is_written_as_a_number():
    value = Curve.parse("k", 3.5).to_value()
    assert value == 3.5 and Curve.parse("k", value) == Curve.parse("k", 3.5)


@pytest.mark.parametrize(
    "value",
    ["", "loud", "5", "0:", ":5", "0:1:2", "0:1,8:2", "0:a", "a:0", "0: 1", "0:nan", "0:inf", "inf:0", "0:1 8",
     float("nan"), float("inf"), True, None, [0, 1], {"a": 1}],
    ids=repr,
)  # fmt: skip
def test_neither_number_nor_breakpoints(value):
    with pytest.raises(UserError, match=r"^controls.warmth=.* must be a number, or breakpoints as seconds:value, such"):
        Curve.parse("controls.warmth", value)


@pytest.mark.parametrize("text", ["-1:0 2:3", "0:1 0:2", "0:1 5:2 4:3", "5:1 5:1"])
def test_seconds_that_do_not_rise(text):
    with pytest.raises(UserError, match=f"^controls.warmth={text}: the seconds .* begin at 0 or later, and rise"):
        Curve.parse("controls.warmth", text)
