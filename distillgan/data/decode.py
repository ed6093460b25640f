"""One audio file → mono float32 at the corpus's rate, block by block, with its levels and its audio hash."""

import hashlib
import os
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import soxr

from distillgan.audio.io import AudioFileError, open_audio, read_blocks
from distillgan.audio.loudness import LOWEST_RATE, Meter
from distillgan.data.generated import is_generated
from distillgan.data.loudness import LevelMeter, to_db

# Part of every cache key: raise it whenever the same file would decode to something else.
DECODER_VERSION = 1

SHORTEST_SECONDS = 0.05
SILENT_DBFS = -80.0
_CANCEL_DB = -12.0
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
    distillgan made it itself. `lufs` is how loud the file is, before any gain, integrated and heard from two
    loudspeakers: its two channels, or the mono sound from both; None for what never comes over -70 LUFS.
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
    lufs: float | None = None


class Unusable(Exception):
    """Carries the `Sound` whose `reason` says why the file's content cannot be used: a property of the content."""

    def __init__(self, sound: Sound):
        super().__init__(sound.reason)
        self.sound = sound


def decode(path: str | os.PathLike, out: BinaryIO, rate: int) -> Sound:
    """Write the mono mix at `rate` Hz to `out` (empty, seekable) as a float32 .npy [N].

    The mix is the mean of the channels, except where they cancel each other: then the strongest channel alone.

    Raises:
        Unusable: the content has no usable sound.
        AudioFileError: the file could not be read this time.
        OSError: `out` could not be written.
    """
    try:
        sound, powers, mix_power = _decode(path, out, rate, channel=None)
        if mix_power < 10 ** (_CANCEL_DB / 10) * powers.mean():
            strongest = int(powers.argmax())
            lost = 10 * np.log10(powers.mean() / mix_power) if mix_power else np.inf
            out.seek(0)
            out.truncate()
            loss = f"is {lost:.0f} dB quieter" if lost < 100 else "is silent"
            note = f"its channels cancel out (the mono mix {loss}): channel {strongest + 1} is used alone"
            sound, _, _ = _decode(path, out, rate, channel=strongest, note=note)
    except AudioFileError as error:
        if error.transient:
            raise
        raise Unusable(Sound(reason=error.reason)) from error
    if sound.peak_dbfs < SILENT_DBFS:
        reason = f"silent: its peak is {sound.peak_dbfs:.1f} dBFS, the limit {SILENT_DBFS:.0f} dBFS"
        raise Unusable(replace(sound, reason=reason))
    return sound


def _decode(
    path: str | os.PathLike, out: BinaryIO, rate: int, channel: int | None, note: str = ""
) -> tuple[Sound, np.ndarray, float]:
    """One pass → the sound, the power of each channel [C] and the power of the mono signal (sums of squares)."""
    with open_audio(path) as file:
        source_rate, channels = file.samplerate, file.channels
        facts = {"source_rate": source_rate, "channels": channels}
        if not _RATES[0] <= source_rate <= _RATES[1]:
            limits = f"{_RATES[0]} to {_RATES[1]} Hz are possible"
            raise Unusable(Sound(**facts, reason=f"unreadable: a sample rate of {source_rate} Hz, {limits}"))
        promised, count, mono_power = file.frames, 0, 0.0
        powers = np.zeros(channels)
        audio_hash = hashlib.sha256(f"{source_rate} Hz".encode())
        meter = LevelMeter(rate)
        stereo = channels == 2 and channel is None and source_rate >= LOWEST_RATE
        loudness = Meter(source_rate, 2) if stereo else Meter(rate, 1)
        _write_header(out, 0)
        resampler = None
        if source_rate != rate:
            resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
        for block in read_blocks(file, max(1, _BLOCK // channels)):
            block = np.ascontiguousarray(block)
            # Written so that NaN fails it. All channels count: the mono signal may leave out the broken one.
            if not np.abs(block).max() <= _LARGEST:
                at = (count + int((~(np.abs(block) <= _LARGEST)).any(axis=0).argmax())) / source_rate
                raise Unusable(Sound(**facts, reason=f"NaN or infinite samples, the first at {at:.3f} s"))
            mono = block.mean(axis=0, dtype=np.float32) if channel is None else block[channel]
            count += len(mono)
            powers += np.einsum("cn,cn->c", block, block, dtype=np.float64)
            mono_power += float(np.einsum("n,n->", mono, mono, dtype=np.float64))
            audio_hash.update(mono)
            resampled = resampler.resample_chunk(mono) if resampler else mono
            _append(out, meter, resampled)
            loudness.add(block if stereo else resampled[None])
        if resampler:
            _append(out, meter, resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    lufs = loudness.lufs()
    seconds = count / source_rate
    facts["seconds"] = seconds
    if not count:
        raise Unusable(Sound(**facts, reason="empty: it holds no samples"))
    if seconds < SHORTEST_SECONDS:
        limit = f"{SHORTEST_SECONDS * 1000:.0f} ms are the least"
        raise Unusable(Sound(**facts, reason=f"too short: {seconds * 1000:.1f} ms, {limit}"))
    out.seek(0)
    _write_header(out, meter.frames)
    if count < promised:
        early = f"ends early: {seconds:.2f} s of the {promised / source_rate:.2f} s its header promises"
        note = "; ".join(filter(None, [note, early]))
    sound = Sound(
        **facts,
        frames=meter.frames,
        peak_dbfs=to_db(meter.peak),
        rms_dbfs=to_db(meter.rms),
        loudest_dbfs=to_db(meter.loudest),
        audio_hash=audio_hash.hexdigest(),
        note=note,
        generated=is_generated(path),
        lufs=round(lufs, 2) if np.isfinite(lufs) else None,
    )
    return sound, powers, mono_power


def _append(out: BinaryIO, meter: LevelMeter, samples: np.ndarray) -> None:
    meter.add(samples)
    out.write(np.ascontiguousarray(samples, dtype="<f4"))


def _write_header(out: BinaryIO, frames: int) -> None:
    """The .npy header; numpy leaves room for any `frames`, so that its length is always the same."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (frames,)}
    np.lib.format.write_array_header_1_0(out, header)
