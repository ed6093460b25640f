"""A file's loudspeaker layout or sound field, as each format says it."""

import struct

import numpy as np
import pytest
import soundfile as sf

from distillgan.data.downmix import layout_of

FIVE_ONE = ("FL", "FR", "FC", "LFE", "BL", "BR")
B_FORMAT = bytes.fromhex("0100000021" + "07d3118644c8c1ca000000")


def written(path, channels, **options):
    sf.write(path, np.zeros((64, channels), np.float32), 48000, **options)
    return path


def chunk(name: bytes, content: bytes, order: str = "<I") -> bytes:
    return name + struct.pack(order, len(content)) + content + b"\0" * (len(content) % 2)


def wave(path, channels: int, mask: int | None = None, guid: bytes = b"", more: bytes = b""):
    """A WAV of 16 bits by hand: plain without a mask."""
    head = struct.pack("<HHIIHH", 1 if mask is None else 0xFFFE, channels, 48000, 96000 * channels, 2 * channels, 16)
    if mask is not None:
        head += struct.pack("<HHI", 22, 16, mask) + (guid or bytes.fromhex("0100000000001000800000aa00389b71"))
    body = b"WAVE" + chunk(b"fmt ", head) + chunk(b"data", bytes(2 * channels * 9)) + more
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


@pytest.mark.parametrize(
    ("name", "channels", "places"),
    [
        ("a.wav", 6, ()),  # plain: nothing says what they are
        ("a.flac", 6, FIVE_ONE),
        ("a.flac", 3, ("FL", "FR", "FC")),
        ("a.ogg", 6, FIVE_ONE),
        ("a.opus", 8, ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")),
        ("a.caf", 6, ()),
        ("a.aiff", 4, ()),
        ("a.w64", 6, ()),
        ("a.wav", 2, ("FL", "FR")),
        ("a.wav", 1, ("FC",)),
    ],
)
def test_what_a_format_says_of_its_channels(tmp_path, name, channels, places):
    format = {"opus": {"format": "OGG", "subtype": "OPUS"}}.get(name.rpartition(".")[2], {})
    assert layout_of(written(tmp_path / name, channels, **format), channels).places == places


@pytest.mark.parametrize(
    ("mask", "channels", "name"),
    [
        (0x3F, 6, "5.1"),
        (0x60F, 6, "5.1(side)"),
        (0x63F, 8, "7.1"),
        (0x33, 4, "quad"),
        (0x107, 4, "4.0"),
        (0x5, 2, "FL+FC"),
    ],
)
def test_the_mask_of_a_wave(tmp_path, mask, channels, name):
    assert layout_of(wave(tmp_path / "a.wav", channels, mask), channels).name == name
    # FFmpeg's own name for it is the same layout.
    assert layout_of(tmp_path / "none.mka", channels, name) == layout_of(tmp_path / "a.wav", channels)


def test_a_mask_that_is_not_of_these_channels_says_nothing(tmp_path):
    for mask in (0, 0x3, 0xFFFFFFFF):
        assert layout_of(wave(tmp_path / "a.wav", 6, mask), 6).places == ()


def test_the_mask_in_the_comments_of_a_flac(tmp_path):
    whole = written(tmp_path / "a.flac", 4).read_bytes()
    assert layout_of(tmp_path / "a.flac", 4).name == "quad"
    said = b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x0107"
    comments = struct.pack("<I", 0) + struct.pack("<II", 1, len(said)) + said
    block = bytes([4]) + len(comments).to_bytes(3, "big") + comments
    (tmp_path / "a.flac").write_bytes(whole[:42] + block + whole[42:])
    assert layout_of(tmp_path / "a.flac", 4).name == "4.0"


def test_the_layout_of_core_audio(tmp_path):
    for tag, mask, places in (
        (121 << 16 | 6, 0, FIVE_ONE),
        (123 << 16 | 6, 0, ("FL", "FC", "FR", "BL", "BR", "LFE")),
        (1 << 16, 0x3F, FIVE_ONE),
        (147 << 16 | 6, 0, ()),
    ):
        layout = chunk(b"chan", struct.pack(">III", tag, mask, 0), ">Q")
        (tmp_path / "a.caf").write_bytes(b"caff\0\1\0\0" + chunk(b"desc", bytes(32), ">Q") + layout)
        assert layout_of(tmp_path / "a.caf", 6).places == places
    form = b"AIFF" + chunk(b"CHAN", struct.pack(">III", 121 << 16 | 6, 0, 0), ">I")
    (tmp_path / "a.aiff").write_bytes(b"FORM" + struct.pack(">I", len(form)) + form)
    assert layout_of(tmp_path / "a.aiff", 6).places == FIVE_ONE


def test_a_sound_field_is_known_by_its_name_or_its_header(tmp_path):
    tracks = b"<BWFXML><TRACK_LIST><TRACK><NAME>AmbiX-W</NAME></TRACK></TRACK_LIST></BWFXML>"
    for path in (
        wave(tmp_path / "forest-ambi.wav", 4),
        wave(tmp_path / "forest_AmbiX.wav", 16),
        wave(tmp_path / "B-format 3.wav", 9),
        wave(tmp_path / "forest.amb", 4),
        wave(tmp_path / "mic.wav", 4, 0, B_FORMAT),
        wave(tmp_path / "mic2.wav", 4, more=chunk(b"iXML", tracks)),
        wave(tmp_path / "forest_ambi_quad.wav", 4, 0x33),  # some programs put a mask on whatever has four channels
    ):
        channels = 16 if "AmbiX" in path.name else 9 if "3" in path.name else 4
        assert layout_of(path, channels).ambisonic, path.name
    for path in (
        wave(tmp_path / "forest.wav", 4),
        wave(tmp_path / "ambience.wav", 4),
        wave(tmp_path / "bambi.wav", 4),
        wave(tmp_path / "tracks.wav", 4, more=chunk(b"iXML", tracks.replace(b"AmbiX-W", b"Boom"))),
    ):
        assert not layout_of(path, 4).ambisonic, path.name
    assert not layout_of(wave(tmp_path / "two-ambi.wav", 6), 6).ambisonic
    assert layout_of(tmp_path / "none.mkv", 4, "ambisonic 1").ambisonic


def test_damaged_headers_say_nothing(tmp_path):
    whole = wave(tmp_path / "a.wav", 6, 0x3F, more=chunk(b"iXML", b"<x/>")).read_bytes()
    for end in range(12, len(whole), 7):
        (tmp_path / "a.wav").write_bytes(whole[:end])
        assert layout_of(tmp_path / "a.wav", 6).name in ("", "5.1")
    lying = bytearray(whole)
    lying[16:20] = struct.pack("<I", 0xFFFFFFF0)  # the size of `fmt `
    (tmp_path / "a.wav").write_bytes(lying)
    assert layout_of(tmp_path / "a.wav", 6).name in ("", "5.1")


def test_a_caf_that_was_never_finished_has_no_layout(tmp_path):
    path = written(tmp_path / "x.caf", 6)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(data)
    assert layout_of(path, 6).places == ()
