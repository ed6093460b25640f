"""Recordings as people have them are read from their first sample to their last, whatever their headers say."""

import struct
import sys

import numpy as np
import pytest
from recordings import RATE, coded, decoded, mp3, sweep, wav, written

from distillgan.audio import containers
from distillgan.audio.formats import Ogg
from distillgan.audio.io import AudioFileError, open_audio, read_blocks
from distillgan.audio.tags import Tags


@pytest.fixture
def read(tmp_path):
    """Bytes as a file → its samples [N, C], rate, notes; read in blocks of an odd size."""

    def read_it(data, name="x.wav", block=5001):
        (tmp_path / name).write_bytes(data)
        with open_audio(tmp_path / name) as source:
            blocks = [block.T for block in read_blocks(source, block)]
            samples = np.concatenate(blocks) if blocks else np.zeros((0, source.channels))
            return samples, source.samplerate, "; ".join(source.notes)

    return read_it


def shift(found, wanted):
    """By how many samples `found` is later, both [N]."""
    size = 1 << 18
    spectrum = np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size))
    at = int(np.fft.irfft(spectrum, size).argmax())
    return at if at < size // 2 else at - size


def near(found, wanted, db=-30):
    """Whether the difference of [N, C] is so much quieter than what is wanted."""
    error = found[: len(wanted)] - wanted[: len(found)]
    return np.mean(error**2) < 10 ** (db / 10) * np.mean(wanted**2)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("vbr", [True, False])
