"""A sound's outline in a few hundred bytes, for lists of many."""

import numpy as np

COLUMNS = 400
_FULL_SCALE = 127


class Thumbnail:
    """Frames go in block by block; `to_bytes` are (min, max) a column, at most 400 columns, int8 of ±1 = ±127.

    Memory stays the same however long the sound: where twice 400 columns are full, each two become one.
    """

    def __init__(self):
        self._width = 1024  # frames a column
        self._ends: list[tuple[float, float]] = []
        self._rest = np.zeros((2, 0), np.float32)

    def add(self, frames: np.ndarray) -> None:
        """Frames [n, C]; a column spans all channels."""
        self._rest = np.concatenate([self._rest, np.stack([frames.min(1), frames.max(1)])], axis=1)
        while self._rest.shape[1] >= self._width:
            whole = self._rest.shape[1] // self._width
            whole = min(whole, 2 * COLUMNS - len(self._ends))
            columns = self._rest[:, : whole * self._width].reshape(2, whole, self._width)
            self._ends += zip(columns[0].min(1).tolist(), columns[1].max(1).tolist(), strict=True)
            self._rest = self._rest[:, whole * self._width :]
            if len(self._ends) == 2 * COLUMNS:
                self._ends, self._width = _halved(self._ends), 2 * self._width

    def to_bytes(self, gain: float = 1.0) -> bytes:
        ends = list(self._ends)
        if self._rest.shape[1]:
            ends.append((float(self._rest[0].min()), float(self._rest[1].max())))
        while len(ends) > COLUMNS:
            ends = _halved(ends)
        values = np.rint(np.array(ends, np.float64).reshape(-1) * gain * _FULL_SCALE)
        return values.clip(-_FULL_SCALE, _FULL_SCALE).astype(np.int8).tobytes()


def _halved(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    pairs = [ends[number : number + 2] for number in range(0, len(ends), 2)]
    return [(min(low for low, _ in pair), max(high for _, high in pair)) for pair in pairs]
