"""Augmentation really happens: every change that is configured is measured in the sound."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distillgan.audio.augment import Augment, Change, stretch_mel
from distillgan.audio.mel import MelSpec, MelSpectrogram
from distillgan.errors import UserError

SPEC = MelSpec()
RATE, HOP = SPEC.sample_rate, SPEC.hop_length
OFF = {
    "shift_probability": 0.0,
    "pitch_semitones": 0.0,
    "time_stretch": (1.0, 1.0),
    "gain_db": 0.0,
    "noise_probability": 0.0,
    "noise_snr_db": (20.0, 50.0),
    "polarity_probability": 0.0,
}


def augment(**values) -> Augment:
    return Augment(**{**OFF, **values})


def tone(hertz: float, count: int, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(count) / RATE)).astype(np.float32)


def frequency(wave: np.ndarray) -> float:
    """Hz of the strongest partial: the vertex of a parabola through the log spectrum's peak."""
    size = 1 << 17
    log = np.log(np.abs(np.fft.rfft(wave * np.blackman(len(wave)), size)) + 1e-12)
    peak = int(log.argmax())
    left, middle, right = log[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * RATE / size


def changed(which: Augment, source: np.ndarray, seed: int, count: int | None = None) -> np.ndarray:
    return which.wave(source, len(source) if count is None else count, Change(1.0, 1.0), np.random.default_rng(seed))


def rms_db(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64))))


def test_pitch_is_shifted_as_drawn_and_drawn_evenly():
    which = augment(shift_probability=1.0, pitch_semitones=2.0)
    rng = np.random.default_rng(1)
    count = 16384
    source = tone(1000, 2 * count)
    drawn = []
    for number in range(120):
        change = which.draw(rng)
        length = which.source_length(count, change)
        wave = which.wave(source[:length], count, change, rng)
        assert wave.shape == (count,) and wave.dtype == np.float32
        semitones = 12 * np.log2(change.pitch)
        drawn.append(semitones)
        if number < 40:
            assert 1200 * np.log2(frequency(wave) / 1000) == pytest.approx(100 * semitones, abs=3)
    assert np.abs(drawn).max() <= 2
    quarters = np.histogram(drawn, bins=4, range=(-2, 2))[0]
    assert quarters.min() > 15  # 30 expected


def test_shifted_sound_keeps_its_level_and_has_no_gap():
    which = augment(shift_probability=1.0, pitch_semitones=12.0)
    source = tone(1000, 40000)
    for pitch in (0.5, 0.9, 1.3, 2.0):
        change = Change(pitch, 1.0)
        wave = which.wave(source[: which.source_length(8192, change)], 8192, change, np.random.default_rng(0))
        for part in np.split(wave, 8):
            assert rms_db(part) == pytest.approx(rms_db(source), abs=0.5)


@pytest.fixture(scope="module")
def mel():
    return MelSpectrogram(SPEC)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stretch", [0.9, 1.0, 1.1])
