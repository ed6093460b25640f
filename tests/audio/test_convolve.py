"""Filtering block by block is filtering the whole, in little memory, whatever the blocks are."""

import tracemalloc

import numpy as np
import pytest
from scipy import signal

from distillgan.audio.filters import convolved, evenly

RNG = np.random.default_rng(3)


def whole(wave: np.ndarray, filters: np.ndarray, lead: int) -> np.ndarray:
    """The same, told plainly."""
    outputs = [sum(signal.oaconvolve(x, h) for x, h in zip(wave, row, strict=True)) for row in filters]
    padded = np.pad(np.stack(outputs), ((0, 0), (0, lead)))
    return padded[:, lead : lead + wave.shape[1]]


@pytest.mark.parametrize("samples", [1, 5, 700, 16384, 50001])
@pytest.mark.parametrize(("taps", "lead"), [(1, 0), (300, 0), (300, 299), (9000, 4000)])
def test_it_is_the_convolution_early_by_the_lead(samples, taps, lead):
    wave = RNG.standard_normal((2, samples)).astype(np.float32)
    filters = RNG.standard_normal((3, 2, taps)) / np.sqrt(taps)
    made = np.concatenate(list(convolved([wave], filters, lead)), axis=1)
    assert made.shape == (3, samples) and made.dtype == np.float32
    assert np.abs(made - whole(wave.astype(np.float64), filters, lead)).max() < 1e-6 * max(1, np.abs(made).max())


@pytest.mark.parametrize("cuts", [[0, 1, 1, 2], range(0, 40000, 441), [39999], [20000, 20001]])
def test_samples_do_not_depend_on_the_blocks(cuts):
    wave = RNG.standard_normal((1, 40000)).astype(np.float32)
    filters = RNG.standard_normal((2, 1, 1000))
    parts = list(convolved(np.split(wave, list(cuts), axis=1), filters, 77))
    assert np.array_equal(np.concatenate(parts, axis=1), np.concatenate(list(convolved([wave], filters, 77)), axis=1))


def test_no_sound_is_no_sound():
    assert (
        list(convolved([], np.ones((2, 1, 5)), 2)) == list(convolved([np.zeros((1, 0))], np.ones((2, 1, 5)), 2)) == []
    )


def test_even_blocks_hold_the_same_samples():
    wave = np.arange(1000.0)[None]
    blocks = list(evenly(np.split(wave, [3, 3, 500, 501, 999], axis=1), 64))
    assert [block.shape[1] for block in blocks] == [64] * 15 + [40]
    assert np.array_equal(np.concatenate(blocks, axis=1), wave)


def test_memory_is_that_of_a_step_not_of_the_sound():
    def peak(count: int) -> int:
        tracemalloc.start()
        samples = sum(block.shape[1] for block in convolved(blocks(count), np.ones((2, 1, 2000)), 100))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert samples == count * 30000
        return most

    def blocks(count: int):
        for _ in range(count):
            yield np.ones((1, 30000), np.float32)

    assert peak(60) < 1.2 * peak(6) and peak(60) < 8e6
