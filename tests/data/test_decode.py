"""A decoded file keeps pitch, level and dynamics; channels are mixed and the gain is one a file."""

import numpy as np
import pytest
import soundfile as sf

from distillgan.audio.loudness import measure
from distillgan.data.decode import gain_db, together
from distillgan.data.scan import scan

RATE = 44100


def tone(hz=1000.0, seconds=2.0, rate=RATE, amplitude=0.25):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def db(ratio):
    return 20 * np.log10(ratio)


def rms(wave):
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def loudest_rms(wave, seconds=0.4):
    """RMS of the loudest window, by trying every start; a shorter wave is followed by silence."""
    count = round(seconds * RATE)
    energy = np.concatenate([[0], np.cumsum(np.square(np.pad(wave, (0, count)), dtype=np.float64))])
    return float(np.sqrt((energy[count:] - energy[:-count]).max() / count))


@pytest.fixture
def load(tmp_path):
    """Write samples [N] or [N, C] as a file, scan it → entry, the sound as read [N], the sound before its gain [N]."""

    def load_it(samples, rate=RATE, name="x.wav", **options):
        options = options or ({"subtype": "FLOAT"} if name.endswith("wav") else {})
        (tmp_path / "in").mkdir(exist_ok=True)
        sf.write(tmp_path / "in" / name, samples, rate, **options)
        manifest = scan(tmp_path / "in", tmp_path / "cache")
        (entry,) = manifest.used
        (clip,) = manifest.clips(tmp_path / "cache")
        wave = clip.read(0, clip.length)
        return entry, wave, wave / 10 ** (entry.gain_db / 20)

    return load_it


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3", "x.aiff"])
def test_a_tone_keeps_its_pitch_and_level(load, tmp_path, rate, name):
    rate = min(rate, 48000) if name == "x.mp3" else rate
    entry, _, wave = load(tone(rate=rate), rate, name)
    assert (entry.source_rate, entry.channels) == (rate, 1)
    assert abs(len(wave) - 2 * RATE) < 0.2 * RATE
    assert entry.frames == len(wave) and wave.dtype == np.float32
    middle = wave[RATE // 4 : RATE // 4 + RATE]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(RATE)))
    assert spectrum.argmax() == 1000
    assert spectrum[:900].max() < 10 ** (-45 / 20) * spectrum.max()
    # What the encoder itself took away (Vorbis at 8 kHz: 0.18 dB) is not the decoder's fault.
    source, _ = sf.read(tmp_path / "in" / name)
    assert db(rms(middle) / rms(source[rate // 4 : rate // 4 + rate])) == pytest.approx(0, abs=0.02)
    assert db(rms(middle) / (0.25 / np.sqrt(2))) == pytest.approx(0, abs=0.2 if name == "x.ogg" else 0.1)


def test_the_mix_is_the_mean_of_the_channels(load):
    left, right = tone(440), tone(1500)
    entry, _, wave = load(np.stack([left, right, np.zeros_like(left)], axis=1))
    np.testing.assert_allclose(wave, (left + right) / 3, atol=1e-6)
    assert (entry.note.partition(",")[0], entry.channels) == ("3 channels", 3)


def test_one_silent_channel_is_no_cancellation(load):
    entry, _, wave = load(np.stack([tone(), 0 * tone()], axis=1))
    np.testing.assert_allclose(wave, tone() / 2, atol=1e-6)
    assert entry.note == ""


@pytest.mark.parametrize(("copy", "words"), [(-1.0, "is silent"), (-0.9, r"is 26 dB quieter"), (-1.2, "dB quieter")])
def test_channels_that_cancel_give_the_louder_one(load, copy, words):
    entry, _, wave = load(np.stack([tone(), copy * tone()], axis=1))
    strongest = 1 if abs(copy) > 1 else 0
    np.testing.assert_allclose(wave, (tone(), copy * tone())[strongest], atol=1e-6)
    assert words in entry.note and f"channel {strongest + 1} is used alone" in entry.note


def test_a_wide_stereo_is_still_mixed(load):
    # A quarter of the right channel in phase: the mix loses 6 dB, which is not cancellation.
    rng = np.random.default_rng(0)
    mid, side = rng.standard_normal((2, RATE)) * 0.05
    entry, _, wave = load(np.stack([mid + 1.7 * side, mid - 1.7 * side], axis=1))
    np.testing.assert_allclose(wave, mid, atol=1e-6)
    assert entry.note == ""


@pytest.mark.parametrize("amplitude", [0.003, 0.05, 0.9, 30.0])
def test_the_loudest_moment_comes_to_minus_20_dbfs(load, amplitude):
    # A swell of noise: its crest factor leaves room for the peak.
    swell = np.random.default_rng(0).uniform(-1, 1, 3 * RATE) * np.sin(np.linspace(0, np.pi, 3 * RATE)) ** 2
    entry, wave, before = load(amplitude * swell)
    assert db(loudest_rms(wave)) == pytest.approx(-20, abs=0.1)
    assert db(np.abs(wave).max()) < -1
    assert entry.peak_dbfs == pytest.approx(db(np.abs(before).max()), abs=0.01)
    np.testing.assert_allclose(before, amplitude * swell, rtol=1e-5, atol=amplitude * 1e-6)


def test_the_peak_stays_under_minus_1_dbfs(load):
    clicks = np.zeros(2 * RATE)
    clicks[::5000] = 0.2
    _, wave, _ = load(clicks)
    assert db(np.abs(wave).max()) == pytest.approx(-1, abs=0.01)
    assert db(loudest_rms(wave)) < -20


def test_one_gain_a_file_keeps_its_dynamics(load):
    loud, soft = tone(440, 1), tone(440, 1, amplitude=0.0025)
    _, wave, _ = load(np.concatenate([loud, soft]))
    assert db(rms(wave[:RATE]) / rms(wave[RATE:])) == pytest.approx(40, abs=0.1)


def test_silence_after_a_short_sound_does_not_change_its_gain(load):
    # 60 ms at -26 dBFS RMS are -34.2 dBFS over 400 ms.
    short = tone(seconds=0.06, amplitude=10 ** (-26 / 20) * np.sqrt(2))
    alone, wave, _ = load(short)
    followed, _, _ = load(np.concatenate([short, np.zeros(RATE)]))
    assert alone.gain_db == pytest.approx(followed.gain_db, abs=0.01) == pytest.approx(14.24, abs=0.05)
    assert db(loudest_rms(wave)) == pytest.approx(-20, abs=0.1)


def test_gain_rule():
    assert gain_db(peak_dbfs=-20, loudest_dbfs=-30) == 10
    assert gain_db(peak_dbfs=-6, loudest_dbfs=-30) == 5
    assert gain_db(peak_dbfs=12, loudest_dbfs=0) == -20


def test_a_very_quiet_file_is_raised_and_noted(load):
    entry, wave, _ = load(tone(amplitude=0.0005))
    assert db(loudest_rms(wave)) == pytest.approx(-20, abs=0.1)
    assert entry.note == "very quiet: raised by 49 dB, its noise too"


def test_a_file_that_ends_early_is_used_and_noted(load, tmp_path):
    load(tone(seconds=4), name="x.mp3")
    path = tmp_path / "in" / "x.mp3"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (entry,) = scan(tmp_path / "in", tmp_path / "cache").used
    assert 1.5 < entry.seconds < 2.5
    assert entry.note.startswith("ends early: ") and "of the 4.00 s" in entry.note


@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 44100), (2, 22050), (1, 96000)])
def test_it_is_known_how_loud_a_file_is_heard(load, tmp_path, channels, rate):
    """As it is measured alone: both channels of a stereo file, a mono one from both loudspeakers."""
    wave = np.stack([tone(300, rate=rate, amplitude=0.2), tone(3000, rate=rate, amplitude=0.05)], axis=1)
    entry, *_ = load(wave[:, :channels], rate)
    assert entry.lufs == pytest.approx(measure(tmp_path / "in" / "x.wav").lufs, abs=0.05)


def test_a_file_that_is_too_quiet_has_no_loudness(load):
    entry, *_ = load(tone(amplitude=10 ** (-75 / 20)))
    assert entry.lufs is None


def test_recordings_together_are_as_loud_as_one_after_the_other():
    assert together([]) is None
    assert together([(-23.0, 10.0)]) == -23.0
    assert together([(-20.0, 30.0), (-26.0, 30.0)]) == pytest.approx(-22.04, abs=0.01)
    assert together([(-20.0, 30.0), (-40.0, 300.0)]) == pytest.approx(-20.0, abs=0.01), "the relative gate"
