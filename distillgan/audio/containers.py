"""The stretches of a file that are decoded, where its header cannot be believed: WAV, AIFF, CAF, AU, W64, FLAC and Ogg.

A recorder that loses power, and a program that writes to a pipe, leave sizes of 0, of 36, or the largest there is. Then
all is sound up to the end of the file, but for the chunks that stand there (EA IFF 85 for chunks; RIFF and RF64: EBU
Tech 3306; Apple Core Audio Format Specification 1.0; Ogg: RFC 3533).
"""

import io
import os
import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import BinaryIO

Piece = bytes | tuple[int, int]  # bytes of our own, or a stretch (first, last + 1) of the file
_FARTHEST = 1 << 60

_UNWRITTEN = 0x7F000000  # FFmpeg, SoX and recorders write this or more for a size that they do not know yet
_LARGEST = 0xFFFFFFFF
_HARDLY = 64  # bytes: no recording
_TAIL = 1 << 24  # bytes at the end of a file in which chunks are looked for
_BEHIND = 20000  # bytes that are worth a word
_LARGEST_CHUNK = 1 << 24
_UNFINISHED = "its header was never finished: the sound up to the end of the file is used"
_TAGS = (b"TAG", b"ID3", b"APETAGEX")
_NAMED = re.compile(
    rb"LIST|list|id3 |ID3 |bext|iXML|cue |smpl|inst|fact|PEAK|JUNK|junk|PAD |FLLR|_PMX|axml|chna|acid|strc|umid|levl|"
    rb"cart|afsp|DISP|CSET|LGWV|ResU|SAUR|MARK|INST|NAME|AUTH|\(c\) |ANNO|COMT|APPL|MIDI|CHAN|info|uuid|strg|mark|"
    rb"regn|free"
)
_PAGE_HEAD = 27  # bytes of an Ogg page before its table of segments
_FIRST, _LAST = 2, 4  # flags of Ogg pages

# Vorbis I specification, 4.3.9, which Opus (RFC 7845, 5.1.1.2) follows, to the order of WAVEFORMATEXTENSIBLE's mask.
TO_WAV = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}


class Splice(io.RawIOBase):
    """A read-only file made of pieces of another file, which it never closes.

    `reached_end`: a read came to its last byte. `error`: the operating system refused to read on; it is kept, since a
    decoder that calls from C can pass no exception on.
    """

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]):
        self._file, self._pieces = file, [piece for piece in pieces if _length(piece)]
        self._starts = [0, *accumulate(map(_length, self._pieces))]
        self._at, self.reached_end = 0, False
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = (0, self._at, self._starts[-1])[whence] + offset
        if 0 <= place < _FARTHEST:  # else it stays where it is, as a file does: decoders try sizes that mean nothing
            self._at = place
        return self._at

    def readinto(self, buffer) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and self._at < self._starts[-1]:
            number = bisect_right(self._starts, self._at) - 1
            piece, offset = self._pieces[number], self._at - self._starts[number]
            count = min(len(view) - done, _length(piece) - offset)
            if isinstance(piece, bytes):
                view[done : done + count] = piece[offset : offset + count]
            else:
                try:
                    self._file.seek(piece[0] + offset)
                    count = self._file.readinto(view[done : done + count])
                except OSError as error:
                    self.error = error
                    break
                if not count:  # the file became shorter meanwhile
                    break
            done, self._at = done + count, self._at + count
        self.reached_end |= self._at >= self._starts[-1]
        return done


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


class Window:
    """Bytes of a file at any place, read a megabyte at a time."""

    def __init__(self, file: BinaryIO):
        self._file, self._first, self._data = file, 0, b""
        self.size = file.seek(0, io.SEEK_END)

    def at(self, place: int, count: int) -> bytes:
        """`count` bytes from `place` on, fewer at the end of the file."""
        offset = place - self._first
        if not 0 <= offset <= len(self._data) - count:
            self._file.seek(place)
            self._first, self._data, offset = place, self._file.read(max(count, 1 << 20)), 0
        return self._data[offset : offset + count]

    def find(self, wanted: bytes, place: int) -> int:
        """The first place of `wanted` from `place` on; -1 if it does not come."""
        while place < self.size:
            block = self.at(place, min(1 << 20, self.size - place))
            found = block.find(wanted)
            if found >= 0:
                return place + found
            place += max(1, len(block) - len(wanted) + 1)
        return -1