def test_an_mp3_without_an_index_is_read_to_its_end(read, vbr, channels):
    wave = sweep(4, channels=channels)
    wave[len(wave) // 8 :] += np.random.default_rng(0).normal(0, 0.1, (len(wave) - len(wave) // 8, channels))
    data = mp3(wave, index=False, vbr=vbr)
    found, rate, notes = read(data, "x.mp3")
    # What an index says is cut away: 1105 samples that encoder and decoder add, and the rest of the last frame.
    assert rate == RATE and 0 < len(found) - 1105 - len(wave) < 2 * 1152
    assert shift(found[:, 0], wave[:, 0]) == 1105
    assert near(found[1105:], decoded(mp3(wave, vbr=vbr)), -90)
    assert ("without an index" in notes) == vbr and "early" not in notes


def test_an_mp3_that_begins_with_silence_ends_where_it_does(read):
    wave = sweep(3, channels=2)
    wave[: 2 * RATE] = 0
    found, _, notes = read(mp3(wave, index=False), "x.mp3")
    assert abs(len(found) - len(wave)) < 3 * 1152 and "early" not in notes
    assert not near(found[-4000:-2000], found[-2000:], -1)  # the last block, once


def test_joined_mp3s_are_all_read(read):
    first, second, slow = sweep(1, channels=2), sweep(1.5, channels=2, start=500), sweep(1, 22050)
    parts = [mp3(first), mp3(second, vbr=False)]
    found, rate, notes = read(parts[0] + b"TAG" + bytes(125) + b"ID3\x04\0\0\0\0\0\x05hello" + parts[1], "x.mp3")
    assert np.array_equal(found, np.concatenate([decoded(part) for part in parts]))
    assert rate == RATE and notes.startswith("2 MP3s joined")
    found, rate, notes = read(parts[0] + written(slow, 22050, format="MP3"), "x.mp3")
    assert (
        (rate, found.shape) == (RATE, (2 * RATE, 2)) and "resampled to 44.1 kHz" in notes and "1, 2 channels" in notes
    )
    middle = slice(RATE + 4000, 2 * RATE - 4000)
    assert near(found[middle, 1], sweep(1)[4000:-4000, 0], -25) and np.array_equal(found[middle, 0], found[middle, 1])


def test_frames_that_the_index_does_not_announce_are_counted(read):
    wave = sweep(2, channels=2)
    data = bytearray(mp3(wave))
    place = data.index(b"Xing") + 8
    data[place : place + 4] = struct.pack(">I", struct.unpack(">I", data[place : place + 4])[0] - 30)
    found, _, notes = read(bytes(data), "x.mp3")
    assert abs(len(found) - len(wave)) < 1152 and near(found, wave) and "30 frames more" in notes
    data = mp3(wave)
    cut, _, notes = read(data[: len(data) // 2], "x.mp3")
    assert np.array_equal(cut, decoded(data)[: len(cut)]) and notes.startswith(f"ends early: {len(cut) / RATE:.2f} s")


def test_chained_ogg_is_all_read(read):
    first = written(sweep(1, channels=2), format="OGG")
    second = written(sweep(1, 48000, channels=2), 48000, format="OGG", subtype="OPUS")
    found, rate, notes = read(first + first, "x.ogg")
    assert np.array_equal(found, np.concatenate([decoded(first)] * 2)) and rate == RATE and "2 recordings" in notes
    found, rate, notes = read(first + second, "x.ogg")
    assert (rate, len(found)) == (48000, 2 * 48000) and "resampled to 48 kHz" in notes
    assert near(found[48000:], decoded(second), -100)
    assert near(found[2000:46000], sweep(1, 48000, channels=2)[2000:46000], -20)


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8])
def test_channels_of_ogg_come_in_wav_order(read, tmp_path, channels):
    """As FFmpeg decodes them, and as they were written."""
    wave = sweep(0.5, channels=channels).astype(np.float32) / 2
    Ogg().write(tmp_path / "x.ogg", [wave.T], (channels, len(wave)), Tags())
    data = (tmp_path / "x.ogg").read_bytes()
    found, _, _ = read(data, "x.ogg")
    lfe = {6: 3, 7: 3, 8: 3}.get(channels)  # Vorbis cuts what is too high for it
    heard = [channel for channel in range(channels) if channel != lfe]
    assert found.shape == wave.shape and near(found[:, heard], wave[:, heard], -15)
    stored = decoded(data)
    assert np.array_equal(found, stored[:, containers.TO_WAV.get(channels, range(channels))])


def test_a_flac_of_unknown_length_is_read_whole(read):
    wave = sweep(channels=2)
    data = bytearray(written(wave, format="FLAC"))
    whole = decoded(bytes(data))
    data[21] &= 0xF0  # the number of samples, 36 bits, and their digest
    data[22:42] = bytes(20)
    found, _, notes = read(bytes(data), "x.flac", block=2**17)
    assert np.array_equal(found, whole) and not notes
    found, _, notes = read(bytes(data[: len(data) // 2]), "x.flac")
    assert 0.3 < len(found) / len(whole) < 0.7 and np.array_equal(found, whole[: len(found)])
    assert notes == f"cut short at {len(found) / RATE:.2f} s"


@pytest.mark.parametrize(
    "tags",
    [b"TAG" + bytes(125), b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)],
    ids=["ID3v1", "APE"],
)
def test_tags_behind_a_flac_of_unknown_length_are_no_sound(read, tags):
    data = bytearray(written(sweep(), format="FLAC"))
    whole = decoded(bytes(data))
    data[21] &= 0xF0
    data[22:42] = bytes(20)
    found, _, notes = read(bytes(data) + tags, "x.flac")
    assert np.array_equal(found, whole) and not notes
    found, _, notes = read(bytes(data[: len(data) // 2]) + tags, "x.flac")
    assert notes == f"cut short at {len(found) / RATE:.2f} s"


CHUNK = b"LIST" + struct.pack("<I", 26) + b"INFOINAM" + struct.pack("<I", 14) + b"hidden in here"
UNWRITTEN = [(0, 0), (36, 0), (0, 36), (36, 36), (8, 0), (None, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000)]


@pytest.mark.parametrize("after", [b"", CHUNK], ids=["", "chunk behind"])
@pytest.mark.parametrize(("riff", "data"), UNWRITTEN)
def test_a_wav_that_was_never_finished_is_all_there(read, riff, data, after):
    wave = sweep(0.3, channels=2)
    found, _, notes = read(wav(wave, riff, data, after=after))
    assert np.array_equal(found, decoded(wav(wave))) and "never finished" in notes


def test_a_wav_whose_sizes_are_right_ends_where_they_say(read):
    wave = sweep(0.3)
    for sizes in ((None, None), (0, None), (0xFFFFFFFF, None)):
        found, _, notes = read(wav(wave, *sizes, after=CHUNK))
        assert np.array_equal(found, decoded(wav(wave))) and not notes
    assert read(wav(wave[:0], after=CHUNK))[0].shape == (0, 1)
    found, _, notes = read(wav(wave) + bytes(range(1, 256)) * 100)
    assert len(found) == len(wave) and "25500 bytes behind" in notes


def test_an_rf64_that_was_never_finished_is_all_there(read):
    wave = sweep(0.3, channels=2)
    data = bytearray(written(wave, format="RF64"))
    data[20:44] = bytes(24)
    found, _, notes = read(bytes(data), "x.rf64")
    assert np.array_equal(found, decoded(wav(wave))) or near(found, wave, -80)
    assert len(found) == len(wave) and "never finished" in notes
    assert len(read(b"BW64" + written(wave, format="RF64")[4:])[0]) == len(wave)


def test_a_chunk_of_an_odd_size_without_padding_is_passed_over(read):
    wave = sweep(0.3)
    odd = b"LIST" + struct.pack("<I", 11) + b"INFOIABCDEF"
    assert np.array_equal(read(wav(wave, before=odd))[0], decoded(wav(wave)))
    assert np.array_equal(read(wav(wave, before=odd + b"\0"))[0], decoded(wav(wave)))


@pytest.mark.parametrize("stated", [0, 8, 36, 0x7F000008, 0xFFFFFFFF])
def test_an_aiff_that_was_never_finished_is_all_there(read, stated):
    wave = sweep(0.3, channels=2)
    data = bytearray(written(wave, format="AIFF"))
    whole, place = decoded(bytes(data)), data.index(b"SSND") + 4
    data[place : place + 4] = struct.pack(">I", stated)
    data += b"NAME" + struct.pack(">I", 6) + b"hidden"
    found, _, notes = read(bytes(data), "x.aiff")
    assert np.array_equal(found, whole) and "never finished" in notes


@pytest.mark.parametrize("stated", [0, 24, 1 << 62])
def test_a_w64_that_was_never_finished_is_all_there(read, stated):
    data = bytearray(written(sweep(0.3, channels=2), format="W64"))
    whole, place = decoded(bytes(data)), data.index(b"data") + 16
    data[place : place + 8] = struct.pack("<Q", stated)
    found, _, notes = read(bytes(data), "x.w64")
    assert np.array_equal(found, whole) and "never finished" in notes


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "FLAC", "OGG", "MP3", "CAF", "AU", "RF64", "W64"])
def test_what_is_cut_short_is_used_up_to_there(read, kind):
    data = written(sweep(4, channels=2), format=kind)
    whole = decoded(data)
    found, _, notes = read(data[: len(data) * 2 // 3], f"x.{kind.lower()}")
    assert 0.2 < len(found) / len(whole) < 0.7 and np.array_equal(found, whole[: len(found)])
    beginning = (
        f"cut short at {len(found) / RATE:.2f} s" if kind == "OGG" else f"ends early: {len(found) / RATE:.2f} s of"
    )
    assert notes.startswith(beginning)
    assert read(data, f"x.{kind.lower()}")[2] == ""


def test_what_is_damaged_is_used_up_to_there(read):
    data = bytearray(written(np.random.default_rng(0).uniform(-0.5, 0.5, (8 * RATE, 1)), format="FLAC"))
    whole = decoded(bytes(data))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    found, _, notes = read(bytes(data), "x.flac")
    assert 0.3 < len(found) / len(whole) < 0.6 and np.array_equal(found, whole[: len(found)])
    assert notes.startswith(f"damaged at {len(found) / RATE:.2f} s")


@pytest.mark.parametrize("kind", ["MP3", "WAV", "OGG", "FLAC"])
def test_nothing_that_macos_leaves_beside_a_file_matters(read, tmp_path, kind):
    data = written(sweep(1), format=kind)
    (tmp_path / f"._x.{kind.lower()}").write_bytes(b"\0\x05\x16\x07\0\2\0\0Mac OS X        " + bytes(60))
    assert np.array_equal(read(data, f"x.{kind.lower()}")[0], decoded(data))


@pytest.mark.parametrize("kind", ["OGG", "MP3"])
def test_blocks_of_any_size_are_the_whole(read, kind):
    data = written(sweep(5, channels=2), format=kind)
    for block in (997, 2**16):
        assert np.array_equal(read(data, f"x.{kind.lower()}", block)[0], decoded(data))


@pytest.mark.parametrize("container", ["ipod", "mp4", "mov", "3gp"])
def test_aac_begins_and_ends_where_the_recording_did(read, container):
    wave = sweep(2, channels=2)
    wave[:3000] = 0
    found, rate, notes = read(coded(wave, "aac", container, bit_rate=256000), "x.m4a")
    assert (rate, found.shape, notes) == (RATE, wave.shape, "")
    assert abs(shift(found[:, 0], wave[:, 0])) <= 1 and near(found, wave, -20)
    assert 10 * np.log10(np.mean(found**2) / np.mean(wave**2)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "frag_keyframe", "dash", "frag_keyframe+delay_moov"])
def test_aac_in_fragments_begins_and_ends_where_the_recording_did(read, flags):
    wave = np.random.default_rng(0).normal(0, 0.1, (2 * RATE, 1))
    wave[:3000] = 0
    data = coded(wave, "aac", "mp4", bit_rate=256000, options={"movflags": flags})
    assert b"mvex" in data
    found, rate, notes = read(data, "x.mp4")
    assert (rate, found.shape, notes) == (RATE, wave.shape, "") and abs(shift(found[:, 0], wave[:, 0])) <= 1


LOSSLESS = [("alac", "ipod", "x.m4a"), ("alac", "caf", "x.caf"), ("flac", "ogg", "x.oga"), ("wavpack", "wv", "x.wv")]
LOSSLESS += [("tta", "tta", "x.tta"), ("pcm_s16le", "matroska", "x.mkv"), ("pcm_s16le", "avi", "x.avi")]


@pytest.mark.parametrize(("codec", "container", "name"), LOSSLESS)
def test_lossless_formats_of_ffmpeg_are_read_to_the_sample(read, codec, container, name):
    wave = sweep(0.7, channels=2)
    found, rate, notes = read(coded(wave, codec, container), name)
    assert (rate, found.shape, notes) == (RATE, wave.shape, "") and near(found, wave, -80)


@pytest.mark.parametrize(
    ("codec", "container", "name", "rate"),
    [("ac3", "ac3", "x.ac3", 48000), ("wmav2", "asf", "x.wma", 44100), ("libopus", "webm", "x.webm", 48000),
     ("aac", "adts", "x.aac", 44100), ("libopencore_amrnb", "amr", "x.amr", 8000)],
)  # fmt: skip
def test_lossy_formats_of_ffmpeg_are_read(read, codec, container, name, rate):
    wave = sweep(1, rate, channels=1)
    found, found_rate, _ = read(coded(wave, codec, container, rate, bit_rate=12200 if rate == 8000 else 128000), name)
    assert found_rate == rate and abs(len(found) - rate) < 3000 and found.shape[1] == 1
    assert np.sqrt(np.mean(found**2) / np.mean(wave**2)) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(("channels", "name"), [(6, "5.1"), (8, "7.1")])
def test_channels_are_decoded_as_they_are(tmp_path, channels, name):
    wave = sweep(0.5, channels=channels)
    (tmp_path / "x.wv").write_bytes(coded(wave, "wavpack", "wv"))
    with open_audio(tmp_path / "x.wv") as source:
        assert (source.channels, source.layout) == (channels, name)
        assert near(source.read(RATE), wave, -80)


def test_of_several_tracks_the_default_one_is_read(read):
    wave = sweep(0.5, channels=2)
    found, _, notes = read(coded(wave, "pcm_s16le", "matroska", tracks=3, default=1), "x.mkv")
    assert near(found, 0.8 * wave, -60) and notes.startswith("3 sound tracks in one file: number 2, the default one")


def test_what_only_ffmpeg_reads_says_which_extra_it_wants(read, tmp_path, monkeypatch):
    wave = sweep(0.3)
    cases = {"x.m4a": ("aac", "ipod"), "x.oga": ("flac", "ogg"), "x.caf": ("alac", "caf"), "take": ("wavpack", "wv")}
    data = {name: coded(wave, *how) for name, how in cases.items()}
    monkeypatch.setitem(sys.modules, "av", None)
    for name, content in data.items():
        with pytest.raises(AudioFileError, match=r"unreadable: .*pip install 'distillgan\[media\]'") as caught:
            read(content, name)
        assert caught.value.transient  # once the extra is there, it is read
    assert len(read(wav(wave))[0]) == len(wave)


def test_a_film_without_sound_and_a_play_list_say_so(read, tmp_path):
    import av

    with av.open(str(tmp_path / "mute.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        out.mux(stream.encode(None))
    with pytest.raises(AudioFileError, match="it holds video and no sound"):
        read((tmp_path / "mute.mp4").read_bytes(), "x.mp4")
    (tmp_path / "secret.wav").write_bytes(wav(sweep(1)))
    for text in ("ffconcat version 1.0\nfile secret.wav\n", "#EXTM3U\n#EXTINF:1,\nsecret.wav\n"):
        with pytest.raises(AudioFileError, match="unreadable"):
            read(text.encode(), "x.m4a")


def test_a_film_that_is_cut_short_is_used_up_to_there(read):
    wave = sweep(3, channels=2)
    data = coded(wave, "pcm_s16le", "matroska")
    found, _, _ = read(data[: len(data) // 2], "x.mkv")
    assert 0.4 < len(found) / len(wave) < 0.6 and near(found, wave, -80)
