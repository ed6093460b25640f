"""True peaks as EBU Tech 3341 tests a meter for them, whatever the blocks."""

import numpy as np
import pytest

from distillgan.audio.loudness import TruePeakMeter


def peak(wave, block=None):
    meter = TruePeakMeter(len(wave))
    for first in range(0, wave.shape[1], block or wave.shape[1]):
        meter.add(wave[:, first : first + (block or wave.shape[1])])
    meter.finish()
    return meter.peak


def tone(amplitude, cycles, degrees, count=9600):
    """float32 [1, N] of so many cycles a sample, faded in and out."""
    wave = amplitude * np.sin(2 * np.pi * cycles * np.arange(count) + np.radians(degrees))
    fade = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / 480)
    return (fade * wave).astype(np.float32)[None]


@pytest.mark.parametrize(
    ("amplitude", "cycles", "degrees", "expected"),
    [
        (0.5, 1 / 4, 0, -6.0),  # test signals 15 to 19
        (0.5, 1 / 4, 45, -6.0),
        (0.5, 1 / 6, 60, -6.0),
        (0.5, 1 / 8, 67.5, -6.0),
        (1.41, 1 / 4, 45, 3.0),
    ],
)
def test_signals_of_tech_3341(amplitude, cycles, degrees, expected):
    found = 20 * np.log10(peak(tone(amplitude, cycles, degrees)))
    assert expected - 0.1 < found < expected + 0.1  # asked for are -0.4 to 0.2


def test_a_tone_keeps_its_height_up_to_the_top():
    """To 0.9 of half the rate within a twentieth of a decibel: nothing of it rolls off."""
    for cycles in (0.0123, 0.2103, 0.4003, 0.4503):
        assert 20 * np.log10(peak(tone(0.7, cycles, 11)) / 0.7) == pytest.approx(0, abs=0.05)


def test_blocks_make_no_difference_at_all_and_channels_count_alike():
    wave = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 30011)).astype(np.float32)
    assert peak(wave) == peak(wave, 997) == peak(wave, 8192) and peak(wave[:, :99]) == peak(wave[:, :99], 1)
    assert peak(wave) == peak(wave[::-1]) == max(peak(wave[:1]), peak(wave[1:]))


def test_what_rings_beyond_the_ends_counts():
    ends = np.zeros((1, 64), np.float32)
    ends[0, -2:] = ends[0, :2] = 0.5
    inside = np.zeros((1, 192), np.float32)
    inside[0, 64:128] = ends[0]
    assert peak(ends) == peak(inside) > 0.6


def test_silence_a_sample_and_nothing():
    assert peak(np.zeros((1, 100), np.float32)) == 0
    assert peak(np.full((1, 1), -0.25, np.float32)) == 0.25
    meter = TruePeakMeter(2)
    meter.finish()
    assert meter.peak == 0
