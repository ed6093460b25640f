"""The spherical head against the series summed plainly, its limits, and what is published of it."""

import numpy as np
import pytest
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from distillgan.synthesis.spatial.binaural import RADIUS, ears, pressures

ANGLES = np.radians(range(0, 181, 15))


def plainly(ka: float, rho: float, cosine: float) -> complex:
    """Duda & Martens 1998, eq. 4, with scipy's Bessel functions, as long as they are finite."""
    orders = np.arange(200)

    def hankel(x: float, derivative: bool = False) -> np.ndarray:
        return spherical_jn(orders, x, derivative) + 1j * spherical_yn(orders, x, derivative)

    with np.errstate(all="ignore"):
        terms = (2 * orders + 1) * eval_legendre(orders, cosine) * hankel(ka * rho) / hankel(ka, True)
    terms = terms[: np.flatnonzero(~np.isfinite(terms))[0]] if not np.isfinite(terms).all() else terms
    return np.conj(-rho / ka * np.exp(-1j * ka * rho) * terms.sum())


@pytest.mark.parametrize("rho", [2.3, 4.0, 17.0, 1143.0])
@pytest.mark.parametrize("ka", [0.3, 1.0, 6.0, 35.0, 75.0])
def test_it_is_the_series(ka, rho):
    for angle in ANGLES:
        here, opposite = pressures(np.array([ka]), rho, np.cos(angle))[:, 0]
        assert here == pytest.approx(plainly(ka, rho, np.cos(angle)), abs=2e-7)
        assert opposite == pytest.approx(plainly(ka, rho, -np.cos(angle)), abs=2e-7)


@pytest.mark.parametrize("rho", [1.25, 2.3, 1143.0])
def test_without_frequency_it_is_the_static_limit(rho):
    orders = np.arange(400.0)
    for angle in ANGLES:
        static = ((2 * orders + 1) / (orders + 1) * eval_legendre(orders, np.cos(angle)) * rho**-orders).sum()
        made = pressures(np.array([1e-6, 1e-4]), rho, np.cos(angle))[0]
        assert made == pytest.approx([static, static], rel=1e-3)


def test_far_away_it_does_what_a_rigid_sphere_does():
    """Twice the pressure in front at high frequencies, a bright spot behind, and nothing at all far below ka = 1."""
    high, low = np.array([30.0]), np.array([0.01])
    front, antipode = np.abs(pressures(high, 1e4, 1.0)[:, 0])
    assert front == pytest.approx(2, rel=0.02)
    behind = [np.abs(pressures(high, 1e4, np.cos(angle))[0, 0]) for angle in np.radians([150, 160, 170])]
    assert antipode > 2 * max(behind)
    assert np.abs(pressures(low, 1e4, 0.3)[:, 0]) == pytest.approx([1, 1], abs=1e-3)


def test_all_frequencies_at_once_are_each_by_itself():
    frequencies = np.linspace(0, 96000, 200)  # of a rate of 192 kHz: orders up to 200, where h_m overflows
    source = np.array([0.1, 0.15, -0.12])
    together = ears(source, frequencies)
    assert np.isfinite(together).all()
    alone = np.concatenate([ears(source, frequencies[[i]]) for i in range(0, 200, 20)], axis=1)
    assert np.abs(together[:, ::20] - alone).max() < 1e-8


def test_left_and_right_change_places():
    frequencies = np.linspace(0, 22050, 100)
    left, right = (ears(np.array([0.3, y, 0.2]), frequencies) for y in (0.4, -0.4))
    assert np.array_equal(left, right[::-1])
    assert (np.abs(left[0]) > np.abs(left[1])).mean() > 0.95  # what comes from the left is louder on the left


def test_a_source_inside_of_the_head_is_refused():
    with pytest.raises(ValueError, match="outside"):
        ears(np.array([0.0, RADIUS, 0.0]), np.array([100.0]))
