"""What is written can be played: the right pitch, level, length and depth, and nothing older is overwritten."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile

from distillgan.audio.formats import Wav
from distillgan.audio.io import resample
from distillgan.audio.mel import MelSpec
from distillgan.synthesis.export import Exported, export

SPEC = MelSpec()
RATE = SPEC.sample_rate


def tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)[None]


def exported(wave: np.ndarray, folder: Path, rate: int = 44100, name: str = "a", block: int = 3000) -> Exported:
    """The wave, in blocks."""
    blocks = (wave[:, first : first + block] for first in range(0, wave.shape[1], block))
    return export(blocks, SPEC, folder, name, Wav(rate))


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("seconds", [0.1, 1.37])
def test_pitch_level_and_length(tmp_path, rate, seconds):
    wave = tone(1000, seconds)
    made = exported(wave, tmp_path / "audio", rate)
    path = made.path
    assert made.seconds == soundfile.info(path).duration and not made.interrupted
    assert made.gain_db == 0 and made.level.true_peak_db == pytest.approx(20 * np.log10(0.5), abs=0.5)
    info = soundfile.info(path)
    assert (info.samplerate, info.subtype, info.format, info.channels) == (rate, "PCM_24", "WAV", 1)
    assert info.frames / rate == pytest.approx(wave.shape[1] / RATE, abs=1 / rate)
    heard, _ = soundfile.read(path)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 1 << 18))
    assert spectrum.argmax() * rate / (1 << 18) == pytest.approx(1000, abs=1)
    middle = slice(len(heard) // 4, -len(heard) // 4)
    assert np.abs(heard[middle]).max() == pytest.approx(0.5, abs=2e-3)


def test_at_its_own_rate_samples_are_exact_to_24_bits(tmp_path):
    wave = np.random.default_rng(1).uniform(-0.89, 0.89, (3, 5000)).astype(np.float32)
    path = exported(wave, tmp_path).path
    assert np.abs(soundfile.read(path)[0].T - wave).max() < 2**-23


@pytest.mark.parametrize("samples", [1, 2, 4411, 60417])
@pytest.mark.parametrize(("own", "rate"), [(16000, 44100), (16000, 48000), (44100, 48000)])
def test_resampled_in_blocks_it_is_the_whole_resampled(tmp_path, own, rate, samples):
    wave = np.random.default_rng(1).uniform(-0.3, 0.3, (2, samples)).astype(np.float32)
    spec = MelSpec(own, 1024, 256, 80, 0, own / 2)
    made = export(np.split(wave, [0, 1, 1 + samples // 3], axis=1), spec, tmp_path, "a", Wav(rate))
    heard = soundfile.read(made.path)[0].T
    assert heard.shape == (2, round(samples * rate / own))
    assert np.abs(heard - resample(wave, own, rate)).max() < 2**-23


def test_resampled_once_and_cleanly(tmp_path):
    """A tone near the top comes through, with nothing else 90 dB below it."""
    heard = soundfile.read(exported(tone(15000, 1.0), tmp_path, 48000).path)[0][2000:-2000]
    spectrum = np.abs(np.fft.rfft(heard * np.blackman(len(heard))))
    decibels = 20 * np.log10(spectrum / spectrum.max() + 1e-12)
    peak = int(decibels.argmax())
    assert peak * 48000 / len(heard) == pytest.approx(15000, abs=2)
    assert np.delete(decibels, range(peak - 10, peak + 11)).max() < -90


def test_the_picture_shows_the_sound(tmp_path):
    low, high = (exported(tone(hertz, 1.0), tmp_path, name=f"{hertz}").picture for hertz in (200, 8000))
    assert low == tmp_path / "200.png"
    pictures = [matplotlib.image.imread(path)[..., :3].sum(-1) for path in (low, high)]
    assert min(pictures[0].shape) > 100 and pictures[0].shape == pictures[1].shape
    # Where the two differ, the low tone is bright below and the high one above.
    difference = pictures[0] - pictures[1]
    rows = np.arange(len(difference))[:, None]
    bright = [float((rows * side).sum() / side.sum()) for side in (difference.clip(0), (-difference).clip(0))]
    assert bright[0] > bright[1] + 30


def test_a_long_sounds_picture_has_its_events_in_their_places(tmp_path):
    """Two minutes with noise in the first quarter, and two with it in the third."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, RATE)).astype(np.float32)
    pictures = []
    for name, begin in {"a": 0, "b": 60}.items():
        blocks = (noise if begin <= second < begin + 30 else 0 * noise for second in range(120))
        picture = export(blocks, SPEC, tmp_path, name, Wav(44100)).picture
        pictures.append(matplotlib.image.imread(picture)[..., :3].sum(-1))
    height = len(pictures[0])
    difference = (pictures[0] - pictures[1])[height // 3 : height * 2 // 3].mean(0)
    first, third = (np.flatnonzero(side > 0.3) for side in (difference, -difference))
    quarter = len(first)
    assert quarter > 50 and np.ptp(first) == quarter - 1
    assert len(third) == pytest.approx(quarter, abs=2) and np.ptp(third) == len(third) - 1
    assert third[0] - first[0] == pytest.approx(2 * quarter, abs=3)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_is_too_loud_is_turned_down_as_a_whole(tmp_path, rate):
    wave = np.concatenate([0.1 * tone(1000, 0.5), 4 * tone(1000, 0.5)], axis=1)
    wave = np.concatenate([wave, 0.5 * wave])
    made = exported(wave, tmp_path, rate)
    heard = soundfile.read(made.path)[0].T
    assert np.abs(heard).max() == pytest.approx(10 ** (-1 / 20), abs=2**-22)
    assert made.gain_db == pytest.approx(-7, abs=0.3)
    gain = 10 ** (made.gain_db / 20)
    assert np.abs(heard - gain * resample(wave, RATE, rate)).max() < 2**-22


def test_what_is_quiet_stays_as_it_is(tmp_path):
    made = exported(0.001 * tone(1000, 0.5), tmp_path)
    assert made.gain_db == 0 and np.abs(soundfile.read(made.path)[0]).max() == pytest.approx(0.0005, abs=1e-6)


def test_nothing_is_overwritten(tmp_path):
    made = [exported(tone(100 * n, 0.1), tmp_path, name="rain_seed1") for n in (1, 2, 3)]
    assert [one.path.name for one in made] == ["rain_seed1.wav", "rain_seed1-2.wav", "rain_seed1-3.wav"]
    assert [one.picture.name for one in made] == ["rain_seed1.png", "rain_seed1-2.png", "rain_seed1-3.png"]
    for number, one in enumerate(made):
        assert np.allclose(soundfile.read(one.path)[0], tone(100 * (number + 1), 0.1)[0], atol=1e-6)


def test_a_picture_alone_is_not_overwritten_either(tmp_path):
    (tmp_path / "a.png").write_bytes(b"the owner's own")
    made = exported(tone(100, 0.1), tmp_path)
    assert (made.path.name, made.picture.name) == ("a-2.wav", "a-2.png")
    assert (tmp_path / "a.png").read_bytes() == b"the owner's own"


def test_names_with_dots(tmp_path):
    made = exported(tone(100, 0.1), tmp_path, name="v1.2_seed1")
    assert (made.path.name, made.picture.name) == ("v1.2_seed1.wav", "v1.2_seed1.png")


def test_silence_has_a_picture_too(tmp_path):
    made = exported(np.zeros((1, 4410), np.float32), tmp_path)
    assert not soundfile.read(made.path)[0].any() and made.picture.stat().st_size > 1000
    assert made.gain_db == 0 and made.level.true_peak_db == made.level.lufs == -np.inf
