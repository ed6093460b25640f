"""The metrics hear what they should: nothing in an equal wave, and each fault where it is."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.evaluation import metrics as perceptual
from distillgan.evaluation import metrics as spectral
from distillgan.evaluation.metrics import METRICS, SPEED, PitchTrack, TrueWave, mean, periodicity_error

RATE, HOP = 44100, 512
SAMPLES = 110 * HOP  # 1.3 s
TIME = np.arange(SAMPLES) / RATE


def harmonic(hertz: float) -> np.ndarray:
    """A decaying tone of six partials with attacks every 0.32 s."""
    since = TIME % 0.32
    wave = sum(np.sin(2 * np.pi * hertz * n * TIME) / n for n in range(1, 7))
    return (0.15 * wave * np.exp(-4 * since)).astype(np.float32)


def clicks() -> np.ndarray:
    """Bursts of noise, a millisecond or so long, over a faint noise."""
    rng = np.random.default_rng(1)
    wave = 0.001 * rng.standard_normal(SAMPLES)
    for start in range(4000, SAMPLES - 2000, 9000):
        wave[start : start + 1500] += 0.5 * rng.standard_normal(1500) * np.exp(-np.arange(1500) / 60)
    return wave.astype(np.float32)


def smeared(wave: np.ndarray, window: int = 2048) -> np.ndarray:
    """The same long-window magnitudes under random phases: energy is spread over the window, as guessed phases do."""
    hann = torch.hann_window(window)
    spectrum = torch.stft(torch.from_numpy(wave), window, window // 4, window=hann, return_complex=True)
    turn = torch.rand(spectrum.shape, generator=torch.Generator().manual_seed(3)) * 2 * torch.pi
    spectrum = torch.polar(spectrum.abs(), turn)
    return torch.istft(spectrum, window, window // 4, window=hann, length=len(wave)).numpy()


def noisy(wave: np.ndarray, db: float = -40) -> np.ndarray:
    noise = np.random.default_rng(2).standard_normal(len(wave)).astype(np.float32)
    return wave + np.float32(10 ** (db / 20)) * noise


@pytest.fixture(scope="module")
def tone() -> TrueWave:
    return TrueWave(torch.from_numpy(harmonic(220)), MelSpec())


@pytest.fixture(scope="module")
def burst() -> TrueWave:
    return TrueWave(torch.from_numpy(clicks()), MelSpec())


@pytest.fixture(scope="module")
def heard(tone) -> dict[str, dict]:
    """Faults of a tone, and what the metrics say of them."""
    true = tone.wave.numpy()
    faults = {
        "none": true,
        "a frame late": np.concatenate([np.zeros(HOP, np.float32), true[:-HOP]]),
        "a semitone flat": harmonic(220 * 2 ** (-1 / 12)),
        "noise": noisy(true),
    }
    return {name: tone.compare(torch.from_numpy(made)) for name, made in faults.items()}


def test_an_equal_wave_is_perfect(heard):
    equal = heard["none"]
    for metric in METRICS:
        if metric.key not in (SPEED, "visqol", "zimtohrli"):
            assert equal[metric.key] == pytest.approx(0, abs=1e-6), metric.key
    assert all(pair == [0, 0] for pair in equal["stft_windows"].values())


def test_every_metric_but_speed_is_there_and_no_other(heard):
    assert set(heard["none"]) == {metric.key for metric in METRICS} - {SPEED} | {"stft_windows"}


def test_a_frame_late_is_noticed_and_most_in_short_windows(heard):
    late = heard["a frame late"]
    assert late["stft"] > 0.1 and late["log_spectral_distance_db"] > 1 and late["mel_l1"] > 0.05
    windows = late["stft_windows"]
    assert windows["64"][0] > 2 * windows["2048"][0]
    assert late["pitch_error_cents"] < 10


def test_a_semitone_flat_is_a_hundred_cents(heard):
    flat = heard["a semitone flat"]
    assert flat["pitch_error_cents"] == pytest.approx(100, abs=15)
    assert flat["stft"] > heard["a frame late"]["stft_windows"]["2048"][0]
    assert flat["periodicity_error"] < 0.1, "it is no less pitched"


def test_noise_makes_it_less_periodic_and_is_seen_between_the_partials(heard, tone):
    assert heard["noise"]["periodicity_error"] > 0.02
    assert heard["noise"]["log_spectral_distance_db"] > 10 and heard["noise"]["mel_l1"] > 0.5
    more = tone.compare(torch.from_numpy(noisy(tone.wave.numpy(), -20)))
    for key in ("periodicity_error", "stft", "log_spectral_distance_db", "mel_l1"):
        assert more[key] > heard["noise"][key]


def test_six_decibels_are_six_decibels():
    noise = 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(5))
    assert spectral.log_spectral_distance(noise, 2 * noise) == pytest.approx(6.02, abs=0.01)
    for convergence, log_magnitude in spectral.stft_distances(noise, 2 * noise).values():
        assert convergence == pytest.approx(1, abs=1e-4) and log_magnitude == pytest.approx(np.log(2), abs=1e-3)


def test_a_smeared_attack_is_heard_in_short_windows(burst):
    """Beside other phases within a short window, which a long one finds almost as bad: only the short ones tell."""
    true = burst.wave.numpy()
    smear, sharp = (burst.compare(torch.from_numpy(smeared(true, window))) for window in (2048, 128))
    assert smear["stft_short"] > 1.4 * sharp["stft_short"]
    assert sum(smear["stft_windows"]["2048"]) < 1.25 * sum(sharp["stft_windows"]["2048"])
    assert smear["stft_short"] > 1.1 * smear["stft"] > 0
    assert smear["periodicity_error"] is None and smear["pitch_error_cents"] is None and not burst.pitched


def test_the_distances_are_those_computed_by_hand():
    rng = np.random.default_rng(0)
    true, made = (rng.standard_normal(1000).astype(np.float32) for _ in range(2))
    window = np.hanning(129)[:-1]
    padded = [np.pad(wave.astype(np.float64), 64, mode="reflect") for wave in (true, made)]
    s, m = (
        np.abs([np.fft.rfft(wave[i : i + 128] * window) for i in range(0, 1001, 32)]) / window.sum() for wave in padded
    )
    convergence, log_magnitude = spectral.stft_distances(torch.from_numpy(true), torch.from_numpy(made), [128])[128]
    assert convergence == pytest.approx(np.linalg.norm(s - m) / np.linalg.norm(s), rel=1e-4)
    assert log_magnitude == pytest.approx(np.abs(np.log(s) - np.log(m)).mean(), rel=1e-3)


def test_digital_silence_is_no_further_than_the_floor():
    silence, hiss = torch.zeros(8192), 1e-7 * torch.randn(8192, generator=torch.Generator().manual_seed(1))
    assert spectral.log_spectral_distance(silence, hiss) == 0
    assert spectral.multi_resolution(spectral.stft_distances(silence, hiss)) < 0.1


def test_noise_and_silence_have_no_pitch_and_a_tone_has():
    noise = np.random.default_rng(4).standard_normal(RATE).astype(np.float32)
    tracks = {name: PitchTrack.of(wave, RATE) for name, wave in (("noise", noise), ("silence", 0 * noise))}
    assert not tracks["noise"].pitched and not tracks["silence"].pitched
    sung = PitchTrack.of(harmonic(220), RATE)
    assert sung.pitched and np.nanmedian(sung.hertz) == pytest.approx(220, rel=0.01)
    hoarse = PitchTrack.of(noisy(harmonic(220), -10), RATE)
    assert periodicity_error(sung, hoarse) > 0.3


@pytest.mark.parametrize(
    ("made", "words"),
    [(torch.zeros(SAMPLES - 1), "cannot be compared"), (torch.full((SAMPLES,), float("nan")), "NaN or infinite")],
)
def test_what_cannot_be_compared_is_refused(tone, made, words):
    with pytest.raises(ValueError, match=words):
        tone.compare(made)


def test_mean_is_over_what_there_is():
    assert mean([1.0, None, 2.0]) == 1.5 and mean([None]) is None


@pytest.mark.parametrize("name", ["visqol", "zimtohrli"])
def test_models_of_hearing(name, heard):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'distillgan[scores]'")
    assert heard["none"][name] > 4.7
    # ViSQOL aligns the two before it compares: a shift is nothing to it.
    least = {"a semitone flat": 0.2, "noise": 1} | ({"a frame late": 0.1} if name == "zimtohrli" else {})
    for fault, loss in least.items():
        assert heard[fault][name] < heard["none"][name] - loss, fault
    short = perceptual.at_48k(harmonic(220)[:20000], RATE)
    value = perceptual.PERCEPTUAL[name]()(short, short)
    assert value is None if name == "visqol" else value == pytest.approx(5)


def test_what_is_not_installed_is_none_and_no_error(monkeypatch, tone):
    """Whether or not they are here: None in sys.modules is how Python itself marks what cannot be imported."""
    for name in ("visqol", "zimtohrli"):
        monkeypatch.setitem(sys.modules, name, None)
    for judge in perceptual.PERCEPTUAL.values():
        judge.cache_clear()
    try:
        scores = tone.compare(tone.wave)
    finally:
        for judge in perceptual.PERCEPTUAL.values():
            judge.cache_clear()
    assert scores["visqol"] is None and scores["zimtohrli"] is None and scores["stft"] == 0
