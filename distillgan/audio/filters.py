"""Filters of sound that comes block by block: recursive sections, long convolutions, and a low-pass.

Recursive filters are second-order sections b0, b1, b2, 1, a1, a2, as in `scipy.signal`, whose import takes a second:
y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2].
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor

_BLOCK = 128  # samples that are one row of a product of matrices
_STRETCH = 1 << 16  # samples filtered by one product
_LEAST_STEP = 1 << 14  # samples convolved at once
_PASSES = 0.92  # share of the limit of a low-pass up to which nothing changes
_ATTENUATION_DB = 110.0


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

    Blocks of samples are filtered all at once as if silence were before each, and what the state before a block leaves
    in it is added (block filtering: Burrus 1972, "Block realization of digital filters").
    """
    blocks, parts = _blocks(np.ascontiguousarray(sections, np.float64).tobytes()), []
    for first in range(0, max(1, wave.shape[1]), _STRETCH):
        part, state = _filtered(blocks, wave[:, first : first + _STRETCH], state)
        parts.append(part)
    return np.concatenate(parts, 1), state.copy()


def _filtered(blocks: "_Blocks", wave: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    channels, samples = wave.shape
    whole = samples // _BLOCK
    filtered = np.empty((channels, samples))
    memory = state.transpose(1, 0, 2).reshape(channels, -1)  # [C, 2 S]
    inner = np.ascontiguousarray(wave[:, : whole * _BLOCK], np.float64).reshape(channels, whole, _BLOCK)
    left = _product(inner, blocks.leaves)  # [C, whole, 2 S]
    before = np.empty_like(left)
    for number in range(whole):
        before[:, number] = memory
        memory = memory @ blocks.passes[_BLOCK] + left[:, number]
    made = _product(inner, blocks.response) + _product(before, blocks.rings)
    filtered[:, : whole * _BLOCK] = made.reshape(channels, -1)
    rest = np.asarray(wave[:, whole * _BLOCK :], np.float64)
    count = rest.shape[1]
    filtered[:, whole * _BLOCK :] = rest @ blocks.response[:count, :count] + memory @ blocks.rings[:, :count]
    memory = memory @ blocks.passes[count] + rest @ blocks.leaves[_BLOCK - count :]
    return filtered, memory.reshape(channels, -1, 2).transpose(1, 0, 2)


def _product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """rows @ matrix, by torch: threads of NumPy's own library would take the cores from those of torch."""
    return (torch.from_numpy(rows) @ torch.from_numpy(matrix)).numpy()


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


@dataclass(frozen=True)
class _Blocks:
    """The effect of sections [S, 6] on a block of _BLOCK samples with the state [2 S] before it, as matrices for rows.

    response: samples → samples [_BLOCK, _BLOCK]; rings: state → samples [2 S, _BLOCK]; leaves: samples → state after
    them [_BLOCK, 2 S]; passes: state → state after 0 … _BLOCK samples [_BLOCK + 1, 2 S, 2 S].
    """

    response: np.ndarray
    rings: np.ndarray
    leaves: np.ndarray
    passes: np.ndarray


@lru_cache(maxsize=16)
def _blocks(sections: bytes) -> _Blocks:
    step, out = _one_sample(np.frombuffer(sections).reshape(-1, 6))
    size = len(step) - 1
    onwards, enters = step[:size, :size], step[size, :size]
    passes = np.empty((_BLOCK + 1, size, size))
    passes[0] = np.eye(size)
    for number in range(_BLOCK):
        passes[number + 1] = passes[number] @ onwards
    rings = (passes[:-1] @ out[:size]).T
    impulse = np.concatenate([out[size:], enters @ rings[:, :-1]])
    lag = np.arange(_BLOCK) - np.arange(_BLOCK)[:, None]
    response = np.where(lag >= 0, impulse[np.maximum(lag, 0)], 0.0)
    return _Blocks(response, rings, enters @ passes[_BLOCK - 1 :: -1], passes)


def _one_sample(sections: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The effect of one sample: (state, sample) [2 S + 1] → (state, 0) by a matrix, → output sample by a vector."""
    size = 2 * len(sections)
    rows, step = np.eye(size + 1), np.zeros((size + 1, size + 1))
    through = rows[size]
    for number, (b0, b1, b2, _, a1, a2) in enumerate(sections):
        first, second = rows[2 * number], rows[2 * number + 1]
        out = b0 * through + first
        step[:, 2 * number] = b1 * through - a1 * out + second
        step[:, 2 * number + 1] = b2 * through - a2 * out
        through = out
    return step, through


def evenly(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Blocks [C, n] of any lengths → the same samples in blocks of `size`, the last one shorter.

    What is computed on them cannot depend on how the sound was cut. A block yielded is a copy.
    """
    waiting, held = [], 0
    for block in blocks:
        while block.shape[1]:
            part, block = np.split(block, [size - held], axis=1)
            waiting.append(part)
            held += part.shape[1]
            if held == size:
                yield np.concatenate(waiting, axis=1)
                waiting, held = [], 0
    if held:
        yield np.concatenate(waiting, axis=1)


def convolved(blocks: Iterable[np.ndarray], filters: np.ndarray, lead: int) -> Iterator[np.ndarray]:
    """Blocks float32 [I, n] through `filters` [O, I, K] → blocks float32 [O, n], as many samples in all.

    Each output is the sum of all inputs, each through its own filter, `lead` samples early: what a filter has at
    `lead` happens at once. Nothing comes before the sound's beginning or after its end. Overlap-save (Oppenheim &
    Schafer, "Discrete-Time Signal Processing", 8.7.3), in float64.
    """
    from scipy import fft  # a third of a second that who convolves nothing need not wait

    inputs, taps = filters.shape[1:]
    size = fft.next_fast_len(taps - 1 + max(_LEAST_STEP, 3 * taps), real=True)
    spectra = fft.rfft(filters.astype(np.float64), size)
    before = np.zeros((inputs, taps - 1))
    early = lead  # samples of the output that are still to be left out; as many come after the sound's end
    for block in evenly(chain(blocks, [np.zeros((inputs, lead), np.float32)]), size - taps + 1):
        count = block.shape[1]
        joined = np.concatenate([before, block], axis=1)
        before = joined[:, count:]
        spectrum = np.einsum("oif,if->of", spectra, fft.rfft(joined, size))
        made = fft.irfft(spectrum, size)[:, taps - 1 + early : taps - 1 + count]
        early = 0  # no block but the last is shorter than a filter
        if made.shape[1]:
            yield made.astype(np.float32)


def band_limited(blocks: Iterable[np.ndarray], rate: int, limit: float, size: int) -> Iterator[np.ndarray]:
    """Blocks float32 [C, n] at `rate` Hz → the same samples without what is above `limit` Hz, in blocks of `size`.

    Linear phase, without delay; however the blocks are cut, the samples are the same.
    """
    taps = lowpass(rate, limit)
    return evenly(convolved(blocks, taps[None, None], len(taps) // 2), size)


def lowpass(rate: int, limit: float) -> np.ndarray:
    """An odd number of taps, float64 [K], symmetric: 1 up to 92 % of `limit` Hz, -110 dB from `limit` on.

    Windowed sinc with Kaiser's window and his formulas for its length and shape (Kaiser 1974, "Nonrecursive digital
    filter design using the I0-sinh window function").
    """
    width = (1 - _PASSES) * limit / rate  # in cycles a sample
    half = int(np.ceil((_ATTENUATION_DB - 7.95) / (14.36 * width) / 2))
    middle = (1 + _PASSES) / 2 * limit / rate
    at = np.arange(-half, half + 1)
    taps = 2 * middle * np.sinc(2 * middle * at) * np.kaiser(2 * half + 1, 0.1102 * (_ATTENUATION_DB - 8.7))
    return taps / taps.sum()


def below(waves: Sequence[Tensor], limit: Tensor | None, rate: int) -> Sequence[Tensor]:
    """Waves [B, 1, N] at `rate` Hz without what is above the limit [B] in Hz of each item, infinity for none.

    None, for no limits at all, gives them back as they are. By their spectra and differentiable, so that a loss on the
    results neither wants nor punishes anything above.
    """
    if limit is None or torch.isinf(limit).all():
        return waves
    hertz = torch.linspace(0, rate / 2, waves[0].shape[-1] // 2 + 1, device=waves[0].device)
    limit = limit.to(hertz)[:, None, None]
    fall = ((limit - hertz) / ((1 - _PASSES) * limit)).clamp(0, 1)
    shape = torch.where(torch.isinf(limit), torch.ones_like(hertz), torch.sin(fall * torch.pi / 2) ** 2)
    return [torch.fft.irfft(torch.fft.rfft(wave) * shape, n=wave.shape[-1]) for wave in waves]
