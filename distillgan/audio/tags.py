"""What a sound file says of itself: title, artist, album, date, and a comment; written into every format alike.

libsndfile writes such words into FLAC and OGG as they are. Into WAV it writes a LIST INFO chunk, where it reads neither
a text of 2 kB or more nor what stands behind it, and into MP3 Latin-1. So in WAV the longest stands last, and WAV and
MP3 get an ID3v2.4 tag in UTF-8 besides (id3.org, "ID3 tag version 2.4.0 - Main Structure", sections 3 and 4, and
"Native Frames", 4.2 and 4.10), in WAV as the chunk `id3 ` that most programs look for.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile as sf

from distillgan.audio.io import open_audio

_FRAMES = {"title": b"TIT2", "artist": b"TPE1", "album": b"TALB", "date": b"TDRC"}
_UTF8 = b"\x03"
_INFO_BYTES = 32000  # of all texts in LIST INFO: with twice as many libsndfile does not open its own file
_LARGEST_TAG = 1 << 24


@dataclass(frozen=True)
class Tags:
    """Texts; an empty one is left out. `date` is YYYY-MM-DD."""

    title: str = ""
    artist: str = ""
    album: str = ""
    date: str = ""
    comment: str = ""

    def words(self) -> dict[str, str]:
        return {name: text for name, text in vars(self).items() if text}


def write_strings(file: sf.SoundFile, tags: Tags) -> None:
    """Hand the texts to libsndfile, before the first sample."""
    for name, text in tags.words().items():
        setattr(file, name, text)


def write_info(file: sf.SoundFile, tags: Tags) -> None:
    """As `write_strings`, for WAV: the shortest first, and as many as a LIST INFO has room for."""
    room = _INFO_BYTES
    for name, text in sorted(tags.words().items(), key=lambda item: len(item[1].encode())):
        room -= len(text.encode())
        if room >= 0:
            setattr(file, name, text)


def id3(tags: Tags) -> bytes:
    """An ID3v2.4 tag, b"" without a text."""
    frames = b"".join(
        _frame(_FRAMES[name], _UTF8 + text.encode()) for name, text in tags.words().items() if name in _FRAMES
    )
    if tags.comment:
        frames += _frame(b"COMM", _UTF8 + b"XXX" + b"\0" + tags.comment.encode())
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames if frames else b""


def append_id3(path: Path, tags: Tags) -> None:
    """Add the chunk `id3 ` to a finished WAV or RF64."""
    tag = id3(tags)
    if not tag:
        return
    chunk = b"id3 " + struct.pack("<I", len(tag)) + tag + b"\0" * (len(tag) % 2)
    with open(path, "r+b") as file:
        kind = file.read(4)
        end = file.seek(0, os.SEEK_END)
        chunk = b"\0" * (end % 2) + chunk
        file.write(chunk)
        size = end + len(chunk) - 8
        if kind == b"RF64":  # EBU Tech 3306: the size is the first field of `ds64`, the first chunk
            file.seek(20)
            file.write(struct.pack("<Q", size))
        else:
            file.seek(4)
            file.write(struct.pack("<I", size))


def read_comment(path: str | os.PathLike) -> str:
    """The comment of any sound file, "" if it has none.

    Raises:
        AudioFileError: as `open_audio`.
    """
    with open_audio(path) as file:
        comment, kind = file.comment, file.format
    if kind in ("WAV", "WAVEX", "RF64"):
        with open(path, "rb") as file:
            return _comment_of(_chunk(file, b"id3 ")) or comment
    return comment


def _frame(name: bytes, content: bytes) -> bytes:
    return name + _synchsafe(len(content)) + b"\0\0" + content


def _synchsafe(number: int) -> bytes:
    """Four bytes of seven bits."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _number(data: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))


def _chunk(file: BinaryIO, wanted: bytes) -> bytes:
    """The first chunk of that name in a RIFF or RF64 file, b"" if there is none."""
    data_size = None
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if name == wanted:
            return file.read(min(size, _LARGEST_TAG))
        if name == b"ds64" and size >= 16:
            inside = file.read(16)
            data_size = struct.unpack("<Q", inside[8:16])[0]
            file.seek(size - 16, os.SEEK_CUR)
        elif name == b"data" and size == 0xFFFFFFFF and data_size is not None:
            file.seek(data_size + data_size % 2, os.SEEK_CUR)
            continue
        else:
            file.seek(size, os.SEEK_CUR)
        file.seek(size % 2, os.SEEK_CUR)
    return b""


def _comment_of(tag: bytes) -> str:
    """The text of the first comment frame that is in UTF-8, as `id3` writes it; "" if there is none."""
    return next((text for name, text in _frames(tag) if name == b"COMM"), "")


def _frames(tag: bytes) -> Iterator[tuple[bytes, str]]:
    place, end = 10, min(len(tag), 10 + _number(tag[6:10])) if tag[:4] == b"ID3\x04" and len(tag) > 10 else 0
    while place + 10 < end:
        name, size = tag[place : place + 4], _number(tag[place + 4 : place + 8])
        content = tag[place + 10 : place + 10 + size]
        if content[:1] == _UTF8:
            _, _, text = content[4:].partition(b"\0") if name == b"COMM" else (b"", b"", content[1:])
            yield name, text.decode("utf-8", "replace").rstrip("\0")
        place += 10 + size
