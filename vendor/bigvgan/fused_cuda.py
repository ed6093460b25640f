"""The alias-free activation as one pass on a GPU: ×2 up, snake, ×2 down, with nothing of double rate ever in memory.

As in fused.py the doubled signal is kept as two of the old rate, its even and its odd samples. A program makes those of
one block and hands them to their neighbours inside it, so that only the few at its rim are made twice. Compiled by
Triton when first called.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from distillgan.vendor.bigvgan.filters import TAPS
from distillgan.vendor.bigvgan.sine import INVERSE_PI, PI_PARTS, ROUND, SINE

_BLOCK = 512
_HALO = 8  # lanes that only serve their neighbours; 6 would do, but with 8 each block starts at a whole memory sector
_WARPS = 2

_ROUND = tl.constexpr(ROUND)
_INVERSE_PI = tl.constexpr(INVERSE_PI)
_PI_1, _PI_2, _PI_3 = (tl.constexpr(part) for part in PI_PARTS)
_SIN_3, _SIN_5, _SIN_7, _SIN_9 = (tl.constexpr(c) for c in SINE)


@triton.jit
def _snake(x, frequency, height):
    z = x * frequency
    turns = (z * _INVERSE_PI + _ROUND) - _ROUND
    # sin² has the period π, so the sign of the half turn does not matter.
    r = ((z - turns * _PI_1) - turns * _PI_2) - turns * _PI_3
    q = r * r
    sine = r + r * q * (_SIN_3 + q * (_SIN_5 + q * (_SIN_7 + q * _SIN_9)))
    return x + height * (sine * sine)


@triton.jit
def _doubled(x, place, samples, frequency, height, up):
    """The up-sampled samples 2 place and 2 place + 1 [BLOCK] of the row x, after the snake."""
    near = tl.minimum(tl.maximum(place, 0), samples - 1)
    even = tl.zeros_like(place).to(tl.float32)
    odd = even
    for j in tl.static_range(7):
        value = tl.load(x + tl.minimum(tl.maximum(near + (j - 3), 0), samples - 1))
        if j < 6:
            even += tl.load(up + 11 - 2 * j) * value
        if j > 0:
            odd += tl.load(up + 12 - 2 * j) * value
    # The gain of 2 makes up for the zeros between the samples.
    even = _snake(2 * even, frequency, height)
    odd = _snake(2 * odd, frequency, height)
    # Beyond the ends the up-sampled signal is repeated too: its first sample is an even one, its last an odd one.
    return tl.where(place < samples, even, odd), tl.where(place < 0, even, odd)


@triton.jit(do_not_specialize=["channels", "samples"])
def _blocks(x, y, frequency, height, up, down, channels, samples, BLOCK: tl.constexpr, HALO: tl.constexpr):
    """Fill one block of one row of y [R, T] from x [R, T]; row r is channel r mod C."""
    blocks = tl.cdiv(samples, BLOCK - HALO)
    row = tl.program_id(0) // blocks
    start = (tl.program_id(0) % blocks) * (BLOCK - HALO)
    x += row.to(tl.int64) * samples
    y += row.to(tl.int64) * samples
    lane = tl.arange(0, BLOCK)
    f, h = tl.load(frequency + row % channels), tl.load(height + row % channels)
    even, odd = _doubled(x, start - 3 + lane, samples, f, h, up)
    total = tl.load(down) * odd
    for k in tl.static_range(1, 7):
        share = tl.load(down + 2 * k - 1) * even
        if k < 6:
            share += tl.load(down + 2 * k) * odd
        total += tl.gather(share, tl.minimum(lane + k, BLOCK - 1), 0)
    tl.store(y + start + lane, total, mask=(lane < BLOCK - HALO) & (start + lane < samples))


@torch.no_grad()
def alias_free_snake(x: Tensor, frequency: Tensor, height: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """x [B, C, T] → [B, C, T]: doubled by `up` [12], x + height · sin²(frequency · x), halved by `down` [12].

    Frequency and height are [C]; all are float32 on one GPU, and no gradient flows. As exact as float32 is while
    |frequency · x| < 10⁴. What Triton raises where it cannot compile or start the kernel, it raises here.
    """
    assert up.numel() == down.numel() == TAPS
    x = x.contiguous()
    y = torch.empty_like(x)
    if not x.numel():
        return y
    values = [tensor.contiguous() for tensor in (frequency, height, up, down)]
    channels, samples = x.shape[1:]
    programs = x.shape[0] * channels * triton.cdiv(samples, _BLOCK - _HALO)
    with torch.cuda.device_of(x):  # Triton starts the kernel on the current device
        _blocks[(programs,)](
            x, y, *values, channels, samples, BLOCK=_BLOCK, HALO=_HALO, num_warps=_WARPS, enable_fp_fusion=True
        )
    return y
