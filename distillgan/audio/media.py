"""Decoding of what libsndfile cannot, through PyAV (FFmpeg): films, phones' and messengers' formats, Ogg FLAC, ALAC.

PyAV is the optional extra `media`; this module alone imports it, and only when such a file is opened.
"""

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

EXTRA = "pip install 'distillgan[media]'"
# What libsndfile has no decoder for, as people call it.
FORMATS = {
    ".m4a": "AAC or ALAC", ".m4b": "AAC", ".m4p": "AAC", ".m4r": "AAC", ".aac": "AAC", ".alac": "ALAC",
    ".wma": "WMA", ".asf": "WMA", ".wmv": "WMA", ".ape": "Monkey's Audio", ".wv": "WavPack", ".mpc": "Musepack",
    ".tta": "TTA", ".tak": "TAK", ".dsf": "DSD", ".dff": "DSD", ".ra": "RealAudio", ".amr": "AMR", ".awb": "AMR",
    ".ac3": "AC-3", ".eac3": "E-AC-3", ".dts": "DTS", ".spx": "Speex",
    ".mp4": "MP4", ".m4v": "MP4", ".mov": "QuickTime", ".3gp": "3GP", ".3g2": "3GP", ".mkv": "Matroska",
    ".mka": "Matroska", ".webm": "WebM", ".weba": "WebM", ".avi": "AVI",
}  # fmt: skip
# Nothing that plays what other files or addresses hold, as play lists do: a recording is read, and nothing else.
_DEMUXERS = (
    "aac,ac3,eac3,aiff,alac,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,flac,iff,matroska,webm,mov,mp4,m4a,3gp,3g2,mp3,mpc,"
    "mpc8,ogg,rm,tak,tta,w64,wav,wv"
)
# Where the header has the length of the sound. Elsewhere FFmpeg guesses by the bit rate, or counts padding.
_EXACT = ("mov", "wv", "ape", "tta", "flac", "wav", "aiff")
_PADDING = 4096  # samples that an encoder adds, at most, to fill its last packet
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")  # that one begins with
_LARGEST_MOOV = 1 << 24
_SIGNS = {
    b"\x1a\x45\xdf\xa3": "Matroska", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "WMA", b"#!AMR": "AMR", b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio", b"\x0b\x77": "AC-3", b"TTA": "TTA", b"\xff\xf1": "AAC", b"\xff\xf9": "AAC",
}  # fmt: skip


class Unreadable(Exception):
    """Raised, with the reason, where FFmpeg cannot read a file either."""


