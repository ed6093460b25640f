"""Channels to mono: which loudspeaker, or part of a sound field, each is meant for, and how they are mixed.

Channels come in the order of WAVEFORMATEXTENSIBLE (Microsoft, "Multiple channel audio data and WAVE files"), whose mask
has a bit for each place; FFmpeg's layouts are the same bits under names.
"""

import math
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from distillgan.audio.containers import find_chunk
from distillgan.errors import UserError

# By bit of the mask, under FFmpeg's names.
_PLACES = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)  # fmt: skip
_NAMED = {
    "mono": 0x4, "stereo": 0x3, "downmix": 0x3, "2.1": 0xB, "3.0": 0x7, "3.0(back)": 0x103, "4.0": 0x107, "quad": 0x33,
    "quad(side)": 0x603, "3.1": 0xF, "5.0": 0x37, "5.0(side)": 0x607, "4.1": 0x10F, "5.1": 0x3F, "5.1(side)": 0x60F,
    "6.0": 0x707, "6.0(front)": 0x6C3, "hexagonal": 0x137, "6.1": 0x70F, "6.1(back)": 0x13F, "6.1(front)": 0x6CB,
    "7.0": 0x637, "7.0(front)": 0x6C7, "7.1": 0x63F, "7.1(wide)": 0xFF, "7.1(wide-side)": 0x6CF, "octagonal": 0x737,
}  # fmt: skip
# What a number of channels is in FLAC (RFC 9639, 9.1.3) and in Vorbis (Vorbis I, 4.3.9, put into the order of WAV).
_BY_NUMBER = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
_SPHERICAL = (4, 9, 16)  # channels of ambisonics of the first, second and third order
_AMBISONIC_NAME = re.compile(r"(?:^|[\W_])(?:ambi|ambix|ambisonics?|b-?format|fuma)(?:$|[\W_\d])", re.IGNORECASE)
_AMBISONIC_TRACKS = re.compile(rb"ambisonic|ambix|b-?format|fuma", re.IGNORECASE)
_B_FORMAT = bytes.fromhex("2107d3118644c8c1ca000000")  # ends the subformat of a WAVE-EX of B-format (.amb)
_EXTENSIBLE = 0xFFFE
# Core Audio's layout tags (Apple, "Core Audio Format specification", "chan"): a number, below it that of the channels.
_CORE_BITMAP, _CORE_SPHERICAL = 0x10000, {107, 190, 191}
_CORE_TAGS = {
    100: ("FC",), 101: ("FL", "FR"), 108: ("FL", "FR", "BL", "BR"), 113: ("FL", "FR", "FC"), 114: ("FC", "FL", "FR"),
    115: ("FL", "FR", "FC", "BC"), 116: ("FC", "FL", "FR", "BC"), 117: ("FL", "FR", "FC", "BL", "BR"),
    118: ("FL", "FR", "BL", "BR", "FC"), 119: ("FL", "FC", "FR", "BL", "BR"), 120: ("FC", "FL", "FR", "BL", "BR"),
    121: ("FL", "FR", "FC", "LFE", "BL", "BR"), 122: ("FL", "FR", "BL", "BR", "FC", "LFE"),
    123: ("FL", "FC", "FR", "BL", "BR", "LFE"), 124: ("FC", "FL", "FR", "BL", "BR", "LFE"),
    128: ("FL", "FR", "FC", "LFE", "SL", "SR", "BL", "BR"), 131: ("FL", "FR", "BC"), 132: ("FL", "FR", "BL", "BR"),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """The layout of a file's channels, as far as it is known.

    places: FFmpeg's name of each channel's place (FL, FR, FC, LFE …), () if unknown; ambisonic: the channels are
    a sound field's spherical components, the first is the omnidirectional W.
    """

    places: tuple[str, ...] = ()
    ambisonic: bool = False

    @property
    def name(self) -> str:
        """FFmpeg's, where there is one: "5.1"; else the places, "FL+FR+BC"; "" of an unknown one."""
        mask = sum(1 << _PLACES.index(place) for place in self.places)
        return next((name for name, other in _NAMED.items() if other == mask), "+".join(self.places))


def layout_of(path: str | os.PathLike, channels: int, named: str = "") -> Layout:
    """The layout of a file of so many channels, from its name, its header, and its decoder.

    named: FFmpeg's name of the layout, where FFmpeg decodes it. Nothing is guessed from the number of channels alone,
    but where the format says what it means.

    Raises:
        OSError: the file cannot be read.
    """
    path = Path(path)
    if channels == 1:
        return Layout(("FC",))
    found = _named(named, channels) if named else _written(path, channels)
    spherical = path.suffix.lower() == ".amb" or _AMBISONIC_NAME.search(path.stem)
    if found.ambisonic or (channels in _SPHERICAL and spherical):
        return Layout(ambisonic=True)
    if channels == 2:
        return found if found.places else Layout(("FL", "FR"))
    return found


def _named(name: str, channels: int) -> Layout:
    if name.startswith("ambisonic"):
        return Layout(ambisonic=True)
    if name in _NAMED:
        return _masked(_NAMED[name], channels)
    places = tuple(re.sub(r"^\d+ channels \((.*)\)$", r"\1", name).split("+"))
    known = len(places) == channels == len(set(places)) and set(places) <= set(_PLACES)
    return Layout(places) if known else Layout()


def _masked(mask: int, channels: int) -> Layout:
    places = tuple(place for bit, place in enumerate(_PLACES) if mask >> bit & 1)
    return Layout(places) if len(places) == channels else Layout()


def _written(path: Path, channels: int) -> Layout:
    with open(path, "rb") as file:
        head = file.read(64)
        file.seek(0)
        if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
            return _of_wave(file, channels, ">" if head[:4] == b"RIFX" else "<")
        if head[:4] == b"fLaC":
            return _of_flac(file, channels)
        if head[:4] == b"OggS":
            # Opus says what its channels are: 2 and 3 are sound fields, 255 is unknown (RFC 7845, 5.1.1; RFC 8486).
            family = head[46] if head[28:36] == b"OpusHead" else 1
            return Layout(ambisonic=family in (2, 3)) if family > 1 else _masked(_BY_NUMBER.get(channels, 0), channels)
        if head[:4] == b"caff":
            return _of_core_audio(find_chunk(file, b"chan", 8, ">Q", 1), channels)
        if head[:4] == b"FORM":
            return _of_core_audio(find_chunk(file, b"CHAN", 12, ">I"), channels)
    return Layout()


def _of_wave(file: BinaryIO, channels: int, order: str) -> Layout:
    format_chunk = find_chunk(file, b"fmt ", 12, f"{order}I")
    tracks = find_chunk(file, b"iXML", 12, f"{order}I")
    extensible = len(format_chunk) >= 40 and struct.unpack(f"{order}H", format_chunk[:2])[0] == _EXTENSIBLE
    field = extensible and format_chunk[28:40] == _B_FORMAT
    if field or (channels in _SPHERICAL and _AMBISONIC_TRACKS.search(tracks)):
        return Layout(ambisonic=True)
    return _masked(struct.unpack(f"{order}I", format_chunk[20:24])[0], channels) if extensible else Layout()


def _of_flac(file: BinaryIO, channels: int) -> Layout:
    file.seek(4)
    last, mask = False, _BY_NUMBER.get(channels, 0)
    while not last and len(head := file.read(4)) == 4:
        last, kind, size = head[0] >> 7, head[0] & 0x7F, int.from_bytes(head[1:])
        block = file.read(size)
        found = re.search(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9a-f]{1,8})", block, re.IGNORECASE)
        if kind == 4 and found:  # the comments
            mask = int(found[1], 16)
    return _masked(mask, channels)


