"""Mono and stereo: the middle stays what it was, the sides follow the formula, and nothing moves in time."""

import numpy as np
import pytest
from placed import AT, RATE, click, noise, placed, spatial

from distillgan.errors import UserError
from distillgan.synthesis.spatial.placement import Stereo

WIDTHS = [0.25, 0.5, 1.0, 1.5]


def chord(seed: int) -> np.ndarray:
    """Three tones with five partials each, 3 s, in phases of their own."""
    time, rng = np.arange(3 * RATE) / RATE, np.random.default_rng(seed)
    partials = [(tone * number, number) for tone in (220.0, 277.2, 329.6) for number in range(1, 6)]
    return sum(0.1 / n * np.sin(2 * np.pi * f * time + rng.uniform(0, 7)) for f, n in partials)[None].astype(np.float32)


def correlation(pair: np.ndarray) -> float:
    return float((pair[0] @ pair[1]) / np.sqrt((pair[0] @ pair[0]) * (pair[1] @ pair[1])))


def test_mono_is_the_sound_itself():
    place, wave = spatial("mono"), noise(0.1)
    assert (place.channels, place.second, place.name) == (1, False, "mono")
    assert np.array_equal(placed(place, wave, cuts=[0, 17, 17]), wave)


@pytest.mark.parametrize("width", WIDTHS)
def test_both_channels_together_are_the_middle_alone(width):
    wave = noise(0.7)
    made = placed(spatial("stereo", width=width), wave, noise(0.7, 1))
    assert made.shape == (2, wave.shape[1]) and made.dtype == np.float32
    assert np.abs(made.mean(0) - wave[0] / np.sqrt(1 + width**2)).max() < 1e-7


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("second", ["itself", "another"])
def test_correlation_and_levels_are_those_of_the_formula(width, second):
    made = placed(spatial("stereo", width=width), noise(3), noise(3, 1) if second == "another" else None)
    assert correlation(made) == pytest.approx((1 - width**2) / (1 + width**2), abs=0.03)
    assert 20 * np.log10(made.std(1) / 0.1) == pytest.approx([0, 0], abs=0.3)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_chord_is_as_wide_and_leans_to_no_side(width):
    """Of partials that stand still few lie between two bands of the side's phase, in all others they are in quadrature.

    A second rendering has other phases, and leans where they are near the first's: less than to one side alone.
    """
    expected = (1 - width**2) / (1 + width**2)
    for second, lean in ((None, 1.6), (chord(2), 1.6), (chord(3), 4)):
        made = placed(spatial("stereo", width=width), chord(1), second)[:, RATE:-RATE]
        assert correlation(made) == pytest.approx(expected, abs=0.05)
        left, right = 20 * np.log10(made.std(1))
        assert abs(left - right) < lean


def test_the_bass_stays_in_the_middle():
    time = np.arange(2 * RATE) / RATE
    for frequency, most in ((60, 0.01), (110, 0.05)):
        wave = (0.5 * np.sin(2 * np.pi * frequency * time))[None].astype(np.float32)
        left, right = placed(spatial("stereo", width=1.5), wave)[:, RATE // 2 : -RATE // 2]
        assert np.abs(left - right).max() < most * np.abs(left).max()


def test_the_side_is_in_step_with_the_middle():
    left, right = placed(spatial("stereo"), click())
    middle, side = left + right, left - right
    assert np.abs(middle).argmax() == AT and np.count_nonzero(np.abs(middle) > 1e-6) == 1
    energy = side.astype(np.float64) ** 2
    centre = (energy @ np.arange(len(side)) / energy.sum() - AT) / RATE
    assert abs(centre) < 2e-4
    assert energy[AT - RATE // 200 : AT + RATE // 200].sum() > 0.95 * energy.sum()


def test_without_width_both_channels_are_the_sound_and_no_second_is_wanted():
    place, wave = spatial("stereo", width=0), noise(0.1)
    assert not place.second and spatial("stereo").second
    assert np.array_equal(placed(place, wave), np.concatenate([wave, wave]))


@pytest.mark.parametrize("cuts", [[1], [0, 0, 5, 16384], range(0, 50000, 441), [49999]])
def test_samples_do_not_depend_on_the_blocks(cuts):
    wave, second, place = noise(50000 / RATE), noise(50000 / RATE, 1), spatial("stereo")
    assert np.array_equal(placed(place, wave, second, cuts), placed(place, wave, second))
    assert np.array_equal(placed(place, wave, None, cuts), placed(place, wave))


@pytest.mark.parametrize("samples", [0, 1, 2, 1000])
def test_the_shortest_sounds_keep_their_length(samples):
    wave = np.ones((1, samples), np.float32)
    made = [*spatial("stereo").place([wave], [wave], RATE), np.zeros((2, 0))]
    assert sum(block.shape[1] for block in made) == samples


@pytest.mark.parametrize("other", [0, 1, 20000, 20001, 50000])
def test_a_second_rendering_of_another_length_is_refused(other):
    with pytest.raises(ValueError, match="long"):
        placed(spatial("stereo"), np.ones((1, 20002), np.float32), np.ones((1, other), np.float32))


@pytest.mark.parametrize("width", [-0.1, 1.51, float("nan"), "wide", True, None])
def test_a_width_that_is_none_is_refused_with_its_limits(width):
    with pytest.raises(UserError, match=rf"spatial\.width={width} must be a number from 0 to 1\.5"):
        Stereo(width)