def available() -> bool:
    """Whether the extra is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def kind(head: bytes, suffix: str) -> str:
    """The kind of a file by its first bytes, or by its name, if that is one of FORMATS; else ""."""
    if head[4:8] in _MP4_BOXES:
        return FORMATS.get(suffix.lower(), "MP4")
    by_sign = next((words for sign, words in _SIGNS.items() if head.startswith(sign)), "")
    return FORMATS.get(suffix.lower(), by_sign)


class MediaStream:
    """One sound stream of an open file: the default one. Its channels are as they were coded, in WAV order.

    `samplerate` (Hz) and `channels` are those of the sound read last, and may change on the way. `frames`: samples a
    channel that the header announces, None without one. `layout`: FFmpeg's name of the channels' layout.
    Encoder delay and edit lists are honoured by the decoder: the first sample is the first that was recorded. An MP4 of
    fragments mostly has neither: there the first frame of AAC is left out, with which the encoder's transform begins.
    """

    subtype, failure, slack = "", "", _PADDING

    def __init__(self, file: BinaryIO):
        """Raises Unreadable."""
        import av

        self._error = av.error.FFmpegError
        self.notes: list[str] = []
        self._priming = 0  # samples before the recording that the header counts, too
        self._fragmented = _is_fragmented(file)
        try:
            self._container = av.open(file, options={"format_whitelist": _DEMUXERS}, metadata_errors="replace")
        except (self._error, ValueError) as error:
            raise Unreadable(_words(error)) from error
        try:
            self._stream = self._chosen(list(self._container.streams.audio))
            if (self._container.format.name, self._stream.codec_context.name) == ("caf", "alac"):
                # The last packet and the box both say what the packet lacks: FFmpeg would cut it off twice.
                self._stream.codec_context.flags2 |= av.codec.context.Flags2.skip_manual
            self._blocks = self._decoded(av.AudioResampler)
            self._first = next(self._blocks, None)
        except BaseException:
            self.close()
            raise
        if self._first is None:
            self.close()
            raise Unreadable("no sound in it can be decoded")
        self.format = self._container.format.name
        self.comment = self._container.metadata.get("comment", "")
        self._read, self.frames = 0, None
        if self._stream.duration and self.format.partition(",")[0] in _EXACT:
            self.frames = round(self._stream.duration * self._stream.time_base * self.samplerate) - self._priming

    def close(self) -> None:
        self._container.close()

    def read(self, count: int) -> np.ndarray:
        """The next samples as float32 [n, C] in -1…1, n of FFmpeg's own choosing; none at the end."""
        block, self._first = self._first, None
        if block is None:
            block = next(self._blocks, np.zeros((0, self.channels), np.float32))
        over = self._read + len(block) - (self.frames or math.inf)
        self._read += len(block)
        return block[: len(block) - over] if 0 < over < min(_PADDING, len(block)) else block

    def _chosen(self, streams: list):
        if not streams:
            video = any(stream.type == "video" for stream in self._container.streams)
            raise Unreadable("it holds video and no sound" if video else "there is no sound in it")
        default = next((stream for stream in streams if _is_default(stream)), streams[0])
        if len(streams) > 1:
            number = streams.index(default) + 1
            self.notes.append(f"{len(streams)} sound tracks in one file: number {number}, the default one, is used")
        if default.codec_context is None:
            raise Unreadable("its sound is encrypted, or of a kind that FFmpeg does not know")
        return default

    def _decoded(self, resampler: type) -> Iterator[np.ndarray]:
        """Blocks [n, C], packed by FFmpeg as float32, which changes neither channels nor their level."""
        lost, shape, packer = 0, None, None
        for frame in self._frames():
            if frame is None:
                lost += 1
                continue
            found = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
            if found != shape:
                packer, shape = resampler(format="flt"), found
            self.layout, self.channels, self.samplerate = found[1:]
            for packed in packer.resample(frame):
                yield packed.to_ndarray().reshape(-1, self.channels)
        if lost:
            self.notes.append(f"{lost} packets of it are damaged and left out")

    def _frames(self) -> Iterator:
        """The decoded frames; None for a packet that is damaged."""
        packets = self._container.demux(self._stream)
        priming = self._fragmented and self._stream.codec_context.name == "aac"
        while True:
            try:
                packet = next(packets, None)
            except self._error as error:
                self.notes.append(f"it cannot be read to its end: {_words(error)}")
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except self._error:
                yield None
                continue
            if priming:
                priming = False
                early = -round((packet.pts or 0) * packet.time_base * self._stream.codec_context.sample_rate)
                self._priming = early if early > 0 else sum(frame.samples for frame in frames)
                if early <= 0:
                    continue
                # Else there is an edit list, and the decoder has left out what lies before 0.
            yield from frames


def _is_fragmented(file: BinaryIO) -> bool:
    """Whether it is an MP4 of fragments, whose box "moov" has a box "mvex" (ISO/IEC 14496-12, 8.8.1)."""
    found, place = b"", 0
    while place >= 0:
        file.seek(place)
        head = file.read(16)
        size = int.from_bytes(head[8:] if head[:4] == b"\0\0\0\1" else head[:4])
        if head[4:8] == b"moov":
            found = file.read(min(size, _LARGEST_MOOV))
        # Any other kind of file ends it with its first "box".
        place = place + size if size >= 8 and not found and (place or head[4:8] in _MP4_BOXES) else -1
    file.seek(0)
    return b"mvex" in found


def _is_default(stream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
