"""Pitch from an open bass string's up, at its pitch; what is lower or higher than the range has none."""

import numpy as np
import pytest

from distillgan.audio.io import resample
from distillgan.evaluation.metrics import PitchTrack, periodicity_error, pitch_error_cents

RATE = 22050
TIME = np.arange(RATE) / RATE


def string(hertz: float) -> np.ndarray:
    """Plucked and a little stiff: a weak fundamental, and partials sharper, and dying sooner, the higher they are."""
    numbers = np.arange(1, 40)[:, None]
    partials = numbers * hertz * np.sqrt(1 + 1e-4 * numbers**2)
    levels = np.where(numbers == 1, 0.3, 1) / numbers * np.exp(-TIME * (0.5 + 0.1 * numbers))
    return (levels * np.sin(2 * np.pi * partials * TIME + numbers**2))[partials[:, 0] < RATE / 2].sum(0)


def sine(hertz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * TIME)


def rumble(highest: float) -> np.ndarray:
    """Noise up to that frequency alone."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(RATE))
    spectrum[int(highest) + 1 :] = 0
    return np.fft.irfft(spectrum)


def track(wave: np.ndarray, rate: int = RATE) -> PitchTrack:
    return PitchTrack.of((0.1 * wave / np.abs(wave).max()).astype(np.float32), rate)


@pytest.mark.parametrize(
    ("wave", "hertz"),
    [
        (string(41.2), 41.2),
        (sine(41.2), 41.2),
        (string(30), 30),
        (sine(30), 30),
        (string(27.5), 27.5),
        (sine(27.5), 27.5),
        (string(55), 55),
        (string(61.7), 61.7),
        (string(110), 110),
        (string(233), 233),
        (sine(1700), 1700),
    ],
    ids=lambda value: f"{value:g}" if isinstance(value, float | int) else "",
)
def test_a_note_has_its_pitch(wave, hertz):
    found = track(wave)
    assert found.pitched
    inner = found.hertz[15:-15]
    assert np.abs(1200 * np.log2(inner / hertz)).max() < 40, "a step of 25 cents, and its stiffness"


def test_the_lowest_there_is():
    found = track(sine(20.5))
    assert np.nanmedian(found.hertz) == pytest.approx(20.5, abs=0.4)


@pytest.mark.parametrize(
    "wave",
    [sine(19), sine(15), sine(12), sine(8), string(15), rumble(15), sine(1900), sine(2500), sine(3520), sine(9000)],
    ids=["19", "15", "12", "8", "string 15", "rumble", "1900", "2500", "3520", "9000"],
)
def test_what_is_out_of_range_is_no_pitch(wave):
    found = track(wave)
    assert not found.pitched and (found.periodicity < 0.05).all()
    assert np.isnan(found.hertz).mean() > 0.95


def test_a_rumble_takes_no_pitch_from_the_noise_beside_it():
    noise = np.random.default_rng(2).standard_normal(RATE)
    assert not track(rumble(15) / rumble(15).std() + 0.3 * noise).pitched and not track(noise).pitched


def test_a_quick_vibrato_is_followed():
    """Six times a second, 50 cents each way: the windows of basses are too long for that."""
    hertz = 440 * 2 ** (50 / 1200 * np.sin(2 * np.pi * 6 * TIME))
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    found = track(sum(np.sin(number * phase) / number for number in range(1, 8)))
    true = hertz[::256][: len(found.hertz)]
    cents = 1200 * np.log2(found.hertz[: len(true)] / true)[10:-10]
    assert np.sqrt(np.mean(np.square(cents))) < 25 and found.periodicity[10:-10].mean() > 0.6


def test_what_a_bass_a_semitone_higher_costs():
    true = track(string(41.2))
    made = track(string(41.2 * 2 ** (1 / 12)))
    assert pitch_error_cents(true, made) == pytest.approx(100, abs=15)
    assert periodicity_error(true, true) == 0 and periodicity_error(true, track(rumble(15))) > 0.5
    assert pitch_error_cents(true, track(rumble(15))) is None


def test_the_sample_rate_does_not_matter():
    """44.1 kHz, and so short that no window is full; and silence."""
    wave = resample(string(55)[None].astype(np.float32), RATE, 44100)[0]
    assert np.nanmedian(track(wave, 44100).hertz) == pytest.approx(55, rel=0.015)
    brief = PitchTrack.of(sine(440)[:300].astype(np.float32), RATE)
    assert len(brief.hertz) == len(brief.periodicity) == 2
    silent = PitchTrack.of(np.zeros(RATE, np.float32), 44100)
    assert not silent.pitched and np.isnan(silent.hertz).all()