@dataclass
class Part:
    """A stretch of a file that is decoded on its own.

    `order`: the channel of the decoder that comes first, second … in WAV order; () where its order is that already.
    """

    pieces: list[Piece]
    order: tuple[int, ...] = ()


@dataclass
class Plan:
    """The parts to decode, one after the other (none: the file as it is).

    `notes`: what the owner of the file may want to know. `promised`: samples a channel that the header announces, where
    the decoder does not know, or is wrong. `stated`: bytes of sound that the header announces, and those that are
    there, where the decoder does not report that they are fewer. `cut`: how the end is known to be missing, or "".
    """

    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    promised: int | None = None
    stated: tuple[int, int] | None = None
    cut: str = ""


def find_chunk(file: BinaryIO, wanted: bytes, start: int = 12, size: str = "<I", even: int = 2) -> bytes:
    """The content of the first chunk of that name, at most 16 MiB of it; b"" if there is none. Sizes that lie end it.

    start: of the first chunk; size: how struct reads a chunk's; even: what chunks are padded to a multiple of.
    """
    file.seek(start)
    width, data_size = struct.calcsize(size), None
    while len(head := file.read(4 + width)) == 4 + width:
        name, length = head[:4], struct.unpack(size, head[4:])[0]
        if name == wanted:
            return file.read(min(length, _LARGEST_CHUNK))
        if name == b"ds64":
            inside = file.read(min(length, 16))
            data_size = struct.unpack("<Q", inside[8:16])[0] if len(inside) == 16 else None
            length -= len(inside)
        elif name == b"data" and length == _LARGEST and data_size is not None:
            length = data_size
        if length >= _FARTHEST:
            break
        file.seek(length + -length % even, os.SEEK_CUR)
    return b""


def synchsafe_number(data: bytes) -> int:
    """Four bytes of seven bits each, as in ID3v2."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))


@dataclass
class _Layout:
    """The layout of a file: its sound begins at byte `begin` and has `stated` bytes by the header, the file `whole`.

    `header`: what stands before that many bytes of sound in a right file. `size`: how struct reads a chunk's.
    `strange`: libsndfile does not find its way, even with right sizes. `open_ended`: a size may be left open here.
    """

    begin: int
    stated: int
    whole: int
    header: Callable[[int], list[Piece]]
    size: str
    strange: bool = False
    open_ended: bool = False

    def part(self, end: int) -> Part:
        """The sound up to byte `end`, behind a right header."""
        return Part([*self.header(end - self.begin), (self.begin, end)])


def container_plan(window: Window) -> Plan | None:
    """The plan for a WAV, AIFF, CAF, AU, W64 or FLAC; None where it needs none, or is of another kind."""
    head = window.at(0, 12)
    layout = None
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:] == b"WAVE":
        layout = _wave(window, head)
    elif head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        layout = _aiff(window, head)
    elif head[:4] == b"caff":
        layout = _caf(window)
    elif head[:4] == b".snd" and len(head) == 12:
        layout = _au(head)
    elif head == b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb":
        return _w64_plan(window)
    elif head[:4] == b"fLaC":
        end = _before_tags(window)
        return Plan([Part([(0, end)])]) if end < window.size else None
    if layout is None or layout.begin > window.size:
        return None
    present, after = window.size - layout.begin, layout.begin + layout.stated
    if layout.stated >= _UNWRITTEN:
        unwritten = layout.stated > present
    else:
        doubtful = layout.stated <= _HARDLY or not _HARDLY < layout.whole < max(_UNWRITTEN, window.size)
        unwritten = layout.stated <= present and doubtful and not _ends(window, after, layout.size)
    if unwritten:
        part = layout.part(_tail(window, layout.begin, layout.size))
        return Plan([part], [] if layout.open_ended else [_UNFINISHED])
    if layout.stated > present:
        return Plan([layout.part(window.size)] if layout.strange else [], stated=(layout.stated, present))
    notes = []
    if window.size - after > _BEHIND and not _ends(window, after, layout.size):
        notes.append(f"{window.size - after} bytes behind the end that its header gives are left out")
    parts = [layout.part(after)] if layout.strange else []
    return Plan(parts, notes) if parts or notes else None


@dataclass
class _Chunks:
    """The chunks before the sound: where each begins and ends, without padding, and where the sound's header stands."""

    found: list[tuple[bytes, int, int]] = field(default_factory=list)
    head: int = 0
    stated: int = 0
    unpadded: bool = False

    def content(self, window: Window, name: bytes, count: int) -> bytes:
        """The first bytes of a chunk, b"" if there is none of that name."""
        return next((window.at(start + 8, count) for known, start, _ in self.found if known == name), b"")

    def kept(self, *but: bytes) -> list[Piece]:
        """All but some, each padded to an even size."""
        padded = [((start, end), b"\0" * ((end - start) % 2)) for name, start, end in self.found if name not in but]
        return [piece for pieces in padded for piece in pieces]


