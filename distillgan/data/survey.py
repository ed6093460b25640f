"""What a file's channels are like, block by block: where an offset lies on them, and where they cancel each other."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from distillgan.data.loudness import to_db

_BLOCK_SECONDS = (0.01, 0.1)  # shorter ones of a short file, of which there are to be ten
_BLOCKS = 10
_AROUND = 5  # blocks on each side that tell the offset of one, together a second
_STEADY = 0.3  # share by which an offset may move and still be one for the whole file
_LEAST_STEADY_DB, _LEAST_MOVING_DB = -36.0, -26.0  # of the loudest block: quieter offsets change nothing measured
_LEAST_DBFS = -80.0
_CLEAR = 2.0  # times what the blocks' means differ by themselves
_CANCEL_DB, _SILENT_DB = -12.0, -30.0  # of what the channels would be together if they knew nothing of each other
_GAP = 5  # blocks between two stretches that cancel, and are one
_MARGIN = 2  # blocks before and after a stretch that are mixed as it is


@dataclass(frozen=True)
class Correction:
    """How a file is to be mixed otherwise than by its down-mix alone.

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
    """Sums over blocks of 0.1 s of float32 samples [C, n] at `rate` Hz, and of their mix.

    frames: about how many samples will come; a short file has shorter blocks.
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
        """[C + 1, k, n]"""
        self._counts.append(np.full(blocks.shape[1], blocks.shape[2]))
        self._sums.append(blocks.sum(2, dtype=np.float64).T)
        self._squares.append(np.einsum("ckn,ckn->kc", blocks, blocks, dtype=np.float64))

    def correction(self, weights: np.ndarray, several: bool) -> Correction | None:
        """What is to be mended when the channels are mixed by `weights` [C], None if nothing is.

        several: the weights are our own choice, and where they make silence of sound, the strongest channel is taken.
        """
        if self._rest.shape[1]:
            self._take(self._rest[:, None])
            self._rest = self._rest[:, :0]
        if not self._counts:
            return None
        counts, sums, squares = (np.concatenate(parts) for parts in (self._counts, self._sums, self._squares))
        if len(counts) > 1 and counts[-1] < self.block:  # the rest of a file: too short to tell anything by itself
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
        switched = None
        if several:
            switched, words = self._switched(powers, mixed, counts, weights)
            notes += words
        if offsets is None and switched is None:
            return None
        return Correction(self.block, offsets, switched, tuple(notes))

    def _switched(
        self, powers: np.ndarray, mixed: np.ndarray, counts: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray | None, list[str]]:
        """Weights [K, C] or [1, C] and words on them, None where the mix is right throughout.

        powers [K, C], mixed [K]: sums of squares of the channels, and of their mix. Together, channels that know
        nothing of each other have the half of `expected`, and equal ones all of it.
        """
        expected, total = 2 * powers @ weights**2, powers.sum(0)
        strongest, samples = int(total.argmax()), counts.sum()
        only = np.eye(len(weights))
        if mixed.sum() < _of_db(_CANCEL_DB) * expected.sum():
            lost = 10 * np.log10(total.mean() / mixed.sum()) if mixed.sum() else np.inf
            loss = f"is {lost:.0f} dB quieter" if lost < 100 else "is silent"
            note = f"its channels cancel out (the mono mix {loss}): channel {strongest + 1} is used alone"
            return only[[strongest]], [note]
        if mixed.sum() < _of_db(_LEAST_DBFS) * samples < total[strongest]:
            return only[[strongest]], [f"the mix of its channels is silent: channel {strongest + 1} is used alone"]
        sounding = expected > _of_db(_LEAST_DBFS) * counts
        around = [_summed(values) for values in (mixed, expected)]
        weak = (mixed < _of_db(_CANCEL_DB) * expected) & (around[0] < _of_db(_CANCEL_DB) * around[1])
        spans = _spans(sounding & (weak | (mixed < _of_db(_SILENT_DB) * expected)))
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
    around, where it is larger than these differ. That is slower than anything heard, and so is what it takes away.
    """
    # Three blocks together hold many cycles of the lowest tones; one may end in the middle of one.
    smooth = _windows(means, 1) @ np.array([0.25, 0.5, 0.25])
    median = np.median(_windows(smooth, _AROUND), axis=-1)
    level = np.sqrt(np.square(median).mean(0))
    scatter = 1.4826 * np.median(np.abs(means - median), axis=0)
    steady = np.abs(median - whole).max(0) <= _STEADY * np.abs(whole)
    least = loudest * np.where(steady, *(10 ** (db / 20) for db in (_LEAST_STEADY_DB, _LEAST_MOVING_DB)))
    if len(means) < _BLOCKS // 2:  # too few to tell it from the sound's own
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


def _of_db(power_db: float) -> float:
    return 10 ** (power_db / 10)
