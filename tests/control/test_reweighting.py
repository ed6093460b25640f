"""Weights of segments that bring the mean to its target, as nearly as there are segments for it."""

import numpy as np
import pytest

from distillgan.control.segments import reweighted

COLUMNS = 8


def standard(segments: int = 600, seed: int = 0) -> np.ndarray:
    """Values in standard deviations, [W, 8], independent of one another."""
    values = np.random.default_rng(seed).standard_normal((segments, COLUMNS))
    return (values - values.mean(0)) / values.std(0)


def target_of(**columns: float) -> tuple[np.ndarray, np.ndarray]:
    """c2=1.5 puts the target of column 2 at 1.5."""
    target, moved = np.zeros(COLUMNS), np.zeros(COLUMNS, bool)
    for name, value in columns.items():
        target[int(name[1:])], moved[int(name[1:])] = value, True
    return target, moved


def mean_under(values: np.ndarray, log_weights: np.ndarray) -> np.ndarray:
    return np.exp(log_weights) @ values


@pytest.mark.parametrize("target", [-2.0, -1.0, -0.3, 0.3, 1.0, 2.0])
def test_the_mean_comes_near_the_target_and_the_others_stay(target):
    values = standard()
    log_weights = reweighted(values, *target_of(c3=target))
    mean = mean_under(values, log_weights)
    assert np.exp(log_weights).sum() == pytest.approx(1, abs=1e-9)
    assert mean[3] == pytest.approx(target, rel=0.15)
    assert np.abs(np.delete(mean, 3)).max() < 0.15


def test_two_targets_at_once():
    values = standard()
    mean = mean_under(values, reweighted(values, *target_of(c0=1.0, c5=-1.0)))
    assert mean[[0, 5]] == pytest.approx([1, -1], rel=0.15)
    assert np.abs(mean[[1, 2, 3, 4, 6, 7]]).max() < 0.15


def test_what_goes_with_it_is_held_back():
    """Column 1 goes along with column 0 at 0.7; a target for 0 alone leaves 1 much nearer its place than 0.7."""
    values = standard(2000)
    values[:, 1] = 0.7 * values[:, 0] + np.sqrt(1 - 0.49) * values[:, 1]
    mean = mean_under(values, reweighted(values, *target_of(c0=1.0)))
    assert mean[0] > 0.8 and abs(mean[1]) < 0.25


def test_no_target_is_equal_weights():
    log_weights = reweighted(standard(), *target_of())
    assert log_weights == pytest.approx(np.full(600, -np.log(600)), abs=1e-9)
    assert reweighted(standard(), *target_of(c1=0.0)) == pytest.approx(log_weights, abs=1e-9)


def test_a_target_is_counted_from_zero_wherever_the_values_lie():
    values = standard() + 0.5
    assert mean_under(values, reweighted(values, *target_of(c2=1.5)))[2] == pytest.approx(1.5, rel=0.1)


def test_a_greater_target_brings_more_and_less_variety():
    values = standard()
    logs = [reweighted(values, *target_of(c4=target)) for target in (0.0, 0.5, 1.0, 1.5, 2.0, 4.0)]
    assert (np.diff([mean_under(values, log)[4] for log in logs]) > 0.1).all()
    assert (np.diff([1 / np.exp(2 * log).sum() for log in logs]) < 0).all()


@pytest.mark.parametrize("target", [-1000.0, -10.0, 10.0, 1000.0])
def test_what_cannot_be_reached_is_approached(target):
    values = standard(50)
    log_weights = reweighted(values, *target_of(c3=target))
    mean = mean_under(values, log_weights)
    assert np.isfinite(log_weights).all() and np.exp(log_weights).sum() == pytest.approx(1, abs=1e-9)
    extreme = values[:, 3].max() if target > 0 else values[:, 3].min()
    assert mean[3] / extreme > 0.8


def test_targets_that_contradict_each_other_meet_between():
    values = standard()
    values[:, 1] = -values[:, 0]
    mean = mean_under(values, reweighted(values, *target_of(c0=1.0, c1=1.0)))
    assert np.abs(mean).max() < 0.1


def test_one_moment_and_columns_that_never_change():
    assert reweighted(np.zeros((1, COLUMNS)), *target_of(c0=2.0)) == pytest.approx([0.0], abs=1e-12)
    values = standard(40)
    values[:, 6] = 0
    assert reweighted(values, *target_of(c6=2.0)) == pytest.approx(np.full(40, -np.log(40)), abs=1e-9)


@pytest.mark.parametrize("target", [0.5, 2.0, 6.0])
def test_one_moment_far_from_all_the_others_is_given_the_weight_that_it_needs(target):
    """Where the mean depends on the tilt so steeply, a whole step of Newton's method goes too far, and back again."""
    values = standard(300)
    values[:, 2] = np.where(np.arange(300) == 7, np.sqrt(299), -np.sqrt(1 / 299))
    assert mean_under(values, reweighted(values, *target_of(c2=target)))[2] == pytest.approx(target, rel=0.15)
