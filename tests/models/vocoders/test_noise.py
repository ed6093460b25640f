"""The noise is white, and depends on the frame's number alone."""

import math

import torch

from distillgan.models.vocoders.harmonic import noise_phases


def first(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


def test_a_block_has_the_noise_of_the_whole():
    whole = noise_phases(first(0, 10**12), 50, 257)
    assert whole.shape == (2, 257, 50) and whole.dtype == torch.float32
    assert torch.equal(noise_phases(first(20, 10**12 + 20), 30, 257), whole[..., 20:])


def test_angles_are_uniform_and_independent():
    angles = noise_phases(first(0), 400, 1025)[0]
    assert angles.min() >= 0 and angles.max() < 2 * math.pi
    counts = torch.histc(angles, 16, 0, 2 * math.pi) / angles.numel()
    assert (counts * 16 - 1).abs().max() < 0.02
    turns = torch.polar(torch.ones_like(angles), angles)
    assert turns.mean().abs() < 5e-3
    for shift in ((1, 0), (0, 1), (1, 1), (4, 0), (0, 4), (257, 1)):
        neighbour = torch.roll(turns, shift, (0, 1))
        assert (turns * neighbour.conj()).mean().abs() < 6e-3, shift


def test_other_beginnings_are_other_noise():
    a, b = (torch.polar(torch.ones(257, 100), noise_phases(first(start), 100, 257)[0]) for start in (0, 100))
    assert (a * b.conj()).mean().abs() < 0.02
