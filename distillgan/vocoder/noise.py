"""Noise that depends on nothing but its place: the same on every device, in every block, at every run."""

import math

import torch
from torch import Tensor

_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)  # of a 32-bit mixer (Wellons 2018, "Prospecting for hash functions")
_WORD = 0xFFFFFFFF


def noise_phases(first: Tensor, frames: int, bins: int) -> Tensor:
    """Angles uniform in 0…2π, float32 [B, bins, frames], of the frames `first` [B] (int64) and on.

    Frame f, bin k are hashed to the angle: a block that begins later has the same angles at the same frames.
    """
    frame = first[:, None] + torch.arange(frames, device=first.device)
    # Within 32 bits throughout, so that no multiplication of two int64 overflows.
    word = _mixed(_mixed(frame & _WORD)[:, None] + torch.arange(bins, device=first.device)[:, None])
    return (word >> 8).float() * (2 * math.pi / (1 << 24))


def _mixed(word: Tensor) -> Tensor:
    word = word & _WORD
    word = word ^ (word >> 16)
    word = (word * _MULTIPLIERS[0]) & _WORD
    word = word ^ (word >> 15)
    word = (word * _MULTIPLIERS[1]) & _WORD
    return word ^ (word >> 16)
