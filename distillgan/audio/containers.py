"""Containers whose headers cannot be believed: WAV, AIFF, CAF, AU and Ogg.

Where the sound in a WAV, AIFF, CAF or AU begins and ends, whatever sizes stand in its header.

A recorder that loses power, and a program that writes to a pipe, leave sizes of 0, of 36, or the largest there is. Then
all is sound up to the end of the file, but for the chunks that stand there. (EA IFF 85 for chunks; RIFF and RF64: EBU
Tech 3306; Apple Core Audio Format Specification 1.0.)

Ogg page by page (RFC 3533): recordings that follow each other in one file, and the order of their channels.

Streams that were recorded, and files that were joined, are chains: libsndfile plays the first link alone.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from distillgan.audio.mpeg import Part, Piece, Plan, Window

_UNWRITTEN = 0x7F000000  # FFmpeg, SoX and recorders write this or more for a size that they do not know yet
_HARDLY = 64  # bytes: no recording
_TAIL = 1 << 24  # bytes at the end of a file in which chunks are looked for
_BEHIND = 20000  # bytes that are worth a word
_TAGS = (b"TAG", b"ID3", b"APETAGEX")
_NAMED = re.compile(
    rb"LIST|list|id3 |ID3 |bext|iXML|cue |smpl|inst|fact|PEAK|JUNK|junk|PAD |FLLR|_PMX|axml|chna|acid|strc|umid|levl|"
    rb"cart|afsp|DISP|CSET|LGWV|ResU|SAUR|MARK|INST|NAME|AUTH|\(c\) |ANNO|COMT|APPL|MIDI|CHAN|info|uuid|strg|mark|"
    rb"regn|free"
)


@dataclass
class _Layout:
    """The sound begins at byte `begin` and has `stated` bytes by the header, which says `whole` of the whole file.

    `rebuild`: the pieces of a right file whose sound ends at a given byte. `size`: how struct reads a chunk's.
    `strange`: libsndfile does not find its way, even with right sizes. `open_ended`: to say no size is right here.
    """

    begin: int
    stated: int
    whole: int
    rebuild: Callable[[int], list[Piece]]
    size: str
    strange: bool = False
    open_ended: bool = False


def container_plan(window: Window) -> Plan | None:
    """How such a file is to be decoded; None where it needs no help, or is of another kind."""
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
    if layout is None or layout.begin > window.size:
        return None
    present, after = window.size - layout.begin, layout.begin + layout.stated
    if layout.stated >= _UNWRITTEN:
        unwritten = layout.stated > present
    else:
        doubtful = layout.stated <= _HARDLY or not _HARDLY < layout.whole < max(_UNWRITTEN, window.size)
        unwritten = layout.stated <= present and doubtful and not _ends(window, after, layout.size)
    if unwritten:
        notes = ["its header was never finished: the sound up to the end of the file is used"]
        part = Part(layout.rebuild(_tail(window, layout.begin, layout.size)))
        return Plan([part], [] if layout.open_ended else notes)
    if layout.stated > present:
        parts = [Part(layout.rebuild(window.size))] if layout.strange else []
        return Plan(parts, stated=(layout.stated, present))
    notes = []
    if window.size - after > _BEHIND and not _ends(window, after, layout.size):
        notes.append(f"{window.size - after} bytes behind the end that its header gives are left out")
    parts = [Part(layout.rebuild(after))] if layout.strange else []
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
        place = next((start for known, start, _ in self.found if known == name), None)
        return b"" if place is None else window.at(place + 8, count)

    def kept(self, *but: bytes) -> list[Piece]:
        """All but some, each padded to an even size."""
        pieces: list[Piece] = []
        for name, start, end in self.found:
            if name not in but:
                pieces += [(start, end), b"\0" * ((end - start) % 2)]
        return pieces


def _chunks(window: Window, order: str, sound: bytes) -> _Chunks | None:
    """What stands before the chunk `sound`, even if one of an odd size was not padded; None without such a chunk."""
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
        stated = size if stated == 0xFFFFFFFF else stated

    def rebuild(end: int) -> list[Piece]:
        # The texts of a LIST that is odd itself are no better, and libsndfile loses its way in them.
        begin, kept = chunks.head + 8, chunks.kept(b"ds64", *[b"LIST"] * chunks.unpadded)
        length = end - begin
        total = 4 + sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in kept) + 8 + length
        if total < _UNWRITTEN:
            start = (b"RIFX" if order == ">" else b"RIFF") + struct.pack(order + "I", total) + b"WAVE"
            return [start, *kept, b"data" + struct.pack(order + "I", length), (begin, end)]
        sizes = struct.pack("<IQQQI", 28, total + 36, length, 0, 0)
        start = b"RF64" + b"\xff" * 4 + b"WAVE" + b"ds64" + sizes
        return [start, *kept, b"data" + b"\xff" * 4, (begin, end)]

    return _Layout(chunks.head + 8, stated, whole, rebuild, order + "I", chunks.unpadded or head[:4] == b"BW64")


def _aiff(window: Window, head: bytes) -> _Layout | None:
    chunks = _chunks(window, ">", b"SSND")
    if chunks is None or not chunks.content(window, b"COMM", 1):
        return None
    begin = chunks.head + 8

    def rebuild(end: int) -> list[Piece]:
        start = b"FORM" + struct.pack(">I", min(end, 0xFFFFFFFF)) + head[8:]
        return [start, *chunks.kept(), b"SSND" + struct.pack(">I", min(end - begin, 0xFFFFFFFF)), (begin, end)]

    return _Layout(begin, chunks.stated, struct.unpack(">I", head[4:8])[0], rebuild, ">I", chunks.unpadded)


def _caf(window: Window) -> _Layout | None:
    """Of one whose packets are all of one size: otherwise a table behind the sound tells them apart."""
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
    begin = place + 12

    def rebuild(end: int) -> list[Piece]:
        return [(0, place + 4), struct.pack(">q", end - begin), (begin, end)]

    cut, stated = begin + size > window.size, size if size >= 0 else 1 << 62
    return _Layout(begin, stated, _HARDLY + 1, rebuild, ">q", cut, size == -1)


def _au(head: bytes) -> _Layout:
    begin, stated = struct.unpack(">II", head[4:])

    def rebuild(end: int) -> list[Piece]:
        return [(0, 8), struct.pack(">I", min(end - begin, 0xFFFFFFFF)), (12, end)]

    return _Layout(begin, stated, _HARDLY + 1, rebuild, ">I", open_ended=stated == 0xFFFFFFFF)


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def _ends(window: Window, place: int, size: str, only_known: bool = False) -> bool:
    """Does nothing follow from `place` on but chunks, up to the end of the file, or tags of other kinds?"""
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
    """Where chunks of known names begin that reach up to the end of the file; the end of the file if there are none."""
    start = max(begin, window.size - _TAIL)
    data = window.at(start, window.size - start)
    for found in _NAMED.finditer(data):
        if _ends(window, start + found.start(), size, only_known=True):
            return start + found.start()
    return window.size


_HEAD = 27  # bytes of a page before its table of segments
_FIRST, _LAST = 2, 4  # flags of pages

# Vorbis I specification, 4.3.9, which Opus (RFC 7845, 5.1.1.2) follows, to the order of WAVEFORMATEXTENSIBLE's mask.
TO_WAV = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}


@dataclass
class _Link:
    """One recording, from byte `start` to `end`: the beginnings of its streams' first packets; `ended`: by its mark."""

    start: int
    end: int
    packets: list[bytes]
    ended: bool = False


def from_wav(channels: int) -> list[int]:
    """Which of the channels in WAV order comes first, second … in Vorbis."""
    order = TO_WAV.get(channels, range(channels))
    return sorted(range(channels), key=lambda channel: order[channel])


def ogg_plan(window: Window) -> Plan | None:
    """How an Ogg file is to be decoded; None where it needs no help."""
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
        head = window.at(place, _HEAD)
        if head[:4] != b"OggS":
            place = window.find(b"OggS", place + 1)
            continue
        table = window.at(place + _HEAD, head[26]) if len(head) == _HEAD else b""
        size = _HEAD + len(table) + sum(table)
        if len(head) < _HEAD or len(table) < head[26] or place + size > window.size:
            return links, bool(links)
        first = bool(head[5] & _FIRST)
        if first and not heads:
            links.append(_Link(place, place, []))
        heads = first
        if links:
            if first:
                links[-1].packets.append(window.at(place + _HEAD + len(table), 64))
            links[-1].end, links[-1].ended = place + size, bool(head[5] & _LAST)
        place += size
    return links, False