def _of_core_audio(chunk: bytes, channels: int) -> Layout:
    if len(chunk) < 8:
        return Layout()
    tag, mask = struct.unpack(">II", chunk[:8])
    if tag == _CORE_BITMAP:
        return _masked(mask, channels)
    if tag >> 16 in _CORE_SPHERICAL:
        return Layout(ambisonic=True)
    places = _CORE_TAGS.get(tag >> 16, ())
    return Layout(places) if len(places) == channels == tag & 0xFFFF else Layout()


MIX, FIRST, LEFT, RIGHT, EACH = "mix", "first", "left", "right", "each"
_CHOICES = (MIX, FIRST, LEFT, RIGHT, EACH)
MOST_CHANNELS = 1024
# One channel of three in front and two behind (ITU-R BS.775-3, annex 4, table 2, 1/0): the front pair at -3 dB, the
# centre as it is, what comes from behind at -6 dB, one speaker behind for two of them at -3 dB, no low effects. What
# the table does not know follows it: heights as what is behind, speakers between front and centre as the front.
_FRONT, _BEHIND = math.sqrt(0.5), 0.5
_WEIGHTS = {"FC": 1.0, "LFE": 0.0, "BC": _FRONT, "TC": _FRONT, "TFC": _FRONT, "TBC": _FRONT}
_WEIGHTS |= dict.fromkeys(("FL", "FR", "FLC", "FRC"), _FRONT)
_WEIGHTS |= dict.fromkeys(("BL", "BR", "SL", "SR", "TFL", "TFR", "TBL", "TBR"), _BEHIND)