def test_time_is_stretched_as_wanted_whatever_the_pitch(mel, seed, stretch):
    frames = 96
    which = augment(shift_probability=1.0, pitch_semitones=2.0, time_stretch=(stretch, stretch))
    first, second = 20, 60  # mel frames of two clicks on a quiet tone
    source = tone(1000, 200 * HOP, 0.003)
    for frame in (first, second):
        source[frame * HOP + HOP // 2] += 0.9
    change = which.draw(np.random.default_rng(seed))
    count = (int(np.ceil(frames * which.widest_rate)) + 1) * HOP
    wave = which.wave(source[: which.source_length(count, change)], count, change, np.random.default_rng(0))
    made = stretch_mel(mel(torch.from_numpy(wave)[None]), torch.tensor([change.rate]), frames)[0]
    assert made.shape == (128, frames)
    clicks = made[90:].sum(0)  # far above the tone
    places = []
    for frame in (first, second):
        near = torch.arange(int(frame * stretch) - 6, int(frame * stretch) + 8)
        assert clicks[near].max() > 20 * clicks[40]
        places.append(float((clicks[near] * near).sum() / clicks[near].sum()))
    assert places[1] - places[0] == pytest.approx(stretch * (second - first), abs=0.3)
    # Between the clicks the tone stands at the pitch that was drawn.
    still = made[:, int(35 * stretch)]
    wanted = mel(torch.from_numpy(tone(1000 * change.pitch, 20 * HOP, 0.003))[None])[0, :, 10]
    assert int(still.argmax()) == int(wanted.argmax())
    assert torch.allclose(still, wanted, rtol=0.1, atol=0.02 * float(wanted.max()))


def test_time_stretch_is_drawn_within_its_bounds():
    which = augment(shift_probability=1.0, pitch_semitones=2.0, time_stretch=(0.9, 1.1))
    rng = np.random.default_rng(2)
    stretches = np.array([1 / (change.rate * change.pitch) for change in (which.draw(rng) for _ in range(300))])
    assert 0.9 <= stretches.min() < 0.91 and 1.09 < stretches.max() <= 1.1
    assert abs(stretches.mean() - 1) < 0.01


def test_stretching_a_mel_by_one_leaves_it():
    mel = torch.rand(2, 5, 30)
    assert torch.equal(stretch_mel(mel, torch.ones(2), 20), mel[..., :20])


def test_stretching_reads_between_frames_each_item_at_its_own_rate():
    mel = torch.rand(2, 3, 40)
    made = stretch_mel(mel, torch.tensor([0.75, 1.25]), 25)
    for item, rate in enumerate((0.75, 1.25)):
        for band in range(3):
            read = np.interp(np.arange(25) * rate, np.arange(40), mel[item, band].numpy())
            assert made[item, band].numpy() == pytest.approx(read, abs=1e-5)


@given(
    pitch=st.floats(0, 12),
    stretch=st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)).map(sorted),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    frames=st.integers(8, 400),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200, deadline=None)
def test_the_widest_rate_suffices(pitch, stretch, share, frames, seed):
    """What is cut, (ceil(frames · widest) + 1) frames, or `frames` where nothing moves, holds all that is read."""
    which = augment(shift_probability=share, pitch_semitones=pitch, time_stretch=stretch)
    there = frames if which.widest_rate == 1 else int(np.ceil(frames * which.widest_rate)) + 1
    rng = np.random.default_rng(seed)
    for _ in range(5):
        change = which.draw(rng)
        assert change.rate <= which.widest_rate * (1 + 1e-12)
        assert (frames - 1) * change.rate <= there - 1


@given(count=st.integers(64, 9000), pitch=st.floats(0.5, 2))
@settings(max_examples=150, deadline=None)
def test_the_source_suffices(count, pitch):
    which = augment()
    change = Change(pitch, 1.0)
    source = np.ones(which.source_length(count, change), np.float32)
    assert which.wave(source, count, change, np.random.default_rng(0)).shape == (count,)


def test_gain_in_decibels():
    which = augment(gain_db=6.0)
    source = tone(440, 4410)
    gains = np.array([rms_db(changed(which, source, seed)) - rms_db(source) for seed in range(300)])
    assert -6 <= gains.min() < -5.7 and 5.7 < gains.max() <= 6
    assert abs(gains.mean()) < 0.6
    assert np.histogram(gains, bins=3, range=(-6, 6))[0].min() > 70


@pytest.mark.parametrize("snr", [20.0, 35.0, 50.0])
def test_noise_has_the_wanted_ratio(snr):
    which = augment(noise_probability=1.0, noise_snr_db=(snr, snr))
    source = tone(440, 44100)
    for seed in range(5):
        noise = changed(which, source, seed) - source
        assert rms_db(source) - rms_db(noise) == pytest.approx(snr, abs=0.5)
        spectrum = np.abs(np.fft.rfft(noise)) ** 2
        halves = [spectrum[:11025].mean(), spectrum[11025:].mean()]
        assert halves[0] == pytest.approx(halves[1], rel=0.1)  # white