def _chunks(window: Window, order: str, sound: bytes) -> _Chunks | None:
    """The chunks before the chunk `sound`, even if one of an odd size was not padded; None without such a chunk."""
    chunks, place = _Chunks(), 12
    while len(head := window.at(place, 8)) == 8:
        name, size = head[:4], struct.unpack(order + "I", head[4:])[0]
        if name == sound:
            chunks.head, chunks.stated = place, size
            return chunks
        end = place + 8 + size
        chunks.found.append((name, place, end))
        place = end + size % 2
        if size % 2 and (_NAMED.match(following := window.at(end, 4)) or following in (sound, b"fmt ", b"COMM")):
            place, chunks.unpadded = end, True
    return None


def _wave(window: Window, head: bytes) -> _Layout | None:
    order = ">" if head[:4] == b"RIFX" else "<"
    chunks = _chunks(window, order, b"data")
    if chunks is None or not chunks.content(window, b"fmt ", 1):
        return None
    stated, whole = chunks.stated, struct.unpack(order + "I", head[4:8])[0]
    large = chunks.content(window, b"ds64", 16)
    if head[:4] in (b"RF64", b"BW64") and len(large) == 16:
        whole, size = struct.unpack("<QQ", large)
        stated = size if stated == _LARGEST else stated

    def header(length: int) -> list[Piece]:
        # The texts of a LIST that is odd itself are no better, and libsndfile loses its way in them.
        kept = chunks.kept(b"ds64", *[b"LIST"] * chunks.unpadded)
        total = 12 + sum(map(_length, kept)) + length
        if total < _UNWRITTEN:
            start = (b"RIFX" if order == ">" else b"RIFF") + struct.pack(order + "I", total) + b"WAVE"
            return [start, *kept, b"data" + struct.pack(order + "I", length)]
        sizes = struct.pack("<IQQQI", 28, total + 36, length, 0, 0)
        return [b"RF64" + b"\xff" * 4 + b"WAVE" + b"ds64" + sizes, *kept, b"data" + b"\xff" * 4]

    return _Layout(chunks.head + 8, stated, whole, header, order + "I", chunks.unpadded or head[:4] == b"BW64")


def _aiff(window: Window, head: bytes) -> _Layout | None:
    chunks = _chunks(window, ">", b"SSND")
    if chunks is None or not chunks.content(window, b"COMM", 1):
        return None
    begin = chunks.head + 8

    def header(length: int) -> list[Piece]:
        start = b"FORM" + struct.pack(">I", min(begin + length, _LARGEST)) + head[8:]
        return [start, *chunks.kept(), b"SSND" + struct.pack(">I", min(length, _LARGEST))]

    return _Layout(begin, chunks.stated, struct.unpack(">I", head[4:8])[0], header, ">I", chunks.unpadded)


def _caf(window: Window) -> _Layout | None:
    """Only where all packets are of one size: otherwise a table behind the sound separates them."""
    place, desc = 8, b""
    while len(head := window.at(place, 12)) == 12:
        size = struct.unpack(">q", head[4:])[0]
        if head[:4] == b"desc":
            desc = window.at(place + 12, 32)
        if head[:4] == b"data":
            break
        if size < 0:
            return None
        place += 12 + size
    if len(head) < 12 or not desc[16:20].strip(b"\0"):
        return None
    begin, stated = place + 12, size if size >= 0 else 1 << 62

    def header(length: int) -> list[Piece]:
        return [(0, place + 4), struct.pack(">q", length)]

    return _Layout(begin, stated, _HARDLY + 1, header, ">q", begin + size > window.size, size == -1)


def _au(head: bytes) -> _Layout:
    begin, stated = struct.unpack(">II", head[4:])

    def header(length: int) -> list[Piece]:
        return [(0, 8), struct.pack(">I", min(length, _LARGEST)), (12, begin)]

    return _Layout(begin, stated, _HARDLY + 1, header, ">I", open_ended=stated == _LARGEST)


