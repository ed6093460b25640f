"""Reading sound files of any kind as one stream of float32 samples: libsndfile or FFmpeg decode, soxr resamples.

A file is a plan of parts, decoded one after the other, each by the decoder that knows it.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr

from distillgan.audio import containers, media, mpeg
from distillgan.audio.containers import Part, Plan, Splice, Window
from distillgan.errors import UserError, printable

__all__ = ["AudioFileError", "AudioSource", "iter_audio", "open_audio", "printable", "read_blocks", "resample"]

_UNKNOWN_FORMAT, _MALFORMED = 1, 3
_BOXES = (b"OggS", b"RIFF", b"RIFX", b"RF64", b"caff", b"FORM")
# libsndfile says of any content that turns out not to be MPEG audio that the file does not exist.
_MISLEADING = {7: "there is no audio in it", 29: "damaged audio data"}
# Of these libsndfile's count is no promise: a guess by the bit rate, or a clock that runs since a broadcast began.
_GUESSED = ("MPEG_LAYER_I", "MPEG_LAYER_II", "VORBIS", "OPUS")
_READ = 1 << 18  # samples of all channels decoded at once
_ENDLESS = 1 << 62  # libsndfile's count of samples where a header has none


class AudioFileError(UserError):
    """One audio file that cannot be used: `path`, `reason`, and whether the next try might do better (`transient`)."""

    def __init__(self, path: str | os.PathLike, reason: str, transient: bool = False):
        super().__init__(f"{printable(path)}: {reason}")
        self.path, self.reason, self.transient = path, reason, transient

    @classmethod
    def from_os(cls, path: str | os.PathLike, error: OSError) -> "AudioFileError":
        """For what the operating system refuses: a missing file, a folder, no permission, a failing disk."""
        remedy = ": check its access rights" if isinstance(error, PermissionError) else ""
        return cls(path, f"unreadable: {(error.strerror or str(error)).lower()}{remedy}", transient=True)


class _Sndfile(sf.SoundFile):
    """libsndfile's stream without seeking: soundfile seeks to where it is after every read, where that is possible.

    After a seek an MP3 decoder lacks what earlier frames left over for the next ones, and its first frames are other
    sound (8000 samples and more of each block, by libsndfile 1.2.2); in a FLAC of unknown length the last seek fails.
    """

    def seekable(self) -> bool:
        return False


class _SndfileStream:
    """A part by libsndfile, as `MediaStream` is one by FFmpeg: `frames` is None where the header has no length.

    `failure`: libsndfile's message, once it gave up before the end.
    """

    layout, slack, failure = "", 0, ""

    def __init__(self, file, order: tuple[int, ...]):
        """Raises LibsndfileError."""
        self._file, self._order = _Sndfile(file), list(order)
        self.samplerate, self.channels = self._file.samplerate, self._file.channels
        self.format, self.subtype, self.comment = self._file.format, self._file.subtype, self._file.comment
        self.frames = self._file.frames if self._file.frames < _ENDLESS else None
        self.notes: list[str] = []

    def close(self) -> None:
        self._file.close()

    def read(self, count: int) -> np.ndarray:
        """The next samples, float32 [n, C], n = count but at the end, or where the data is damaged."""
        if self.failure:
            return np.zeros((0, self.channels), np.float32)
        block = np.full((count, self.channels), np.nan, np.float32)
        try:
            block = self._file.read(out=block)
        except sf.LibsndfileError as error:
            self.failure = _words(error)
            # It does not say how many samples came before that: those that are not as they were.
            untouched = np.isnan(block).any(axis=1)
            block = block[: int(untouched.argmax())] if untouched.any() else block
        return block[:, self._order] if self._order else block


class AudioSource:
    """An open audio file, read from its first sample to its last, whatever its header says.

    Attributes:
        samplerate: Hz; of joined recordings the highest.
        channels: in WAV's order (FL FR FC LFE BL BR …), as they were coded; of joined recordings the most.
        frames: samples a channel, as far as that is known before they are read: None where no header has them.
        layout: FFmpeg's name of the channels' layout, "" where libsndfile reads.
        format, subtype, comment: what the decoder calls it, and its tag.
        notes: what its owner may want to know; complete once all is read.
    """

    def __init__(self, path: Path, file: BinaryIO):
        """Raises AudioFileError."""
        self.path, self._file = path, file
        window = Window(file)
        self._head = window.at(0, 32)
        plan = self._plan(window)
        self.notes = list(plan.notes)
        self._probe(plan.parts or [Part([(0, window.size)])])
        if plan.promised is not None:
            self.frames = plan.promised
        self._promised, self._cut = self.frames, plan.cut
        if plan.stated and self.frames is not None:
            self._promised = self.frames * plan.stated[0] // max(1, plan.stated[1])
        self._decoded, self._damaged = 0, False
        self._blocks, self._rest = self._decode(), np.zeros((0, self.channels), np.float32)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def read(self, count: int) -> np.ndarray:
        """The next `count` samples as float32 [count, C] in -1…1; fewer at the end, and then none.

        Raises:
            AudioFileError: nothing of it can be decoded.
        """
        blocks, have = [self._rest], len(self._rest)
        while have < count and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            have += len(block)
            self._decoded += len(block)
        block = np.concatenate(blocks) if len(blocks) > 2 or len(self._rest) else blocks[-1]
        self._rest = block[count:]
        return block[:count]

    def _plan(self, window: Window) -> Plan:
        if self._head[:4] == b"OggS":
            return containers.ogg_plan(window) or Plan()
        sync = self._head[:3] == b"ID3" or self._head[:1] == b"\xff" or self.path.suffix.lower() == ".mp3"
        return containers.container_plan(window) or (mpeg.plan(window) if sync else None) or Plan()

    def _probe(self, parts: list[Part]) -> None:
        """Open each part for what is to be known of it; a single one stays open. What cannot be decoded is noted."""
        self._parts, self._stream, facts = [], None, []
        for number, part in enumerate(parts, 1):
            try:
                stream = self._open(part)
            except AudioFileError as error:
                if number == len(parts) and not facts:
                    raise
                self.notes.append(f"part {number} of {len(parts)} is left out: {error.reason}")
                continue
            if not facts:
                self.format, self.subtype = stream.format, stream.subtype
                self.comment, self.layout = stream.comment, stream.layout
            facts.append((stream.samplerate, stream.channels, stream.frames))
            self._parts.append(part)
            if len(parts) == 1:
                self._stream = stream
            else:
                stream.close()
        rates, channels, frames = zip(*facts, strict=True)
        self.samplerate, self.channels = max(rates), max(channels)
        known = all(count is not None for count in frames)
        self.frames = sum(round(n * self.samplerate / r) for n, r in zip(frames, rates, strict=True)) if known else None
        if len(set(rates)) > 1:
            words = ", ".join(f"{rate / 1000:g}" for rate in sorted(set(rates)))
            self.notes.append(f"its parts have {words} kHz: resampled to {self.samplerate / 1000:g} kHz")
        if len(set(channels)) > 1:
            self.notes.append(f"its parts have {', '.join(map(str, sorted(set(channels))))} channels")

    def _open(self, part: Part) -> "_SndfileStream | media.MediaStream":
        # Through the open file: libsndfile looks for more beside a path, and takes what macOS leaves there for it.
        data = Splice(self._file, part.pieces)
        beside = os.fsencode(self.path) if self.path.suffix.lower() == ".sd2" else None
        try:
            stream = _SndfileStream(beside or data, part.order)
        except sf.LibsndfileError as error:
            self._check(data)
            data = Splice(self._file, part.pieces)
            stream = self._by_media(data, error)
        self._data = data
        return stream

    def _check(self, data: Splice) -> None:
        if data.error is not None:
            raise AudioFileError.from_os(self.path, data.error) from data.error

    def _by_media(self, data: Splice, error: sf.LibsndfileError) -> media.MediaStream:
        """Raises AudioFileError."""
        words = f"{_words(error)} (libsndfile)"
        kind = media.kind(self._head, self.path.suffix)
        if media.available():
            try:
                return media.MediaStream(data)
            except media.Unreadable as refusal:
                why = f"{refusal} (FFmpeg)" if kind else words
                extra = False
        else:
            # Speex and FLAC in Ogg, ALAC in CAF and the like: libsndfile knows the box and not what is in it.
            boxed = self._head[:4] in _BOXES and error.code not in (_UNKNOWN_FORMAT, _MALFORMED)
            why = f"libsndfile has no decoder for {kind}" if kind else words
            extra = bool(kind) or boxed
        remedy = f"{media.EXTRA}, or export it as wav or flac" if extra else "export it again as wav or flac"
        # With the extra, or another version of it, the next try may do better.
        raise AudioFileError(self.path, f"unreadable: {why}: {remedy}", transient=bool(kind) or extra) from error

    def _decode(self) -> Iterator[np.ndarray]:
        """Blocks [n, C] of all parts at the common rate, some of them empty; after the last the notes are complete."""
        nothing, size = np.zeros((0, self.channels), np.float32), max(1, _READ // self.channels)
        resampler, rate = None, self.samplerate
        for number, part in enumerate(self._parts, 1):
            stream = self._stream = self._stream or self._open(part)
            while True:
                block = stream.read(size)
                self._check(self._data)
                if not len(block):
                    break
                if stream.samplerate != rate:
                    if resampler is not None:
                        yield resampler.resample_chunk(nothing, last=True)
                    resampler, rate = self._resampler(stream.samplerate), stream.samplerate
                block = _fitted(block, self.channels)
                yield block if resampler is None else resampler.resample_chunk(np.ascontiguousarray(block))
            self._part_ended(stream, len(self._parts) - number)
            self.close()
        if resampler is not None:
            yield resampler.resample_chunk(nothing, last=True)
        self._note_end()

    def _resampler(self, rate: int) -> soxr.ResampleStream | None:
        if rate == self.samplerate:
            return None
        return soxr.ResampleStream(rate, self.samplerate, self.channels, dtype="float32", quality="VHQ")

    def _part_ended(self, stream: "_SndfileStream | media.MediaStream", left: int) -> None:
        self.notes += stream.notes
        self._slack = stream.slack
        if not stream.failure:
            return
        if not self._decoded:
            raise AudioFileError(
                self.path, f"unreadable: {stream.failure} (libsndfile): export it again as wav or flac"
            )
        at = self._decoded / self.samplerate
        if left or not self._data.reached_end:
            self._damaged = True
            self.notes.append(f"damaged at {at:.2f} s: what follows{' in that part' * bool(left)} is left out")
        elif self._promised is None:
            self.notes.append(f"cut short at {at:.2f} s")

    def _note_end(self) -> None:
        early = self._promised is not None and self._decoded < self._promised - self._slack
        if self._cut:
            self.notes.append(f"cut short at {self._decoded / self.samplerate:.2f} s: {self._cut}")
        elif early and not self._damaged and self.subtype not in _GUESSED:
            seconds, promised = self._decoded / self.samplerate, self._promised / self.samplerate
            self.notes.append(f"ends early: {seconds:.2f} s of the {promised:.2f} s its header promises")


def _fitted(block: np.ndarray, channels: int) -> np.ndarray:
    """[n, c] with other channels: one is put on all, others stay where they are; of too many for one the mean."""
    found = block.shape[1]
    if found == channels:
        return block
    if found == 1:
        return np.repeat(block, channels, axis=1)
    if channels == 1:
        return block.mean(axis=1, keepdims=True)
    return np.pad(block, ((0, 0), (0, max(0, channels - found))))[:, :channels]


def _words(error: sf.LibsndfileError) -> str:
    return _MISLEADING.get(error.code, error.error_string.removeprefix("Error : ").rstrip("."))


@contextmanager
def open_audio(path: str | os.PathLike) -> Iterator[AudioSource]:
    """The open file, for reading from its first sample to its last, whatever its header says.

    Raises:
        AudioFileError: the file is missing, may not be read, is not audio, or wants the extra `media`.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            if not file.read(1):
                raise AudioFileError(path, "empty: the file has 0 bytes")
            if path.suffix.lower() == ".raw":
                raise AudioFileError(path, "unreadable: raw samples carry no sample rate: convert to wav or flac")
            source = AudioSource(path, file)
        except OSError as error:
            raise AudioFileError.from_os(path, error) from error
        stack.callback(source.close)
        yield source


def read_blocks(source: AudioSource, block: int) -> Iterator[np.ndarray]:
    """The rest of an open file as float32 [C, n], n = `block` samples but for the last; none of them is empty."""
    while len(frames := source.read(block)):
        yield frames.T


def iter_audio(path: str | os.PathLike, block: int) -> Iterator[np.ndarray]:
    """The file as float32 blocks [C, n] in -1…1 at its own rate, n = `block` samples but for the last.

    Raises:
        AudioFileError: as `open_audio`, also where nothing of it can be decoded.
    """
    with open_audio(path) as source:
        yield from read_blocks(source, block)


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """float32 [C, N] at `from_rate` Hz → float32 [C, about N · to_rate / from_rate] at `to_rate` Hz (soxr VHQ)."""
    if from_rate == to_rate:
        return wave
    frames = np.ascontiguousarray(wave.T, dtype=np.float32)
    return np.ascontiguousarray(soxr.resample(frames, from_rate, to_rate, quality="VHQ").T)
