"""Where recordings end: telephones and dictaphones, lossy files; and those that are merely dark."""

import numpy as np
import pytest
import soundfile as sf
import soxr
from rich.console import Console

from distillgan.data.band import BandMeter
from distillgan.data.corpus import summary_table
from distillgan.data.manifest import Manifest
from distillgan.data.scan import scan

RATE = 44100


def spoken(seconds=2.0, seed=0, tilt_db=6.0):
    """Noise in bursts whose spectrum falls by `tilt_db` an octave, all the way up: as near to speech as is wanted."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 100)
    wave = np.fft.irfft(spectrum * (hertz / 100) ** (-tilt_db / 6.02), count)
    wave *= 0.2 + np.abs(np.sin(2 * np.pi * 3 * np.arange(count) / RATE))
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def at_rate(wave, rate):
    return soxr.resample(wave, RATE, rate, quality="HQ")


def with_noise(wave, bits=16):
    """As a recorder of so many bits rounds it."""
    dither = np.random.default_rng(9).triangular(-1, 0, 1, len(wave))
    return (np.round(wave * 2 ** (bits - 1) + dither) / 2 ** (bits - 1)).astype(np.float32)


def limit_of(wave, source_rate=RATE):
    meter = BandMeter(RATE)
    for block in np.array_split(wave, 7):  # however it is cut
        meter.add(block)
    return meter.limit(source_rate)


@pytest.mark.parametrize("tilt_db", [0.0, 6.0, 9.0])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000])
def test_the_rate_of_a_recording_is_a_limit(rate, tilt_db):
    wave = soxr.resample(at_rate(spoken(tilt_db=tilt_db), rate), rate, RATE, quality="HQ")
    assert 0.9 * rate / 2 < limit_of(wave, rate) <= rate / 2


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000])
def test_it_is_found_in_a_file_of_another_rate(rate):
    """Recorded at 8 kHz and kept at 44.1, in 16 bits: nobody says what it was."""
    wave = soxr.resample(at_rate(spoken(), rate), rate, RATE, quality="HQ")
    assert 0.9 * rate / 2 < limit_of(with_noise(wave)) < 1.05 * rate / 2


def test_a_telephone_of_another_band():
    """300 to 3400 Hz, as the telephone network passes it."""
    spectrum = np.fft.rfft(spoken())
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    spectrum *= np.clip((hertz - 200) / 100, 0, 1) * np.clip((3600 - hertz) / 200, 0, 1)
    assert 3300 < limit_of(with_noise(np.fft.irfft(spectrum, 2 * RATE).astype(np.float32))) < 3800


def test_an_mp3_that_is_cut_off(tmp_path):
    sf.write(tmp_path / "x.mp3", spoken(4.0, tilt_db=0.0), RATE, compression_level=0.9, bitrate_mode="CONSTANT")
    manifest = scan(tmp_path, tmp_path / "cache")
    assert 16000 < manifest.used[0].band_limit_hz < 18000


def low_passed(order):
    """Noise through a Butterworth filter at 3 kHz."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(2 * RATE))
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    return np.fft.irfft(spectrum / np.sqrt(1 + (hertz / 3000) ** (2 * order)))


def partials(top):
    at = np.arange(2 * RATE) / RATE
    return sum(np.sin(2 * np.pi * hz * at + hz) / hz for hz in np.arange(220, top, 220))


@pytest.mark.parametrize(
    "wave",
    [
        spoken(),
        spoken(tilt_db=12.0),
        1e-3 * spoken(tilt_db=12.0),  # quiet, and dark: its top is the recorder's own noise
        low_passed(4),
        partials(5000),  # a tone whose partials end
        np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE),
        np.eye(1, RATE, 4000)[0],  # a click
    ],
    ids=["full", "dark", "quiet", "filtered", "tone", "sine", "click"],
)
@pytest.mark.parametrize("bits", [16, 24])
def test_dark_recordings_have_no_limit(wave, bits):
    wave = 0.5 * wave / max(1.0, np.abs(wave).max())
    assert limit_of(with_noise(wave, bits)) == 0.0


def test_a_band_of_noise_high_up_is_no_limit():
    spectrum = np.fft.rfft(np.random.default_rng(2).standard_normal(2 * RATE))
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    wave = np.fft.irfft(spectrum * ((hertz > 8000) & (hertz < 10000)))
    assert limit_of(with_noise(0.1 * wave)) == 0.0


def test_48_khz_has_no_limit_in_a_corpus_of_44_1():
    wave = soxr.resample(np.random.default_rng(3).uniform(-0.3, 0.3, 96000), 48000, RATE, quality="HQ")
    assert limit_of(wave.astype(np.float32), 48000) == 0.0


@pytest.fixture
def corpus(tmp_path):
    """Two of a telephone, one of a dictaphone, one that goes all the way up."""
    (tmp_path / "in").mkdir()
    for number, rate in enumerate((8000, 8000, 22050, 44100)):
        sf.write(tmp_path / "in" / f"{number}.wav", at_rate(spoken(seed=number), rate), rate)
    return tmp_path / "in"


def test_the_limit_of_each_file_is_kept_and_shown(corpus, tmp_path):
    manifest = scan(corpus, tmp_path / "cache")
    limits = [round(entry.band_limit_hz, -3) for entry in manifest.used]
    assert limits == [4000, 4000, 11000, 0]
    assert [entry.note for entry in manifest.used][2:] == ["nothing above 10.9 kHz", ""]
    assert manifest.band_limit_hz == 0.0  # of the corpus: one goes all the way up
    console = Console(record=True, width=120)
    console.print(summary_table(manifest))
    assert "4 kHz × 2, 10.9 kHz × 1, the top × 1" in console.export_text()
    assert [clip.band_limit_hz for clip in manifest.clips(tmp_path / "cache")] == [
        entry.band_limit_hz for entry in manifest.used
    ]
    manifest.save(tmp_path / "manifest.json")
    assert Manifest.load(tmp_path / "manifest.json") == manifest
    (corpus / "3.wav").unlink()
    assert scan(corpus, tmp_path / "cache").band_limit_hz == pytest.approx(10900, abs=130)


def test_a_manifest_of_before_there_were_limits(corpus, tmp_path):
    manifest = scan(corpus, tmp_path / "cache")
    manifest.save(tmp_path / "manifest.json")
    text = (tmp_path / "manifest.json").read_text()
    lines = [line for line in text.splitlines() if '"channel":' not in line and '"band_limit_hz":' not in line]
    older = "\n".join(lines).replace('"generated": false,\n  }', '"generated": false\n  }')
    (tmp_path / "manifest.json").write_text(older)
    loaded = Manifest.load(tmp_path / "manifest.json")
    assert loaded.fingerprint == manifest.fingerprint
    assert [entry.band_limit_hz for entry in loaded.used] == [0.0] * 4
