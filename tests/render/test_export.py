"""What is written can be played: the right pitch, length and depth at either rate, and nothing is overwritten."""

import matplotlib.image
import numpy as np
import pytest
import soundfile

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.render.export import export_wav

SPEC = MelSpec()
RATE = SPEC.sample_rate


def tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)[None]


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("seconds", [0.1, 1.37])
def test_pitch_level_and_length(tmp_path, rate, seconds):
    wave = tone(1000, seconds)
    path, _ = export_wav(wave, SPEC, tmp_path / "audio", "a", rate)
    info = soundfile.info(path)
    assert (info.samplerate, info.subtype, info.format, info.channels) == (rate, "PCM_24", "WAV", 1)
    assert info.frames / rate == pytest.approx(wave.shape[1] / RATE, abs=1 / rate)
    heard, _ = soundfile.read(path)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 1 << 18))
    assert spectrum.argmax() * rate / (1 << 18) == pytest.approx(1000, abs=1)
    middle = slice(len(heard) // 4, -len(heard) // 4)
    assert np.abs(heard[middle]).max() == pytest.approx(0.5, abs=2e-3)


def test_at_its_own_rate_samples_are_exact_to_24_bits(tmp_path):
    wave = np.random.default_rng(1).uniform(-0.9, 0.9, (1, 5000)).astype(np.float32)
    path, _ = export_wav(wave, SPEC, tmp_path, "a", 44100)
    assert np.abs(soundfile.read(path)[0] - wave[0]).max() < 2**-23


def test_resampled_once_and_cleanly(tmp_path):
    """A tone near the top comes through, with nothing else 90 dB below it."""
    path, _ = export_wav(tone(15000, 1.0), SPEC, tmp_path, "a", 48000)
    heard = soundfile.read(path)[0][2000:-2000]
    spectrum = np.abs(np.fft.rfft(heard * np.blackman(len(heard))))
    decibels = 20 * np.log10(spectrum / spectrum.max() + 1e-12)
    peak = int(decibels.argmax())
    assert peak * 48000 / len(heard) == pytest.approx(15000, abs=2)
    assert np.delete(decibels, range(peak - 10, peak + 11)).max() < -90


def test_the_picture_shows_the_sound(tmp_path):
    low, high = (export_wav(tone(hertz, 1.0), SPEC, tmp_path, f"{hertz}", 44100)[1] for hertz in (200, 8000))
    assert low == tmp_path / "200.png"
    pictures = [matplotlib.image.imread(path)[..., :3].sum(-1) for path in (low, high)]
    assert min(pictures[0].shape) > 100 and pictures[0].shape == pictures[1].shape
    # Where the two differ, the low tone is bright below and the high one above.
    difference = pictures[0] - pictures[1]
    rows = np.arange(len(difference))[:, None]
    bright = [float((rows * side).sum() / side.sum()) for side in (difference.clip(0), (-difference).clip(0))]
    assert bright[0] > bright[1] + 30


def test_nothing_is_overwritten(tmp_path):
    made = [export_wav(tone(100 * n, 0.1), SPEC, tmp_path, "rain_seed1", 44100) for n in (1, 2, 3)]
    assert [path.name for path, _ in made] == ["rain_seed1.wav", "rain_seed1-2.wav", "rain_seed1-3.wav"]
    assert [path.name for _, path in made] == ["rain_seed1.png", "rain_seed1-2.png", "rain_seed1-3.png"]
    for number, (path, _) in enumerate(made):
        assert np.allclose(soundfile.read(path)[0], tone(100 * (number + 1), 0.1)[0], atol=1e-6)


def test_a_picture_alone_is_not_overwritten_either(tmp_path):
    (tmp_path / "a.png").write_bytes(b"the owner's own")
    path, picture = export_wav(tone(100, 0.1), SPEC, tmp_path, "a", 44100)
    assert (path.name, picture.name) == ("a-2.wav", "a-2.png")
    assert (tmp_path / "a.png").read_bytes() == b"the owner's own"


def test_names_with_dots(tmp_path):
    path, picture = export_wav(tone(100, 0.1), SPEC, tmp_path, "v1.2_seed1", 44100)
    assert (path.name, picture.name) == ("v1.2_seed1.wav", "v1.2_seed1.png")


def test_silence_has_a_picture_too(tmp_path):
    path, picture = export_wav(np.zeros((1, 4410), np.float32), SPEC, tmp_path, "silence", 44100)
    assert not soundfile.read(path)[0].any() and picture.stat().st_size > 1000


@pytest.mark.parametrize("rate", [22050, 96000, 0])
def test_another_rate_is_refused(tmp_path, rate):
    with pytest.raises(UserError, match=f"export.sample_rate={rate} must be one of 44100, 48000 Hz"):
        export_wav(tone(100, 0.1), SPEC, tmp_path / "audio", "a", rate)
    assert not (tmp_path / "audio").exists()
