"""MP3 frame by frame: how much there is of it, whatever its header says (ISO/IEC 11172-3 and 13818-3, 2.4.1-2.4.2).

libsndfile's decoder believes the index in the first frame ("Xing" or "Info"), and guesses the length of what has none
from that frame's bit rate. So all frames are counted here; what has a wrong index, or none, gets a right one.
"""

import struct
from dataclasses import dataclass

from distillgan.audio.containers import Part, Plan, Window, synchsafe_number

_BITRATES = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # kbit/s of layer III in MPEG 1, and in MPEG 2 and 2.5
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz
_GAP = 1000  # bytes that the decoder looks through for its next frame
_BEGINNING = 1 << 16  # bytes in which the first frame is looked for
_ALIKE = 3  # frames in a row that are no accident
_DELAY = 529  # samples of the decoder
_COUNT, _BYTES = 1, 2  # flags of an index: what it holds


@dataclass(frozen=True)
class _Frame:
    """A frame by its header: its version, rate (Hz), channels, `size` in bytes, and where its index would be."""

    version: int
    rate: int
    channels: int
    size: int
    bitrate: int
    checked: bool

    @classmethod
    def parse(cls, head: bytes) -> "_Frame | None":
        """None for what is no header of layer III, or one of free format, whose size is not in it."""
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
            return None
        version, bitrate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
        if version == 1 or not 0 < bitrate < 15 or rate == 3:
            return None
        kbits, hertz = _BITRATES[3 if version == 3 else 2][bitrate - 1], _RATES[version][rate]
        size = (144 if version == 3 else 72) * kbits * 1000 // hertz + (head[2] >> 1 & 1)
        return cls(version, hertz, 1 if head[3] >> 6 == 3 else 2, size, kbits, not head[1] & 1)

    @property
    def samples(self) -> int:
        return 1152 if self.version == 3 else 576

    @property
    def index_at(self) -> int:
        """Behind the header and the side information."""
        long, mono = self.version == 3, self.channels == 1
        return 4 + ((17 if mono else 32) if long else (9 if mono else 17))

    @property
    def kind(self) -> tuple[int, int, int]:
        """Version, rate and channels, which are alike in all frames of one recording."""
        return self.version, self.rate, self.channels

    def borrows(self, frame: bytes) -> bool:
        """Whether it needs what frames before it left over (main_data_begin); no recording begins with such a frame."""
        side = frame[6 if self.checked else 4 :][:2]
        return side != b"" and (int.from_bytes(side) >> 7 if self.version == 3 else side[0]) > 0


@dataclass
class _Run:
    """One recording's frames, from byte `start` to `end`: `count` of them without the one that holds the index.

    `index`: that frame, b"" if there is none; it announces `announced` frames. `torn`: its first one borrows.
    """

    frame: _Frame
    head: bytes
    start: int
    end: int
    index: bytes = b""
    announced: int | None = None
    count: int = 0
    varies: bool = False
    torn: bool = False

    @property
    def seconds(self) -> float:
        return self.count * self.frame.samples / self.frame.rate


def plan(window: Window) -> Plan | None:
    """The plan for an MP3; None where it needs none, or is no MP3."""
    runs, cut = _runs(window)
    runs = [run for run in runs if run.count]
    if not runs:
        return None
    first, notes = runs[0], []
    if len(runs) > 1:
        notes.append(f"{len(runs)} MP3s joined in one file: all of it is used")
    elif first.announced == first.count:
        return None
    elif first.announced is None and first.varies:
        notes.append(
            f"variable bit rate without an index: its {first.count} frames ({first.seconds:.2f} s) were counted"
        )
    more = sum(run.count - run.announced for run in runs if run.announced is not None and run.announced < run.count)
    if more:
        notes.append(f"{more} frames more than its header announces: all are used")
    known = runs[-1].announced is not None and runs[-1].announced >= runs[-1].count
    words = "it ends within a frame" if cut and not known else ""
    if len(runs) == 1 and first.announced is None and _guessed_well(first):
        return Plan([], notes, first.count * first.frame.samples, cut=words)
    return Plan([_part(run) for run in runs], notes, cut=words)


def _guessed_well(run: _Run) -> bool:
    """Whether the decoder, which divides by a frame's bytes at this bit rate, counts all frames of a constant one."""
    mean = run.frame.samples / 8 * run.frame.bitrate * 1000 / run.frame.rate
    return not run.varies and (run.end - run.start) / mean > run.count - 0.1


