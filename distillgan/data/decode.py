"""Decoding of a recording: measured, mixed to one channel, resampled to the corpus's rate, its gain computed.

DC offsets are taken away, and where channels cancel each other the strongest is used alone.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from distillgan.audio.io import AudioFileError, open_audio, read_blocks
from distillgan.audio.loudness import LOWEST_RATE, Meter
from distillgan.audio.tags import read_comment
from distillgan.data.band import NONE, BandMeter
from distillgan.data.downmix import MIX, NoSuchChannel, downmix, layout_of

# Part of every cache key: raise it whenever the same file would decode to something else.
DECODER_VERSION = 3
MARK = "distillgan"  # key of the comment of what generate writes

TARGET_DBFS = -20.0
PEAK_LIMIT_DBFS = -1.0
WINDOW_SECONDS = 0.4
_HOPS = 4
SHORTEST_SECONDS = 0.05
SILENT_DBFS = -80.0
_RATES = (1000, 768000)
_READ = 2**18  # samples of all channels together
# Far past any float file's scale; beyond it the filters would overflow to infinity.
_LARGEST = 1e12

# Of the survey of a file's channels.
_BLOCK_SECONDS = (0.01, 0.1)  # shorter ones of a short file, of which there are to be ten
_BLOCKS = 10
_AROUND = 5  # blocks on each side that the offset of one is taken from, together a second
_STEADY = 0.3  # share by which an offset may move and still be one for the whole file
_LEAST_STEADY_DB, _LEAST_MOVING_DB = -36.0, -26.0  # of the loudest block: quieter offsets change nothing measured
_LEAST_DBFS = -80.0
_CLEAR = 2.0  # times what the blocks' means differ by themselves
_CANCEL_DB, _SILENT_DB = -12.0, -30.0  # of what the channels would be together if they knew nothing of each other
_GAP = 5  # blocks between two stretches that cancel, and are one
_MARGIN = 2  # blocks before and after a stretch that are mixed as it is


@dataclass(frozen=True)
class Correction:
    """Changes to a file's down-mix.

    block: samples at the file's rate; offsets: what to take away from each channel, at the middle of each block,
    [K, C], or one row for the whole file, None for nothing; weights: of the channels in each block, [K, C], or one row,
    None for those of the down-mix. Between the blocks' middles both move linearly. notes: for the file's owner.
    """

    block: int
    offsets: np.ndarray | None
    weights: np.ndarray | None
    notes: tuple[str, ...]

    def applied(self, block: np.ndarray, start: int, weights: np.ndarray) -> np.ndarray:
        """Samples [C, n] from number `start` of the file on → their mix, float32 [n]."""
        mixed = block.astype(np.float64)
        at = (start + np.arange(block.shape[1])) / self.block - 0.5
        if self.offsets is not None:
            mixed -= _between(self.offsets, at)
        own = weights[:, None] if self.weights is None else _between(self.weights, at)
        return (own * mixed).sum(0).astype(np.float32)


class Survey:
    """Sums over blocks of 0.1 s of a file's channels and their mix, from which a Correction follows.

    rate: Hz; frames: about how many samples will come; a short file has shorter blocks.
    """

    def __init__(self, rate: int, channels: int, frames: int):
        least, most = (max(1, round(seconds * rate)) for seconds in _BLOCK_SECONDS)
        self.block = int(np.clip(frames // _BLOCKS, least, most)) if frames > 0 else most
        self.rate = rate
        self._rest = np.zeros((channels + 1, 0), np.float32)
        self._counts, self._sums, self._squares = [], [], []

    def add(self, block: np.ndarray, mix: np.ndarray) -> None:
        """Samples [C, n] and their mix [n]."""
        rows = np.concatenate([self._rest, np.concatenate([block, mix[None]])], axis=1)
        whole = rows.shape[1] // self.block * self.block
        self._take(rows[:, :whole].reshape(len(rows), -1, self.block))
        self._rest = rows[:, whole:].copy()

    def _take(self, blocks: np.ndarray) -> None:
        """Blocks [C + 1, k, n] are added to what was seen before."""
        self._counts.append(np.full(blocks.shape[1], blocks.shape[2]))
        self._sums.append(blocks.sum(2, dtype=np.float64).T)
        self._squares.append(np.einsum("ckn,ckn->kc", blocks, blocks, dtype=np.float64))

    def correction(self, weights: np.ndarray, several: bool) -> Correction | None:
        """The correction wanted when the channels are mixed by `weights` [C], None if none is.

        several: the weights are our own choice, and where they make silence of sound, the strongest channel is taken.
        """
        if self._rest.shape[1]:
            self._take(self._rest[:, None])
            self._rest = self._rest[:, :0]
        if not self._counts:
            return None
        counts, sums, squares = (np.concatenate(parts) for parts in (self._counts, self._sums, self._squares))
        if len(counts) > 1 and counts[-1] < self.block:  # the rest of a file: too short by itself
            counts, sums, squares = (np.concatenate([p[:-2], p[-2:].sum(0)[None]]) for p in (counts, sums, squares))
        means = sums[:, :-1] / counts[:, None]
        loudest = np.sqrt(np.maximum(squares[:, :-1] / counts[:, None] - means**2, 0).max())
        offsets, notes = _offsets(means, sums.sum(0)[:-1] / counts.sum(), loudest), []
        away = np.zeros_like(means) if offsets is None else np.broadcast_to(offsets, means.shape)
        if offsets is not None:
            notes.append(f"a DC offset of {to_db(np.abs(offsets).max()):.0f} dBFS is taken away")
        powers = np.maximum(squares[:, :-1] - 2 * away * sums[:, :-1] + away**2 * counts[:, None], 0)
        lost = away @ weights
        mixed = np.maximum(squares[:, -1] - 2 * lost * sums[:, -1] + lost**2 * counts, 0)
        switched, words = self._switched(powers, mixed, counts, weights) if several else (None, [])
        if offsets is None and switched is None:
            return None
        return Correction(self.block, offsets, switched, (*notes, *words))

    def _switched(
        self, powers: np.ndarray, mixed: np.ndarray, counts: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray | None, list[str]]:
        """Weights [K, C] or [1, C] and notes on them, None where the mix is right throughout.

        powers [K, C], mixed [K]: sums of squares of the channels, and of their mix. Uncorrelated channels together have
        the half of `expected`, and equal ones all of it.
        """
        expected, total = 2 * powers @ weights**2, powers.sum(0)
        strongest, samples = int(total.argmax()), counts.sum()
        only = np.eye(len(weights))
        if mixed.sum() < _power(_CANCEL_DB) * expected.sum():
            lost = 10 * np.log10(total.mean() / mixed.sum()) if mixed.sum() else np.inf
            loss = f"is {lost:.0f} dB quieter" if lost < 100 else "is silent"
            note = f"its channels cancel out (the mono mix {loss}): channel {strongest + 1} is used alone"
            return only[[strongest]], [note]
        if mixed.sum() < _power(_LEAST_DBFS) * samples < total[strongest]:
            return only[[strongest]], [f"the mix of its channels is silent: channel {strongest + 1} is used alone"]
        sounding = expected > _power(_LEAST_DBFS) * counts
        around = [_summed(values) for values in (mixed, expected)]
        weak = (mixed < _power(_CANCEL_DB) * expected) & (around[0] < _power(_CANCEL_DB) * around[1])
        spans = _spans(sounding & (weak | (mixed < _power(_SILENT_DB) * expected)))
        if not spans:
            return None, []
        switched = np.tile(weights, (len(powers), 1))
        for first, last in spans:
            # Blocks on either side, too: what cancels may begin in the middle of one, and the change is before it.
            switched[max(0, first - _MARGIN) : last + _MARGIN] = only[int(powers[first:last].sum(0).argmax())]
        first, last = (edge * self.block / self.rate for edge in spans[0])
        more = f" and in {len(spans) - 1} more parts" if len(spans) > 1 else ""
        return switched, [f"its channels cancel out from {first:.1f} to {last:.1f} s{more}: the strongest alone there"]


def _offsets(means: np.ndarray, whole: np.ndarray, loudest: float) -> np.ndarray | None:
    """The offset of each channel: one row [1, C], or where it moves one for each block [K, C]; None if there is none.

    means: of each block, [K, C]; whole: of the file, [C]; loudest: root of the largest mean square of a block.
    An offset lies on all of a second alike, which the low end of a sound does not: the median of the blocks' means
    around, where it is larger than these differ. That is slower than any sound, and so is what it takes away.
    """
    # Three blocks together hold many cycles of the lowest tones; one may end in the middle of one.
    smooth = _windows(means, 1) @ np.array([0.25, 0.5, 0.25])
    median = np.median(_windows(smooth, _AROUND), axis=-1)
    level = np.sqrt(np.square(median).mean(0))
    scatter = 1.4826 * np.median(np.abs(means - median), axis=0)
    steady = np.abs(median - whole).max(0) <= _STEADY * np.abs(whole)
    least = loudest * np.where(steady, *(10 ** (db / 20) for db in (_LEAST_STEADY_DB, _LEAST_MOVING_DB)))
    if len(means) < _BLOCKS // 2:  # too few to separate it from the sound's own
        least = np.full_like(least, loudest)
    there = (level > least) & (level > _CLEAR * scatter) & (level > 10 ** (_LEAST_DBFS / 20))
    if not there.any():
        return None
    if (steady | ~there).all():
        return np.where(there, whole, 0.0)[None]
    return np.where(there, np.where(steady, whole, median), 0.0)


def _windows(values: np.ndarray, around: int) -> np.ndarray:
    """[K, C] → each with so many before and after it, [K, C, 2 around + 1]."""
    return sliding_window_view(np.pad(values, ((around, around), (0, 0)), mode="symmetric"), 2 * around + 1, axis=0)


def _summed(values: np.ndarray) -> np.ndarray:
    """Of each block [K] and those around it."""
    return np.convolve(values, np.ones(2 * _AROUND + 1), "full")[_AROUND : _AROUND + len(values)]


def _spans(marked: np.ndarray) -> list[tuple[int, int]]:
    """First and past the last of each run of True in [K]; runs that are nearly one are one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(int), [0]])))
    spans: list[tuple[int, int]] = []
    for first, last in edges.reshape(-1, 2):
        if spans and first - spans[-1][1] <= _GAP:
            first = spans.pop()[0]
        spans.append((int(first), int(last)))
    return spans