class NoSuchChannel(Exception):
    """Raised, with what a file has, where it has no channel as asked for."""


@dataclass(frozen=True)
class Downmix:
    """Weights of the channels, [C], that add up to 1; `note`: what the file's owner may want to know of them."""

    weights: tuple[float, ...]
    note: str = ""

    @property
    def only(self) -> int | None:
        """The one channel that is taken, if it is one."""
        taken = [number for number, weight in enumerate(self.weights) if weight]
        return taken[0] if len(taken) == 1 else None

    def of(self, block: np.ndarray) -> np.ndarray:
        """Samples [C, n] → float32 [n]."""
        if self.only is not None:
            return block[self.only]
        if len(set(self.weights)) == 1:
            return block.mean(axis=0, dtype=np.float32)
        return (np.array(self.weights)[:, None] * block).sum(0).astype(np.float32)


def chosen(value: object) -> str:
    """`data.channels` as text: one of mix, first, left, right, each, or a number from 1. Raises UserError."""
    text = str(value).strip().lower()
    if isinstance(value, bool) or not isinstance(value, str | int):
        text = ""
    if text in _CHOICES:
        return text
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_CHANNELS:
        return str(int(text))
    raise UserError(f"data.channels={value} must be {', '.join(_CHOICES)}, or the number of a channel, counted from 1")


def downmix(layout: Layout, channels: int, choice: str) -> Downmix:
    """The mix of `channels` to one, as `chosen` returns it (but each).

    mix: a sound field's omnidirectional W; loudspeakers by ITU-R BS.775 without low effects; the mean of channels of
    unknown layout. left, right: by the layout, of an unknown one the first and second; mono is both.

    Raises:
        NoSuchChannel: it has no such channel.
    """
    if choice == MIX:
        return _mix(layout, channels)
    number = 0
    if choice in (LEFT, RIGHT):
        number = _side(layout, channels, choice)
    elif choice != FIRST:
        number = int(choice) - 1
    if number is None or number >= channels:
        has = "1 channel" if channels == 1 else f"{channels} channels"
        name = f" ({layout.name})" if layout.name and channels > 2 else " (ambisonic)" if layout.ambisonic else ""
        raise NoSuchChannel(f"it has {has}{name}")
    return Downmix(_one(number, channels))


def _mix(layout: Layout, channels: int) -> Downmix:
    mean = (1.0 / channels,) * channels
    if layout.ambisonic:
        return Downmix(_one(0, channels), "ambisonic: its omnidirectional channel W")
    if channels <= 2:
        return Downmix(mean)
    if layout.places:
        weights = [_WEIGHTS[place] for place in layout.places]
        left_out = " without low effects" if "LFE" in layout.places else ""
        total = sum(weights)
        scaled = tuple(weight / total for weight in weights) if total else mean
        return Downmix(scaled, f"{layout.name}: mixed by ITU-R BS.775{left_out}")
    return Downmix(
        mean, f"{channels} channels, nothing says of what: their mean is learnt (data.channels takes one, or each)"
    )


def _side(layout: Layout, channels: int, side: str) -> int | None:
    if channels == 1:
        return 0
    if layout.ambisonic:
        return None
    place = "FL" if side == LEFT else "FR"
    if layout.places:
        return layout.places.index(place) if place in layout.places else None
    return 0 if side == LEFT else 1


def _one(number: int, channels: int) -> tuple[float, ...]:
    return tuple(float(at == number) for at in range(channels))
