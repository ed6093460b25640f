"""Files of every format are read as one sound, in blocks, resampled, and refused with file and remedy."""

import os

import numpy as np
import pytest
import soundfile as sf

from distillgan.audio.io import AudioFileError, iter_audio, open_audio, printable, resample


def read_audio(path):
    """float32 [C, N] and the rate in Hz."""
    with open_audio(path) as source:
        rate = source.samplerate
    return np.concatenate(list(iter_audio(path, 2**20)), axis=1), rate


def tone(hz=1000.0, seconds=1.0, rate=44100, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def peak_hz(wave, rate):
    """Frequency of the strongest partial, to a fraction of a bin."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave)))
    return spectrum.argmax() * rate / (8 * len(wave))


def db(ratio):
    return 20 * np.log10(ratio)


FORMATS = {
    "a.wav": {"subtype": "PCM_16"},
    "b.wav": {"subtype": "PCM_24"},
    "c.wav": {"subtype": "FLOAT"},
    "d.aiff": {},
    "e.flac": {"subtype": "PCM_24"},
    "f.ogg": {},
    "g.mp3": {},
    "h.caf": {"subtype": "PCM_24"},
    "i.w64": {},
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_brings_the_same_tone(tmp_path, name):
    stereo = np.stack([tone(), 0.5 * tone()])
    sf.write(tmp_path / name, stereo.T, 44100, **FORMATS[name])
    wave, rate = read_audio(tmp_path / name)
    assert (wave.dtype, rate, wave.shape[0]) == (np.float32, 44100, 2)
    assert abs(wave.shape[1] - 44100) < 2400
    middle = wave[:, 8820:35280]
    assert peak_hz(middle[0], rate) == pytest.approx(1000, abs=0.5)
    assert db(middle[0].std() / stereo[0, 8820:35280].std()) == pytest.approx(0, abs=0.1)
    assert db(middle[0].std() / middle[1].std()) == pytest.approx(db(2), abs=0.1)


def test_blocks_are_the_file(tmp_path):
    wave = np.random.default_rng(0).uniform(-1, 1, (3, 10001)).astype(np.float32)
    sf.write(tmp_path / "x.wav", wave.T, 48000, subtype="FLOAT")
    blocks = list(iter_audio(tmp_path / "x.wav", 4096))
    assert [b.shape for b in blocks] == [(3, 4096), (3, 4096), (3, 1809)]
    assert all(b.dtype == np.float32 for b in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), wave)
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav")[0], wave)


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
def test_resampling_keeps_pitch_level_and_length(rate):
    wave = np.stack([tone(rate=rate, seconds=2), tone(hz=2000, rate=rate, seconds=2)])
    out = resample(wave, rate, 44100)
    assert (out.dtype, out.shape) == (np.float32, (2, 88200))
    middle = out[:, 22050:66150]
    assert peak_hz(middle[0], 44100) == pytest.approx(1000, abs=0.2)
    assert peak_hz(middle[1], 44100) == pytest.approx(2000, abs=0.2)
    assert db(middle.std(axis=1) / (0.5 / np.sqrt(2))) == pytest.approx([0, 0], abs=0.05)


def test_resampling_down_removes_what_would_alias():
    out = resample(tone(hz=30000, rate=96000)[None], 96000, 44100)
    assert db(out[0, 4410:-4410].std() / (0.5 / np.sqrt(2))) < -100


def test_errors_name_the_file_and_the_remedy(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no audio" * 100)
    (tmp_path / "b.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(500))
    (tmp_path / "c.wav").write_bytes(b"")
    (tmp_path / "d.raw").write_bytes(bytes(500))
    for name, words in {
        "a.wav": "unreadable: Format not recognised.*wav or flac",
        "b.m4a": "unreadable: .*: export it again as wav or flac",
        "c.wav": "empty: the file has 0 bytes",
        "d.raw": "no sample rate",
        "none.wav": "no such file",
        ".": "is a directory",
    }.items():
        with pytest.raises(AudioFileError, match=words) as caught:
            read_audio(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name).removesuffix("/."))


def test_what_cannot_be_decoded_from_its_first_sample_on_raises(tmp_path):
    sf.write(tmp_path / "x.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 44100 * 5), 44100)
    data = (tmp_path / "x.flac").read_bytes()
    (tmp_path / "x.flac").write_bytes(data[:5000])
    with pytest.raises(AudioFileError, match=r"x\.flac: unreadable: .*export it again"):
        list(iter_audio(tmp_path / "x.flac", 8192))


def test_printable_names():
    assert printable("日本 é.wav") == "日本 é.wav"
    assert printable("a\nb\x1b[31m\udcff.wav") == r"a\nb\x1b[31m\udcff.wav"
    printable(os.fsdecode(b"\xff")).encode("utf-8")