def _w64_plan(window: Window) -> Plan | None:
    """Sony Wave64, whose sizes have 64 bits and count the chunk's own head; libsndfile reads on whatever they say."""
    place = 40
    while len(head := window.at(place, 24)) == 24:
        size = struct.unpack("<Q", head[16:])[0]
        if head[:4] == b"data":
            present, stated = window.size - place - 24, size - 24
            if present > 0 and not 0 < stated < 1 << 48:
                return Plan(notes=[_UNFINISHED])
            return Plan(stated=(stated, present)) if stated > present else None
        if size < 24:
            return None
        place += size + -size % 8
    return None


def _before_tags(window: Window) -> int:
    """The end of what stands before tags at the end of the file: ID3v1, and APE with its footer."""
    end = window.size
    if window.at(max(0, end - 128), 3) == b"TAG":
        end -= 128
    footer = window.at(max(0, end - 32), 32)
    if footer[:8] == b"APETAGEX":
        size = int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
        end -= size if size <= end else 0
    return end


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def _ends(window: Window, place: int, size: str, only_known: bool = False) -> bool:
    """Whether nothing follows from `place` on but chunks, up to the end of the file, or tags of other kinds."""
    width = 4 + struct.calcsize(size)
    while window.size - place > 1:
        head = window.at(place, width)
        if place % 2 and (window.at(place, 1) == b"\0" or not _is_name(head[:4])):
            place += 1
            head = window.at(place, width)
        if head.startswith(_TAGS) and not only_known:
            return True
        if len(head) < width or not _is_name(head[:4]) or (only_known and not _NAMED.match(head)):
            return False
        length = struct.unpack(size, head[4:])[0]
        if not 0 <= length <= window.size - place - width:
            return False
        place += width + length
    return True


def _tail(window: Window, begin: int, size: str) -> int:
    """The beginning of chunks of known names that reach up to the end of the file; that end if there are none."""
    start = max(begin, window.size - _TAIL)
    places = (start + found.start() for found in _NAMED.finditer(window.at(start, window.size - start)))
    return next((place for place in places if _ends(window, place, size, only_known=True)), window.size)


@dataclass
class _Link:
    """One recording, from byte `start` to `end`: the beginnings of its streams' first packets; `ended`: by its mark."""

    start: int
    end: int
    packets: list[bytes]
    ended: bool = False


def from_wav(channels: int) -> list[int]:
    """The channel in WAV order that comes first, second … in Vorbis."""
    order = TO_WAV.get(channels, range(channels))
    return sorted(range(channels), key=lambda channel: order[channel])


def ogg_plan(window: Window) -> Plan | None:
    """The plan for an Ogg file; None where it needs none.

    Streams that were recorded, and files that were joined, are chains: libsndfile plays the first link alone.
    """
    links, torn = _links(window)
    parts = [Part([(link.start, link.end)], _order(link.packets)) for link in links]
    notes = []
    if len(links) > 1:
        notes.append(f"{len(links)} recordings follow each other in it: all of it is used")
    cut = "its last page is incomplete or missing" if links and (torn or not links[-1].ended) else ""
    needed = len(parts) > 1 or any(part.order for part in parts)
    return Plan(parts if needed else [], notes, cut=cut) if needed or cut else None


def _order(packets: list[bytes]) -> tuple[int, ...]:
    for packet in packets:
        if packet[:7] == b"\x01vorbis" and len(packet) > 11:
            return TO_WAV.get(packet[11], ())
        if packet[:8] == b"OpusHead" and len(packet) > 18 and packet[18] == 1:
            return TO_WAV.get(packet[9], ())
    return ()


def _links(window: Window) -> tuple[list[_Link], bool]:
    """The links of a chain, and whether the last page is incomplete."""
    links: list[_Link] = []
    place, heads = 0, False
    while 0 <= place < window.size:
        head = window.at(place, _PAGE_HEAD)
        if head[:4] != b"OggS":
            place = window.find(b"OggS", place + 1)
            continue
        table = window.at(place + _PAGE_HEAD, head[26]) if len(head) == _PAGE_HEAD else b""
        size = _PAGE_HEAD + len(table) + sum(table)
        if len(head) < _PAGE_HEAD or len(table) < head[26] or place + size > window.size:
            return links, bool(links)
        first = bool(head[5] & _FIRST)
        if first and not heads:
            links.append(_Link(place, place, []))
        heads = first
        if links:
            if first:
                links[-1].packets.append(window.at(place + _PAGE_HEAD + len(table), 64))
            links[-1].end, links[-1].ended = place + size, bool(head[5] & _LAST)
        place += size
    return links, False
