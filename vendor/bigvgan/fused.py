"""The alias-free activation as one pass on a CPU: ×2 up, snake, ×2 down, with nothing of double rate ever in memory.

Polyphase: an up-sampled sample of even (odd) place needs only the filter's odd (even) taps, six of them, and so does
its share in the down-sampled one. A row is done in chunks that fit the first-level cache. Compiled by numba when first
imported, and kept on disk by it.
"""

import functools
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from torch import Tensor

from distillgan.vendor.bigvgan.filters import TAPS
from distillgan.vendor.bigvgan.sine import INVERSE_PI, PI_PARTS, ROUND, SINE

_CHUNK = 1024
_LEAST_WORK = 32768  # samples; below that a second thread costs more than it saves
_HALO = 5

_f32 = np.float32
_ROUND, _INVERSE_PI = _f32(ROUND), _f32(INVERSE_PI)
_PI_1, _PI_2, _PI_3 = (_f32(part) for part in PI_PARTS)
_SIN_3, _SIN_5, _SIN_7, _SIN_9 = (_f32(c) for c in SINE)

# Fused multiply-adds are welcome; a free order of operations would undo the reduction by parts of π.
_compiled = functools.partial(numba.njit, fastmath={"contract"}, error_model="numpy")


@_compiled(inline="always")
def _snake(x, frequency, height):
    z = x * frequency
    turns = (z * _INVERSE_PI + _ROUND) - _ROUND
    # sin² has the period π, so the sign of the half turn does not matter.
    r = ((z - turns * _PI_1) - turns * _PI_2) - turns * _PI_3
    q = r * r
    sine = r + r * q * (_SIN_3 + q * (_SIN_5 + q * (_SIN_7 + q * _SIN_9)))
    return x + height * (sine * sine)


_ROWS, _VALUES = "float32[:, ::1]", "float32[::1]"


@_compiled(f"void({_ROWS}, {_ROWS}, {_VALUES}, {_VALUES}, {_VALUES}, {_VALUES}, int64, int64)", nogil=True, cache=True)
def _rows(x, y, frequency, height, up, down, first, last):
    """Fill y [R, T] from x [R, T], the chunks first … last - 1 counted along the rows; row r is channel r mod C."""
    channels, samples = frequency.shape[0], x.shape[1]
    chunks = (samples + _CHUNK - 1) // _CHUNK
    around = np.empty(_CHUNK + 2 * _HALO, np.float32)
    even = np.empty(_CHUNK + _HALO, np.float32)
    odd = np.empty(_CHUNK + _HALO, np.float32)
    u = up * _f32(2)  # the gain that makes up for the zeros between the samples
    u0, u1, u2, u3, u4, u5 = u[0], u[1], u[2], u[3], u[4], u[5]
    u6, u7, u8, u9, u10, u11 = u[6], u[7], u[8], u[9], u[10], u[11]
    d0, d1, d2, d3, d4, d5 = down[0], down[1], down[2], down[3], down[4], down[5]
    d6, d7, d8, d9, d10, d11 = down[6], down[7], down[8], down[9], down[10], down[11]
    for chunk in range(first, last):
        row = chunk // chunks
        start = (chunk - row * chunks) * _CHUNK
        end = min(start + _CHUNK, samples)
        size = end - start
        f, h = frequency[row % channels], height[row % channels]
        # around[j] is x[start - 5 + j], the ends repeated beyond themselves.
        low, high = max(start - _HALO, 0), min(end + _HALO, samples)
        before, filled = low - (start - _HALO), high - (start - _HALO)
        around[:before] = x[row, 0]
        around[before:filled] = x[row, low:high]
        around[filled : size + 2 * _HALO] = x[row, samples - 1]
        # even[j] is the up-sampled sample 2 (start - 2 + j), odd[j] is 2 (start - 3 + j) + 1.
        for j in range(size + _HALO):
            a, b, c = around[j], around[j + 1], around[j + 2]
            d, e, g = around[j + 3], around[j + 4], around[j + 5]
            even[j] = _snake(u11 * a + u9 * b + u7 * c + u5 * d + u3 * e + u1 * g, f, h)
            odd[j] = _snake(u10 * a + u8 * b + u6 * c + u4 * d + u2 * e + u0 * g, f, h)
        # Beyond the ends the up-sampled signal is repeated too, after the snake.
        if start < 3:
            edge = even[2 - start]
            even[: 2 - start] = edge
            odd[: 3 - start] = edge
        if end + 3 > samples:
            edge = odd[samples - start + 2]
            even[samples - start + 2 : size + _HALO] = edge
            odd[samples - start + 3 : size + _HALO] = edge
        for j in range(size):
            y[row, start + j] = (
                (d1 * even[j] + d3 * even[j + 1] + d5 * even[j + 2])
                + (d7 * even[j + 3] + d9 * even[j + 4] + d11 * even[j + 5])
                + (d0 * odd[j] + d2 * odd[j + 1] + d4 * odd[j + 2])
                + (d6 * odd[j + 3] + d8 * odd[j + 4] + d10 * odd[j + 5])
            )


@functools.lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Helpers beside the calling thread. A forked process inherits no threads: it gets a pool of its own.

    Numba's own threads are not used: one of its layers ends the process when two threads call it at a time.
    """
    return ThreadPoolExecutor(threads, thread_name_prefix="alias-free")


@torch.no_grad()
def alias_free_snake(x: Tensor, frequency: Tensor, height: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """x [B, C, T] → [B, C, T]: doubled by `up` [12], x + height · sin²(frequency · x), halved by `down` [12].

    Frequency and height are [C]; all are float32 on the CPU, and no gradient flows. As exact as float32 is while
    |frequency · x| < 10⁴. Runs on `torch.get_num_threads()` threads.
    """
    assert up.numel() == down.numel() == TAPS
    x = x.contiguous()
    y = torch.empty_like(x)
    if not x.numel():
        return y
    rows = [tensor.view(-1, x.shape[-1]).numpy() for tensor in (x, y)]
    values = [tensor.detach().flatten().contiguous().numpy() for tensor in (frequency, height, up, down)]
    chunks = rows[0].shape[0] * -(-x.shape[-1] // _CHUNK)
    parts = 1 if x.numel() < _LEAST_WORK else min(torch.get_num_threads(), chunks)
    bounds = [part * chunks // parts for part in range(parts + 1)]
    spans = list(itertools.pairwise(bounds))
    helpers = _pool(parts - 1, os.getpid()) if parts > 1 else None
    others = [helpers.submit(_rows, *rows, *values, *span) for span in spans[1:]]
    _rows(*rows, *values, *spans[0])
    for other in others:
        other.result()
    return y
