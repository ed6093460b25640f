"""One audio file → mono float32 at the corpus's rate, block by block, with its levels and its audio hash."""

import hashlib
import os
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import soxr

from distillgan.audio.io import AudioFileError, open_audio, read_blocks
from distillgan.audio.layouts import layout_of
from distillgan.data.band import NONE, BandMeter
from distillgan.data.downmix import MIX, Downmix, NoSuchChannel, downmix
from distillgan.data.generated import is_generated
from distillgan.data.loudness import LevelMeter, to_db
from distillgan.data.survey import Correction, Survey

# Part of every cache key: raise it whenever the same file would decode to something else.
DECODER_VERSION = 2

SHORTEST_SECONDS = 0.05
SILENT_DBFS = -80.0
_RATES = (1000, 768000)
_BLOCK = 2**18
# Far past any float file's scale; beyond it the filters would overflow to infinity.
_LARGEST = 1e12


@dataclass(frozen=True)
class Sound:
    """What is known of a decoded file. Levels in dBFS of the mono sound at the corpus's rate, before any gain.

    `frames` is at the corpus's rate, `seconds` by the source's own clock. `reason` is empty for a usable sound;
    otherwise it says why there is none and only the fields known by then are filled. `note` tells of a usable
    file what its owner may want to know. `audio_hash` is over the decoded mono samples and their rate. `generated`:
    distillgan made it itself. `band_limit_hz`: above it the file holds nothing, 0 if it goes all the way up.
    """

    frames: int = 0
    seconds: float = 0.0
    source_rate: int = 0
    channels: int = 0
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    loudest_dbfs: float | None = None
    audio_hash: str = ""
    reason: str = ""
    note: str = ""
    generated: bool = False
    band_limit_hz: float = NONE


class Unusable(Exception):
    """Carries the `Sound` whose `reason` says why the file's content cannot be used: a property of the content."""

    def __init__(self, sound: Sound):
        super().__init__(sound.reason)
        self.sound = sound


def decode(path: str | os.PathLike, out: BinaryIO, rate: int, channels: str = MIX) -> Sound:
    """Write one channel at `rate` Hz to `out` (empty, seekable) as a float32 .npy [N].

    channels: which one, as `data.downmix` has it, or how all become one: where they cancel each other, the strongest
    alone. A DC offset is taken away, be it one for the whole file or one that moves (`data.survey`).

    Raises:
        Unusable: the content has no usable sound, or no such channel.
        AudioFileError: the file could not be read this time.
        OSError: `out` could not be written.
    """
    try:
        sound, correction = _decode(path, out, rate, channels, None)
        if correction is not None:
            out.seek(0)
            out.truncate()
            sound, _ = _decode(path, out, rate, channels, correction)
    except AudioFileError as error:
        if error.transient:
            raise
        raise Unusable(Sound(reason=error.reason)) from error
    if sound.peak_dbfs < SILENT_DBFS:
        reason = f"silent: its peak is {sound.peak_dbfs:.1f} dBFS, the limit {SILENT_DBFS:.0f} dBFS"
        if correction is not None and correction.offsets is not None:
            reason = f"silent: there is nothing but {correction.notes[0].removesuffix(' is taken away')}"
        raise Unusable(replace(sound, reason=reason, note="", band_limit_hz=NONE))
    return sound


def _decode(
    path: str | os.PathLike, out: BinaryIO, rate: int, channels: str, correction: Correction | None
) -> tuple[Sound, Correction | None]:
    """One pass; without a correction it says at the end whether one is wanted."""
    with open_audio(path) as file:
        source_rate = file.samplerate
        facts = {"source_rate": source_rate, "channels": file.channels}
        if not _RATES[0] <= source_rate <= _RATES[1]:
            limits = f"{_RATES[0]} to {_RATES[1]} Hz are possible"
            raise Unusable(Sound(**facts, reason=f"unreadable: a sample rate of {source_rate} Hz, {limits}"))
        mix = _downmix(path, file, facts, channels)
        weights = np.array(mix.weights)
        promised, count = file.frames or 0, 0
        survey = Survey(source_rate, file.channels, promised) if correction is None else None
        audio_hash = hashlib.sha256(f"{source_rate} Hz".encode())
        meters = levels, band = LevelMeter(rate), BandMeter(rate)
        _write_header(out, 0)
        resampler = None
        if source_rate != rate:
            resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
        for block in read_blocks(file, max(1, _BLOCK // file.channels)):
            block = np.ascontiguousarray(block)
            # Written so that NaN fails it. All channels count: the mono signal may leave out the broken one.
            if not np.abs(block).max() <= _LARGEST:
                at = (count + int((~(np.abs(block) <= _LARGEST)).any(axis=0).argmax())) / source_rate
                raise Unusable(Sound(**facts, reason=f"NaN or infinite samples, the first at {at:.3f} s"))
            if correction is None:
                mono = _mixed(block, mix)
                survey.add(block, mono)
            else:
                mono = correction.applied(block, count, weights)
            count += len(mono)
            audio_hash.update(mono)
            _append(out, meters, resampler.resample_chunk(mono) if resampler else mono)
        if resampler:
            _append(out, meters, resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    seconds = count / source_rate
    facts["seconds"] = seconds
    if not count:
        raise Unusable(Sound(**facts, reason="empty: it holds no samples"))
    if seconds < SHORTEST_SECONDS:
        limit = f"{SHORTEST_SECONDS * 1000:.0f} ms are the least"
        raise Unusable(Sound(**facts, reason=f"too short: {seconds * 1000:.1f} ms, {limit}"))
    out.seek(0)
    _write_header(out, levels.frames)
    notes = [mix.note, *(correction.notes if correction else ())]
    if count < promised:
        notes.append(f"ends early: {seconds:.2f} s of the {promised / source_rate:.2f} s its header promises")
    sound = Sound(
        **facts,
        frames=levels.frames,
        peak_dbfs=to_db(levels.peak),
        rms_dbfs=to_db(levels.rms),
        loudest_dbfs=to_db(levels.loudest),
        audio_hash=audio_hash.hexdigest(),
        note="; ".join(filter(None, notes)),
        generated=is_generated(path),
        band_limit_hz=band.limit(source_rate),
    )
    return sound, survey.correction(weights, channels == MIX) if survey else None


def _downmix(path: str | os.PathLike, file: object, facts: dict, channels: str) -> Downmix:
    """What is learnt of an open file's channels. Raises Unusable if it has no such channel."""
    layout = layout_of(path, facts["channels"], getattr(file, "layout", ""))
    try:
        return downmix(layout, facts["channels"], channels)
    except NoSuchChannel as none:
        raise Unusable(Sound(**facts, reason=f"no channel for data.channels={channels}: {none}")) from none


def _mixed(block: np.ndarray, mix: Downmix) -> np.ndarray:
    """Samples [C, n] → float32 [n]."""
    if mix.only is not None:
        return block[mix.only]
    if mix.even:
        return block.mean(axis=0, dtype=np.float32)
    return (np.array(mix.weights)[:, None] * block).sum(0).astype(np.float32)


def _append(out: BinaryIO, meters: tuple[LevelMeter, BandMeter], samples: np.ndarray) -> None:
    for meter in meters:
        meter.add(samples)
    out.write(np.ascontiguousarray(samples, dtype="<f4"))


def _write_header(out: BinaryIO, frames: int) -> None:
    """The .npy header; numpy leaves room for any `frames`, so that its length is always the same."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (frames,)}
    np.lib.format.write_array_header_1_0(out, header)
