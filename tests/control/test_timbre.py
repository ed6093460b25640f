"""What is heard in a spectrum: tones, noises and chords whose brightness, warmth, roughness and tension are known."""

import math
import time
import warnings

import numpy as np
import pytest
from sounds import RATE, described, harmonic, modulated, noise, sine, struck

from distillgan.features.descriptors import DESCRIPTORS, NAMES, describe, windows_of

TIMBRES = [item.name for item in DESCRIPTORS if not item.temporal]


@pytest.mark.parametrize("hertz", [220, 440, 2000, 9000])
def test_the_brightness_of_a_sine_is_its_frequency(hertz):
    assert 2 ** described(sine(hertz))["brightness"] == pytest.approx(hertz, rel=0.03)


def test_brightness_rises_with_a_filter_over_noise():
    found = [described(noise(below=hertz))["brightness"] for hertz in (500, 1500, 5000, None)]
    assert np.diff(found).min() > 0.5  # octaves
    # The magnitudes of white noise are the same at all frequencies: its centroid is half of the highest.
    assert 2 ** found[-1] == pytest.approx(RATE / 4, rel=0.02)


def test_two_sines_are_as_bright_as_their_mean_weighted_by_amplitude():
    wave = sine(500, amplitude=0.3) + sine(4000, amplitude=0.1)
    assert 2 ** described(wave)["brightness"] == pytest.approx((0.3 * 500 + 0.1 * 4000) / 0.4, rel=0.03)


def test_warmth_is_the_energy_of_low_partials():
    assert described(sine(200))["warmth"] == pytest.approx(0, abs=0.1)
    assert described(sine(440))["warmth"] == pytest.approx(0, abs=0.1)
    assert max(described(sine(hertz))["warmth"] for hertz in (50, 600)) < -10
    assert described(sine(2000))["warmth"] < -25
    # Half of the energy is below 500 Hz: 3 dB less.
    assert described(sine(250) + sine(3000))["warmth"] == pytest.approx(-3, abs=0.2)
    assert described(sine(250, amplitude=0.02) + sine(3000))["warmth"] == pytest.approx(-20, abs=0.5)


def test_what_fluctuates_seventy_times_a_second_is_rough():
    still, slow, rough, fast = (
        described(wave)["roughness"]
        for wave in (sine(1000), modulated(sine(1000), 4), modulated(sine(1000), 70), modulated(sine(1000), 400))
    )
    assert rough > max(still, slow) + 15
    assert rough > fast + 10
    # All power is at the rate, and a sine between 0 and 1 has a third of it: 0.125 of 0.375.
    assert rough == pytest.approx(10 * math.log10(1 / 3), abs=1.5)


def test_two_sines_are_rough_where_they_beat_in_one_band():
    beating, apart = (described(sine(2000) + sine(2000 + gap))["roughness"] for gap in (70, 1500))
    assert beating > apart + 15


def test_a_semitone_is_tenser_than_a_third_a_third_than_a_fifth():
    ratios = (2 ** (1 / 12), 1.25, 1.5, 2.0)
    semitone, third, fifth, octave = (
        described(harmonic(261.6) + harmonic(261.6 * ratio))["tension"] for ratio in ratios
    )
    assert semitone > 1.5 * third > 2 * fifth > 2 * octave >= 0


def test_a_sine_has_no_tension():
    assert described(sine(440))["tension"] == pytest.approx(0, abs=1e-3)


def test_two_sines_are_tensest_at_a_quarter_of_a_critical_band():
    """Plomp and Levelt's curve: none together, most some 25 Hz apart near 500 Hz, none far away."""
    found = [described(sine(500) + sine(500 + gap))["tension"] for gap in (30, 120, 400)]
    assert found[0] > 3 * found[1] > 9 * found[2]


@pytest.mark.parametrize("wave", [noise(below=3000), harmonic(196), struck(np.array([0.2, 1.1, 1.9]), 60.0)])
def test_timbre_does_not_depend_on_loudness(wave):
    loud, quiet = described(wave), described(0.05 * wave)
    for name in TIMBRES:
        assert loud[name] == pytest.approx(quiet[name], abs=1e-3)


def test_loud_moments_count_more_than_quiet_ones():
    wave = np.concatenate([sine(400, 1.5, 0.5), sine(5000, 1.5, 0.005)])
    assert 2 ** described(wave)["brightness"] < 480


def test_silence_has_no_timbre_and_no_events():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = described(np.zeros(2 * RATE, np.float32))
    assert all(math.isnan(found[name]) for name in [*TIMBRES, "reverb"])
    assert [found[name] for name in ("rhythm", "pulse", "density")] == [0, 0, 0]


def test_what_nobody_hears_has_no_timbre():
    assert all(math.isnan(described(noise(amplitude=1e-4))[name]) for name in TIMBRES)
    assert all(math.isfinite(described(noise(amplitude=1e-3))[name]) for name in TIMBRES)


def test_only_the_window_that_is_silent_has_no_timbre():
    wave = np.concatenate([sine(440, 1.5), np.zeros(round(4.5 * RATE), np.float32), sine(2000, 1.5)])
    windows = np.array([[0, 1.5], [3, 4.5], [6, 7.5]]) * RATE
    found = describe(wave, RATE, windows.astype(int))
    assert np.isfinite(found[[0, 2], :4]).all() and np.isnan(found[1, :4]).all()
    assert 2 ** found[[0, 2], 0] == pytest.approx([440, 2000], rel=0.05)


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.1, 0.3])
def test_the_shortest_sounds_are_described(seconds):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = describe(wave := noise(seconds), RATE, windows_of(len(wave), RATE))
    assert found.shape == (1, len(NAMES))
    assert np.isfinite(found[:, :7]).all()


def test_windows_of_a_second_and_a_half_cover_a_sound():
    windows = windows_of(10 * RATE, RATE)
    assert windows[0, 0] == 0 and windows[-1, 1] == 10 * RATE
    assert (np.diff(windows[:-1]) == round(1.5 * RATE)).all() and (np.diff(windows[:, 0]) <= 0.75 * RATE).all()
    assert windows_of(1000, RATE).tolist() == [[0, 1000]]
    assert windows_of(0, RATE).tolist() == [[0, 0]]


def test_a_minute_is_described_in_two_seconds():
    wave = noise(60)
    spent = []
    for _ in range(3):
        begun = time.process_time()
        describe(wave, RATE, windows_of(len(wave), RATE))
        spent.append(time.process_time() - begun)
    assert min(spent) < 2


def test_what_people_read_is_in_the_unit():
    shown = {item.name: (item.shown(described(harmonic(110))[item.name]), item.unit) for item in DESCRIPTORS[:4]}
    assert shown["brightness"][1] == "Hz" and 110 < shown["brightness"][0] < 660
    assert shown["warmth"][1] == "dB" and -10 < shown["warmth"][0] <= 0.01
    rates = [item for item in DESCRIPTORS if item.name == "reverb"]
    value = described(struck(np.array([0.5, 1.5, 2.5]), 100.0, 4.0))["reverb"]
    assert rates[0].unit == "dB/s" and rates[0].shown(value) == pytest.approx(100, rel=0.15)