def _between(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows [K, C] at the places `at` [n] among them, linear in between: [C, n], or [C, 1] where there is but one."""
    if len(rows) == 1:
        return rows.T
    at = np.clip(at, 0, len(rows) - 1)
    below = np.minimum(at.astype(int), len(rows) - 2)
    share = (at - below)[:, None]
    return ((1 - share) * rows[below] + share * rows[below + 1]).T


def _power(db: float) -> float:
    return 10 ** (db / 10)


def to_db(amplitude: float) -> float:
    """Linear amplitude → dB re full scale, not below -200 (so that silence stays a number in JSON)."""
    return float(20 * np.log10(max(amplitude, 1e-10)))


class LevelMeter:
    """Peak, RMS and the loudest 400 ms of a stream of float32 blocks [n] at `rate` Hz, in constant memory a second.

    The window moves in steps of 100 ms. A shorter file counts as followed by silence, so trimming the silence
    off a click does not change its gain.
    """

    def __init__(self, rate: int):
        self.peak = 0.0
        self.frames = 0
        self._hop = max(1, round(WINDOW_SECONDS * rate / _HOPS))
        self._energies: list[np.ndarray] = []
        self._rest = np.zeros(0, np.float32)

    def add(self, samples: np.ndarray) -> None:
        """Samples [n], any n."""
        if not len(samples):
            return
        self.peak = max(self.peak, float(np.abs(samples).max()))
        self.frames += len(samples)
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._hop * self._hop
        self._energies.append(np.square(samples[:whole].reshape(-1, self._hop), dtype=np.float64).sum(axis=1))
        self._rest = samples[whole:].copy()

    def _hop_energies(self) -> np.ndarray:
        return np.concatenate([*self._energies, [np.square(self._rest, dtype=np.float64).sum()]])

    @property
    def rms(self) -> float:
        """Linear, over all samples so far; 0 if there are none."""
        return float(np.sqrt(self._hop_energies().sum() / max(self.frames, 1)))

    @property
    def loudest(self) -> float:
        """Linear RMS of the loudest 400 ms."""
        windows = np.convolve(self._hop_energies(), np.ones(_HOPS))
        return float(np.sqrt(windows.max() / (_HOPS * self._hop)))


def together(parts: Sequence[tuple[float, float]]) -> float | None:
    """The loudness of sounds as one programme, from (LUFS, seconds) of each: None of none, to a hundredth.

    Their powers in the mean over time, without those that are more than 10 LU under that of all: the relative gate of
    ITU-R BS.1770-4, of files instead of blocks.
    """
    powers = np.array([10 ** (lufs / 10) for lufs, _ in parts])
    seconds = np.array([length for _, length in parts])
    if not seconds.sum():
        return None
    loud = powers > 0.1 * (powers @ seconds) / seconds.sum()
    return round(10 * math.log10((powers[loud] @ seconds[loud]) / seconds[loud].sum()), 2)


def gain_db(peak_dbfs: float, loudest_dbfs: float) -> float:
    """Gain in dB that brings the loudest 400 ms to -20 dBFS RMS, or less where the peak would pass -1 dBFS."""
    return min(TARGET_DBFS - loudest_dbfs, PEAK_LIMIT_DBFS - peak_dbfs)


def is_generated(path: str | os.PathLike) -> bool:
    """Whether the file's comment is a JSON object with the key `distillgan`, as generate writes it.

    Raises:
        AudioFileError: as `open_audio`.
    """
    try:
        values = json.loads(read_comment(path))
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and MARK in values


@dataclass(frozen=True)
class Sound:
    """The facts of a decoded file. Levels in dBFS of the mono sound at the corpus's rate, before any gain.

    `frames` is at the corpus's rate, `seconds` by the source's own clock. `reason` is empty for a usable sound;
    otherwise it is why there is none, and only the fields known by then are filled. `note` is what the owner of a
    usable file may want to know. `audio_hash` is over the decoded mono samples and their rate. `generated`: distillgan
    made it itself. `band_limit_hz`: above it the file holds nothing, 0 if it goes all the way up. `lufs` is the
    integrated loudness of the file, before any gain, from two loudspeakers: its two channels, or the mono sound from
    both; None for what never comes over -70 LUFS.
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
    lufs: float | None = None


class Unusable(Exception):
    """Carries the `Sound` whose `reason` says why the file's content cannot be used: a property of the content."""

    def __init__(self, sound: Sound):
        super().__init__(sound.reason)
        self.sound = sound


def decode(path: str | os.PathLike, out: BinaryIO, rate: int, channels: str = MIX) -> Sound:
    """Write one channel at `rate` Hz to `out` (empty, seekable) as a float32 .npy [N].

    channels: which one, as `data.downmix` has it, or how all become one: where they cancel each other, the strongest
    alone. A DC offset is taken away, be it one for the whole file or one that moves.

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
    """One pass; without a correction it returns the one that is wanted, if any."""
    with open_audio(path) as file:
        source_rate = file.samplerate
        facts = {"source_rate": source_rate, "channels": file.channels}
        if not _RATES[0] <= source_rate <= _RATES[1]:
            limits = f"{_RATES[0]} to {_RATES[1]} Hz are possible"
            raise Unusable(Sound(**facts, reason=f"unreadable: a sample rate of {source_rate} Hz, {limits}"))
        try:
            mix = downmix(layout_of(path, file.channels, file.layout), file.channels, channels)
        except NoSuchChannel as none:
            raise Unusable(Sound(**facts, reason=f"no channel for data.channels={channels}: {none}")) from none
        weights = np.array(mix.weights)
        count = 0
        survey = Survey(source_rate, file.channels, file.frames or 0) if correction is None else None
        audio_hash = hashlib.sha256(f"{source_rate} Hz".encode())
        levels, band = LevelMeter(rate), BandMeter(rate)
        stereo = file.channels == 2 and channels == MIX and source_rate >= LOWEST_RATE
        loudness = Meter(source_rate, 2) if stereo else Meter(rate, 1)
        _write_header(out, 0)
        resampler = None
        if source_rate != rate:
            resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")

        def put(mono: np.ndarray) -> None:
            """Write and measure samples [n] at the corpus's rate."""
            levels.add(mono)
            band.add(mono)
            out.write(np.ascontiguousarray(mono, dtype="<f4"))
            if not stereo:
                loudness.add(mono[None])

        for block in read_blocks(file, max(1, _READ // file.channels)):
            block = np.ascontiguousarray(block)
            # Written so that NaN fails it. All channels count: the mono signal may leave out the broken one.
            if not np.abs(block).max() <= _LARGEST:
                at = (count + int((~(np.abs(block) <= _LARGEST)).any(axis=0).argmax())) / source_rate
                raise Unusable(Sound(**facts, reason=f"NaN or infinite samples, the first at {at:.3f} s"))
            if correction is None:
                mono = mix.of(block)
                survey.add(block, mono)
            else:
                mono = correction.applied(block, count, weights)
            count += len(mono)
            audio_hash.update(mono)
            put(resampler.resample_chunk(mono) if resampler else mono)
            if stereo:
                loudness.add(block)
        if resampler:
            put(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        notes = [mix.note, *(correction.notes if correction else ()), *file.notes]
    lufs = loudness.lufs()
    facts["seconds"] = seconds = count / source_rate
    if not count:
        raise Unusable(Sound(**facts, reason="empty: it holds no samples"))
    if seconds < SHORTEST_SECONDS:
        limit = f"{SHORTEST_SECONDS * 1000:.0f} ms are the least"
        raise Unusable(Sound(**facts, reason=f"too short: {seconds * 1000:.1f} ms, {limit}"))
    out.seek(0)
    _write_header(out, levels.frames)
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
        lufs=round(lufs, 2) if np.isfinite(lufs) else None,
    )
    return sound, survey.correction(weights, channels == MIX) if survey else None


def _write_header(out: BinaryIO, frames: int) -> None:
    """The .npy header; numpy leaves room for any `frames`, so that its length is always the same."""
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (frames,)})
