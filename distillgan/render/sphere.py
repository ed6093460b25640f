"""A head that needs no measurement: the sound of a point source, at any distance, on a rigid sphere."""

import numpy as np

from distillgan.render.air import SOUND_SPEED

RADIUS = 0.0875  # m
_NEGLIGIBLE = 1e-10  # of a term, against 1


def pressures(ka: np.ndarray, rho: float, cosine: float) -> np.ndarray:
    """Complex [2, F]: pressure on the sphere where the source is seen under `cosine`, and opposite, over that which
    would be at the sphere's centre without it; e^{+iωt}, so a delay turns the phase down.

    ka: [F], all above 0: 2π · radius / wavelength. rho: the source's distance from the centre, in radii, above 1.

    H = -(ρ/μ) e^{-iμρ} Σ (2m+1) P_m(cos θ) h_m(μρ) / h'_m(μ), with μ = ka: Rabinowitz, Maxwell, Shao & Wei 1993,
    J. Acoust. Soc. Am. 93, 1320; Duda & Martens 1998, J. Acoust. Soc. Am. 104, 3048, eq. 3 to 7 (their e^{-iωt} is
    turned round here). h_m overflows where m is far above ka; only ratios are computed, by the recurrence of h_m
    divided by h_m, which is stable upwards (Abramowitz & Stegun 10.1.19). The sum ends where nothing is added any more.
    """
    if rho <= 1:
        raise ValueError(f"the source must be outside of the sphere: rho is {rho}")
    far = ka * rho
    # h_m over h_{m-1}, of both arguments; h_m(μρ) e^{-iμρ} / h_m(μ)
    step_near, step_far = 1 / ka - 1j, 1 / far - 1j
    ratio = np.exp(-1j * ka) / rho
    slope = 1j - 1 / ka  # h'_m / h_m at μ
    before, legendre = 0.0, 1.0
    sums = np.zeros((2, len(ka)), complex)
    order = 0
    while True:
        term = (2 * order + 1) * ratio / slope / ka
        sums[order % 2] += legendre * term
        if np.abs(term).max() * rho < _NEGLIGIBLE:
            break
        before, legendre = legendre, ((2 * order + 1) * cosine * legendre - order * before) / (order + 1)
        order += 1
        ratio = ratio * step_far / step_near
        slope = 1 / step_near - (order + 1) / ka
        step_near, step_far = (2 * order + 1) / ka - 1 / step_near, (2 * order + 1) / far - 1 / step_far
    even, odd = sums
    return np.conj(-rho * np.stack([even + odd, even - odd]))


def ears(source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Complex [2, F], left and right: pressures at the ears, over that at the head's centre without the head.

    source: [3], metres from the head's centre to the front, the left and above. frequencies: Hz [F]; the static limit
    stands at 0. The ears are at ± 90°.
    """
    distance = float(np.linalg.norm(source))
    ka = 2 * np.pi * np.maximum(frequencies, 1e-2) * RADIUS / SOUND_SPEED
    return pressures(ka, distance / RADIUS, source[1] / distance)