def _part(run: _Run) -> Part:
    """A recording behind an index that is true."""
    if run.announced is None:
        return Part([_index(run), (run.start, run.end)])
    index, place = bytearray(run.index), run.frame.index_at + 8
    if run.announced < run.count:
        index[place : place + 4] = struct.pack(">I", run.count)
    if index[place - 1] & _BYTES:  # what was cut has fewer, and the decoder complains on the terminal
        index[place + 4 : place + 8] = struct.pack(">I", min(run.end - run.start + len(index), 0xFFFFFFFF))
    return Part([bytes(index), (run.start, run.end)])


def _index(run: _Run) -> bytes:
    """An index with the number of frames to come, and a frame of silence before them.

    Where there is an index the decoder cuts away its own delay of 529 samples, and what the encoder's is said to be: as
    much as brings both to one frame, the silent one. It is left out where a first frame that borrows would get its
    bytes.
    """
    silent = b"" if run.torn else _empty(run, 0)
    delay = 0 if run.torn else run.frame.samples - _DELAY
    index = b"Xing" + struct.pack(">II", _COUNT, run.count + bool(silent))
    index += b"LAME".ljust(21, b"\0") + (delay << 12).to_bytes(3)
    frame = _empty(run, len(index))
    at = run.frame.index_at
    return frame[:at] + index + frame[at + len(index) :] + silent


def _empty(run: _Run, room: int) -> bytes:
    """The smallest frame like those of the recording that has `room` bytes behind its side information, all zero."""
    for bitrate in range(1, 15):
        head = bytes([0xFF, run.head[1] | 1, bitrate << 4 | run.head[2] & 0x0C, run.head[3]])
        frame = _Frame.parse(head)
        if frame.size >= frame.index_at + room:
            break
    return head.ljust(frame.size, b"\0")


def _runs(window: Window) -> tuple[list[_Run], bool]:
    """The recordings of a file, and whether the last frame is incomplete."""
    place = _past_tags(window, 0)
    place = _next_frame(window, place, None, min(window.size, place + _BEGINNING))
    runs: list[_Run] = []
    while place is not None:
        frame = _Frame.parse(window.at(place, 4))
        run = runs[-1] if runs else None
        if frame is None or (run and frame.kind != run.frame.kind and not _alike(window, place)):
            place = _next_frame(window, _past_tags(window, place), run.frame.kind, window.size)
            continue
        if place + frame.size > window.size:
            return runs, True
        data = window.at(place, frame.size)
        index, announced = _read_index(frame, data)
        gap = place - run.end if run else 0
        ended = run is not None and run.announced is not None and run.count >= run.announced
        fresh = (gap or ended) and not frame.borrows(data)
        if run is None or index or frame.kind != run.frame.kind or fresh or gap > _GAP:
            run = _Run(frame, data[:4], place, place, index, announced, torn=not index and frame.borrows(data))
            runs.append(run)
        if index:
            run.start = place + frame.size
        else:
            run.count += 1
            run.varies |= frame.bitrate != run.frame.bitrate
        place = run.end = place + frame.size
        if place >= window.size:
            break
    return runs, False


def _read_index(frame: _Frame, data: bytes) -> tuple[bytes, int | None]:
    """The frame, if it is one that holds an index instead of sound (else b""), and the number that it announces.

    Fraunhofer's ("VBRI") is left out, and one without a number: an own one takes its place.
    """
    if data[frame.index_at : frame.index_at + 4] in (b"Xing", b"Info"):
        flags, count = struct.unpack(">II", data[frame.index_at + 4 : frame.index_at + 12].ljust(8, b"\0"))
        return data, count if flags & _COUNT and count else None
    return (data, None) if data[36:40] == b"VBRI" else (b"", None)


def _past_tags(window: Window, place: int) -> int:
    """The end of the tags that stand at a place: ID3v1 and v2, APE."""
    while True:
        head = window.at(place, 16)
        if head[:3] == b"ID3" and len(head) >= 10:
            place += 10 + synchsafe_number(head[6:10]) + (10 if head[5] & 0x10 else 0)
        elif head[:3] == b"TAG":
            place += 128
        elif head[:8] == b"APETAGEX" and len(head) == 16:
            place += 32 + int.from_bytes(head[12:16], "little")
        else:
            return place


def _next_frame(window: Window, place: int, kind: tuple | None, limit: int) -> int | None:
    """The place of the next frame of `kind` (or any, if there are several alike) before `limit`, or None."""
    while 0 <= place < limit:
        frame = _Frame.parse(window.at(place, 4))
        if frame and (frame.kind == kind or _alike(window, place)):
            return place
        place = window.find(b"\xff", place + 1)
    return None


def _alike(window: Window, place: int) -> bool:
    """Whether several frames of one kind begin here."""
    kind = None
    for _ in range(_ALIKE):
        frame = _Frame.parse(window.at(place, 4))
        if frame is None or kind not in (None, frame.kind):
            return False
        kind, place = frame.kind, place + frame.size
        if place == window.size:
            return True
    return True
