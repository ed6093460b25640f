"""Recursive filters in second-order sections, as `scipy.signal` has them, without the second that its import takes.

A section is b0, b1, b2, 1, a1, a2: y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2].
"""

import numpy as np
from scipy.linalg.blas import dtbsv

_STRETCH = 1 << 16  # samples filtered at once


def butterworth(order: int, band: tuple[float, float], rate: float) -> np.ndarray:
    """The band-pass of Butterworth's form, `band` its -3 dB points in Hz at `rate` Hz: `order` sections [order, 6].

    The analogue prototype, to a band-pass, to digital by the bilinear transform with both edges kept (Oppenheim and
    Schafer, "Discrete-Time Signal Processing", section 7.1.2). Order is even.
    """
    low, high = np.tan(np.pi * np.asarray(band) / rate)
    prototype = np.exp(1j * np.pi * (2 * np.arange(order) + order + 1) / (2 * order))
    half = prototype * (high - low) / 2
    root = np.sqrt(half**2 - low * high)
    poles = np.concatenate([half + root, half - root])
    poles = (1 + poles) / (1 - poles)
    poles = poles[poles.imag > 0]  # the others are their conjugates
    sections = np.zeros((order, 6))
    sections[:, 0], sections[:, 2], sections[:, 3] = 1, -1, 1
    sections[:, 4], sections[:, 5] = -2 * poles.real, np.abs(poles) ** 2
    middle = np.exp(-2j * np.arctan(np.sqrt(low * high)) * np.arange(3))
    sections[:, :3] /= np.abs((sections[:, :3] @ middle) / (sections[:, 3:] @ middle))[:, None]
    return sections


def sosfilt(sections: np.ndarray, wave: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wave [C, N] through the sections [S, 6] → float64 [C, N], and the state to go on with.

    state: [S, C, 2], zeros for silence before; of a direct form II, transposed. It is not changed.
    """
    wave, state = np.array(wave, np.float64), state.copy()
    for number, (b0, b1, b2, _, a1, a2) in enumerate(sections):
        denominator = np.empty((3, min(_STRETCH, wave.shape[1])), order="F")
        denominator[:] = np.array([[1], [a1], [a2]])
        for x, memory in zip(wave, state[number], strict=True):
            for first in range(0, len(x), _STRETCH):
                _section((b0, b1, b2, a1, a2), x[first : first + _STRETCH], memory, denominator)
    return wave, state


def sosfiltfilt(sections: np.ndarray, wave: np.ndarray, padding: int) -> np.ndarray:
    """Wave [C, N] through the sections forwards and backwards, so without a delay → float64 [C, N].

    Beyond each end it goes on for `padding` samples, fewer than N, turned about its last one (Gustafsson 1996,
    "Determining the initial states in forward-backward filtering", compares such extensions).
    """
    first, last = wave[:, :1].astype(np.float64), wave[:, -1:].astype(np.float64)
    before, after = wave[:, padding:0:-1], wave[:, -2 : -padding - 2 : -1]
    padded = np.concatenate([2 * first - before, wave, 2 * last - after], 1)
    for _ in range(2):
        padded = sosfilt(sections, padded, _settled(sections)[:, None] * padded[None, :, :1])[0][:, ::-1]
    return padded[:, padding : padded.shape[1] - padding]


def _settled(sections: np.ndarray) -> np.ndarray:
    """The state [S, 2] in which a constant 1 has left the sections."""
    state, level = np.zeros((len(sections), 2)), 1.0
    for memory, (b0, b1, b2, _, a1, a2) in zip(state, sections, strict=True):
        gain = (b0 + b1 + b2) / (1 + a1 + a2)
        memory[:] = level * (b1 + b2 - (a1 + a2) * gain), level * (b2 - a2 * gain)
        level *= gain
    return state


def _section(coefficients: tuple[float, ...], x: np.ndarray, memory: np.ndarray, denominator: np.ndarray) -> None:
    """Filters x [N] and changes its memory [2], both in place: a system of equations with a banded triangle."""
    b0, b1, b2, a1, a2 = coefficients
    y = b0 * x
    y[1:] += b1 * x[:-1]
    y[2:] += b2 * x[:-2]
    y[:2] += memory[: len(y)]
    y = dtbsv(2, denominator[:, : len(y)], y, lower=1, diag=1, overwrite_x=1)
    earlier = b2 * x[-2] - a2 * y[-2] if len(y) > 1 else memory[1]
    memory[:] = b1 * x[-1] - a1 * y[-1] + earlier, b2 * x[-1] - a2 * y[-1]
    x[:] = y
