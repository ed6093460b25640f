"""Ogg page by page (RFC 3533): recordings that follow each other in one file, and the order of their channels.

Streams that were recorded, and files that were joined, are chains: libsndfile plays the first link alone.
"""

from dataclasses import dataclass

from distillgan.audio.parts import Part, Plan, Window

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


def plan(window: Window) -> Plan | None:
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
