"""Tags of a sound file: title, artist, album, date, and a comment; written into every format alike.

libsndfile writes such words into FLAC and OGG as they are. Into WAV it writes a LIST INFO chunk, where it reads neither
a text of 2 kB or more nor what stands behind it, and into MP3 Latin-1. So in WAV the longest stands last, and WAV and
MP3 get an ID3v2.4 tag in UTF-8 besides (id3.org, "ID3 tag version 2.4.0 - Main Structure", sections 3 and 4, and
"Native Frames", 4.2 and 4.10), in WAV as the chunk `id3 ` that most programs look for.
"""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import soundfile as sf

from distillgan.audio.containers import find_chunk, synchsafe_number
from distillgan.audio.io import open_audio

_ID3_NAMES = {"title": b"TIT2", "artist": b"TPE1", "album": b"TALB", "date": b"TDRC"}
_UTF8 = b"\x03"
_INFO_BYTES = 32000  # of all texts in LIST INFO: with twice as many libsndfile does not open its own file


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


def write_tags(file: sf.SoundFile, tags: Tags) -> None:
    """Hand the texts to libsndfile, before the first sample; in WAV the shortest first, as many as it has room for."""
    room, words = math.inf, list(tags.words().items())
    if file.format in ("WAV", "RF64"):
        room = _INFO_BYTES
        words.sort(key=lambda item: len(item[1].encode()))
    for name, text in words:
        room -= len(text.encode())
        if room >= 0:
            setattr(file, name, text)


def id3(tags: Tags) -> bytes:
    """An ID3v2.4 tag, b"" without a text."""
    frames = b"".join(
        _frame(_ID3_NAMES[name], _UTF8 + text.encode()) for name, text in tags.words().items() if name in _ID3_NAMES
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
            return _id3_comment(find_chunk(file, b"id3 ")) or comment
    return comment


def _id3_comment(tag: bytes) -> str:
    """The text of the first comment frame that is in UTF-8, as `id3` writes it; "" if there is none."""
    place, end = 10, min(len(tag), 10 + synchsafe_number(tag[6:10])) if tag[:4] == b"ID3\x04" and len(tag) > 10 else 0
    while place + 10 < end:
        size = synchsafe_number(tag[place + 4 : place + 8])
        content = tag[place + 10 : place + 10 + size]
        if tag[place : place + 4] == b"COMM" and content[:1] == _UTF8:
            return content[4:].partition(b"\0")[2].decode("utf-8", "replace").rstrip("\0")
        place += 10 + size
    return ""


def _frame(name: bytes, content: bytes) -> bytes:
    return name + _synchsafe(len(content)) + b"\0\0" + content


def _synchsafe(number: int) -> bytes:
    """Four bytes of seven bits."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
