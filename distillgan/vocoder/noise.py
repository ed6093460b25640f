"""Noise that depends on nothing but its place: the same on every device, in every block, at every run."""

import math

import numpy as np
import torch
from torch import Tensor

_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)  # of a 32-bit mixer (Wellons 2018, "Prospecting for hash functions")
_WORD = 0xFFFFFFFF


def noise_phases(first: Tensor, frames: int, bins: int) -> Tensor:
    """Angles uniform in 0…2π, float32 [B, bins, frames], of the frames `first` [B] (int64) and on.

    Frame f, bin k are hashed to the angle: a block that begins later has the same angles at the same frames.
    """
    if first.is_cpu and not torch.jit.is_tracing():
        return _on_cpu(first.numpy(), frames, bins)
    frame = first[:, None] + torch.arange(frames, device=first.device)
    # Within 32 bits throughout, so that no multiplication of two int64 overflows.
    word = _mixed(_mixed(frame & _WORD)[:, None] + torch.arange(bins, device=first.device)[:, None])
    return (word >> 8).float() * (2 * math.pi / (1 << 24))


def _on_cpu(first: np.ndarray, frames: int, bins: int) -> Tensor:
    """The same, five times as fast: NumPy's words of 32 bits go round by themselves, and are written over."""
    frame = (first[:, None] + np.arange(frames)).astype(np.uint32)
    word = _mix(_mix(frame)[:, None] + np.arange(bins, dtype=np.uint32)[:, None])
    word >>= 8
    return torch.from_numpy(word.astype(np.float32)) * (2 * math.pi / (1 << 24))


def _mix(word: np.ndarray) -> np.ndarray:
    """As `_mixed`, in place."""
    spare = np.empty_like(word)
    for shift, multiplier in ((16, _MULTIPLIERS[0]), (15, _MULTIPLIERS[1]), (16, 1)):
        np.right_shift(word, shift, out=spare)
        word ^= spare
        word *= np.uint32(multiplier)
    return word


def _mixed(word: Tensor) -> Tensor:
    word = word & _WORD
    word = word ^ (word >> 16)
    word = (word * _MULTIPLIERS[0]) & _WORD
    word = word ^ (word >> 15)
    word = (word * _MULTIPLIERS[1]) & _WORD
    return word ^ (word >> 16)