def test_noise_is_drawn_within_its_bounds_and_follows_the_gain():
    which = augment(noise_probability=1.0, noise_snr_db=(20.0, 50.0))
    source = tone(440, 8820, 0.01)
    ratios = np.array([rms_db(source) - rms_db(changed(which, source, seed) - source) for seed in range(200)])
    assert 19.5 < ratios.min() < 21 and 49 < ratios.max() < 50.5


def test_silence_stays_silence():
    silence = np.zeros(2000, np.float32)
    assert not changed(augment(noise_probability=1.0, gain_db=6.0), silence, 1).any()


@pytest.mark.parametrize(("probability", "low", "high"), [(0.0, 0, 0), (0.3, 220, 380), (1.0, 1000, 1000)])
def test_shares(probability, low, high):
    """Of 1000 segments, how many are turned over, get noise, are shifted."""
    source = tone(440, 256)
    turned = augment(polarity_probability=probability)
    noisy = augment(noise_probability=probability)
    moved = augment(shift_probability=probability, pitch_semitones=2.0, time_stretch=(0.9, 1.1))
    rng = np.random.default_rng(3)
    assert low <= sum(float(changed(turned, source, seed) @ source) < 0 for seed in range(1000)) <= high
    assert low <= sum(not np.array_equal(changed(noisy, source, seed), source) for seed in range(1000)) <= high
    assert low <= sum(moved.draw(rng) != Change(1.0, 1.0) for _ in range(1000)) <= high


def test_turned_over_and_nothing_else():
    source = tone(440, 256)
    assert np.array_equal(changed(augment(polarity_probability=1.0), source, 1), -source)


def test_all_off_is_the_same_to_the_bit():
    which = augment()
    source = np.random.default_rng(4).standard_normal(5000).astype(np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        change = which.draw(rng)
        assert change == Change(1.0, 1.0) and which.source_length(5000, change) == 5000
        assert np.array_equal(which.wave(source, 5000, change, rng), source)
    assert which.widest_rate == 1.0


def test_the_source_is_left_alone():
    which = augment(gain_db=6.0, noise_probability=1.0, polarity_probability=1.0)
    source = tone(440, 1000)
    before = source.copy()
    changed(which, source, 1)
    assert np.array_equal(source, before)


def test_the_same_generator_gives_the_same_samples():
    which = augment(
        shift_probability=1.0, pitch_semitones=2.0, time_stretch=(0.9, 1.1), gain_db=6.0, noise_probability=1.0
    )
    source = tone(440, 5000)

    def made(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return which.wave(source, 4000, which.draw(rng), rng)

    assert np.array_equal(made(7), made(7))
    assert not np.array_equal(made(7), made(8))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shift_probability": 1.1}, "augment.shift_probability=1.1 must be a number from 0 to 1"),
        ({"noise_probability": -0.1}, "augment.noise_probability=-0.1 must be a number from 0 to 1"),
        ({"polarity_probability": float("nan")}, "augment.polarity_probability=nan must be"),
        ({"time_stretch": [0.4, 1]}, r"augment.time_stretch=0.4 must be a number from 0.5 to 2"),
        ({"time_stretch": [1, 2.1]}, "augment.time_stretch=2.1 must be a number"),
        ({"time_stretch": [1.1, 0.9]}, r"\[low, high\]"),
        ({"pitch_semitones": -1}, "augment.pitch_semitones=-1 must be a number from 0 to 12"),
        ({"pitch_semitones": 13}, "augment.pitch_semitones=13 must be a number from 0 to 12"),
        ({"noise_snr_db": [50, 20]}, r"augment.noise_snr_db=\[50, 20\] must be \[low, high\]"),
    ],
)
def test_impossible_values(values, words):
    with pytest.raises(UserError, match=words):
        augment(**values)
