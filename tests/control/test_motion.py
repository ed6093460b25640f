"""What moves in a sound: strokes whose number, regularity and decay are known."""

import numpy as np
import pytest
from sounds import RATE, described, harmonic, irregular, noise, struck

from distillgan.features.descriptors import NAMES, describe
from distillgan.features.onsets import OnsetFeatures

SECONDS = 10.0
STEADY = struck(np.arange(0.1, SECONDS, 0.5), seconds=SECONDS)
DRONE = harmonic(110, seconds=SECONDS)


def decay_of(wave: np.ndarray) -> float:
    """The decay in dB/s."""
    return 2 ** -described(wave)["reverb"]


def test_flux_and_level_are_librosas():
    import librosa

    wave = np.concatenate([STEADY[: 3 * RATE], noise(1.0)]).astype(np.float32)
    silence = np.zeros(8 * 256, np.float32)
    found, padded = OnsetFeatures.of(wave, RATE), np.concatenate([silence, wave])
    power = librosa.feature.melspectrogram(y=padded, sr=RATE, n_fft=1024, hop_length=256, n_mels=64)
    bands_db = librosa.power_to_db(power, ref=1.0, amin=1e-9, top_db=60)
    flux = librosa.onset.onset_strength(S=bands_db, sr=RATE, n_fft=1024, hop_length=256)
    np.testing.assert_allclose(found.flux, flux[8:], atol=1e-3)
    level = librosa.feature.rms(y=padded, frame_length=1024, hop_length=256)[0]
    np.testing.assert_allclose(10 ** (found.level_db / 20), np.maximum(level[8:], 1e-6), rtol=1e-3)


def test_strokes_have_rhythm_and_drones_have_none():
    clicks, drone, hiss = (described(wave)["rhythm"] for wave in (STEADY, DRONE, noise(SECONDS)))
    assert clicks > 5 * max(drone, hiss)


def test_the_harder_the_strokes_the_more_rhythm():
    bed = noise(SECONDS, amplitude=0.01, seed=1)
    found = [described(bed + gain * STEADY)["rhythm"] for gain in (0.0, 0.1, 0.3, 1.0)]
    assert (np.diff(found) > 0.02).all()


@pytest.mark.parametrize("beat", [0.35, 0.5, 0.8])
def test_regular_strokes_have_a_pulse(beat):
    assert described(struck(np.arange(0.1, SECONDS, beat), seconds=SECONDS))["pulse"] > 0.8


def test_irregular_strokes_and_drones_have_none():
    waves = [struck(irregular(20, SECONDS, seed), seconds=SECONDS) for seed in range(6)]
    found = [described(wave)["pulse"] for wave in waves]
    assert np.mean(found) < described(STEADY)["pulse"] - 0.5
    assert max(described(wave)["pulse"] for wave in (DRONE, noise(SECONDS))) < 0.1


def test_the_more_uneven_the_beat_the_less_pulse():
    rng, even = np.random.default_rng(3), np.arange(0.3, SECONDS - 0.3, 0.5)
    jitter = [[rng.uniform(-spread, spread, len(even)) for _ in range(4)] for spread in (0.0, 0.06, 0.2)]
    found = [np.mean([described(struck(even + one, seconds=SECONDS))["pulse"] for one in some]) for some in jitter]
    assert found[0] > found[1] + 0.1 > found[2] + 0.2


def test_two_strokes_are_no_pulse():
    assert described(struck(np.array([1.0, 1.5]), seconds=4.5))["pulse"] < 0.3


@pytest.mark.parametrize("rate", [1, 2, 4])
def test_density_counts_strokes(rate):
    """Short ones, in silence: nothing else sounds."""
    wave = struck(np.arange(0.25, SECONDS, 1 / rate), 2000.0, SECONDS)
    assert described(wave)["density"] == pytest.approx(rate, rel=0.15)


def test_density_adds_one_for_what_sounds_throughout():
    wave = struck(np.arange(0.25, SECONDS, 0.5), 2000.0, SECONDS)
    bed = noise(SECONDS, amplitude=0.01)
    assert described(wave + bed)["density"] == pytest.approx(3, rel=0.1)
    assert described(bed)["density"] == pytest.approx(1, abs=0.15)  # its own beginning is an onset, too
    assert described(np.concatenate([bed, np.zeros_like(bed)]))["density"] == pytest.approx(0.5, abs=0.15)


def test_onsets_are_found_where_they_are():
    at = irregular(12, SECONDS, 4)
    at[1:] = at[:-1] + np.maximum(np.diff(at), 0.2)
    motion = OnsetFeatures.of(struck(at, seconds=SECONDS), RATE)
    found = motion.onsets / motion.frame_rate
    assert len(found) == len(at) and np.abs(found - at).max() < 0.03


@pytest.mark.parametrize("rate", [20.0, 60.0, 200.0])
@pytest.mark.parametrize("hertz", [None, 440.0])
def test_decays_are_read_from_one_stroke_and_from_many(rate, hertz):
    assert decay_of(struck(np.array([0.5]), rate, 4.0, hertz)) == pytest.approx(rate, rel=0.15)
    assert decay_of(struck(np.arange(0.5, 7, 1.5), rate, 8.0, hertz)) == pytest.approx(rate, rel=0.15)


def test_what_is_held_has_no_decay():
    assert np.isnan(described(DRONE)["reverb"])
    assert np.isnan(described(noise(SECONDS))["reverb"])


def test_the_longer_the_reverb_the_more_of_it():
    found = [described(struck(np.arange(0.5, 7, 1.5), rate, 8.0))["reverb"] for rate in (300, 100, 40, 15)]
    assert (np.diff(found) > 1).all()


def test_each_window_is_described_by_itself():
    """Strokes twice a second that ring, then nothing, then a drone."""
    parts = [struck(np.arange(0.1, 5, 0.5), 60.0, 5.0), np.zeros(5 * RATE, np.float32), harmonic(110, seconds=5.0)]
    windows = (np.array([[1, 4], [6.5, 9.5], [11.5, 14.5]]) * RATE).astype(int)
    found = describe(np.concatenate(parts), RATE, windows)
    rhythm, density, reverb = (found[:, NAMES.index(name)] for name in ("rhythm", "density", "reverb"))
    assert rhythm[0] > 5 * rhythm[1:].max()
    assert density == pytest.approx([3, 0, 1], abs=0.35)
    assert 2 ** -reverb[0] == pytest.approx(60, rel=0.2) and np.isnan(reverb[1:]).all()
