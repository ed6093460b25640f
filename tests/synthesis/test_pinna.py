"""The outer ear: elevation moves a notch, front and back differ, and low tones pass."""

from itertools import pairwise

import numpy as np
import pytest

from distillgan.synthesis.spatial.binaural import response

FREQUENCIES = np.linspace(0, 20000, 4001)


def place(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians([azimuth, elevation])
    return 1.5 * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def notch(azimuth: float, elevation: float) -> tuple[float, float]:
    """Hz and dB of the deepest minimum between 9 and 15 kHz."""
    gain = 20 * np.log10(np.abs(response(place(azimuth, elevation), FREQUENCIES)) + 1e-9)
    middle = (FREQUENCIES > 9000) & (FREQUENCIES < 15000)
    return FREQUENCIES[middle][gain[middle].argmin()], gain[middle].min()


def test_low_tones_pass():
    assert np.abs(response(place(20, 30), np.array([0.0]))) == pytest.approx(1, abs=1e-12)
    assert 20 * np.log10(np.abs(response(place(20, 30), np.array([300.0])))) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("azimuth", [0, 40, -70])
def test_a_notch_rises_with_the_source(azimuth):
    notches = [notch(azimuth, elevation) for elevation in range(-45, 46, 15)]
    assert all(low[0] + 50 < high[0] for low, high in pairwise(notches)), notches
    assert notches[-1][0] - notches[0][0] > 2500 and max(depth for _, depth in notches) < -5


def test_behind_is_not_as_in_front():
    front, behind = (20 * np.log10(np.abs(response(place(a, 0), FREQUENCIES))) for a in (0, 180))
    assert np.abs(front - behind)[FREQUENCIES > 4000].mean() > 3


def test_both_sides_are_alike_and_straight_up_there_is_one_direction():
    assert response(place(50, 20), FREQUENCIES) == pytest.approx(response(place(-50, 20), FREQUENCIES))
    assert response(place(0, 90), FREQUENCIES) == pytest.approx(response(place(170, 90), FREQUENCIES))
