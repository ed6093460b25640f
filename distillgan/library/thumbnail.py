"""The small picture of a wave that the history keeps, drawn with letters."""

import struct

ROWS, COLUMNS = 8, 80
_HALVES = 2 * ROWS
_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
_FULL_SCALE = 127


def drawn(thumbnail: bytes) -> list[str]:
    """int8 pairs (lowest, highest), full scale 127 → ROWS lines of at most COLUMNS letters; none of no pairs."""
    pairs = list(struct.iter_unpack("bb", thumbnail))
    width = min(COLUMNS, len(pairs))
    columns = [
        _filled(pairs[number * len(pairs) // width : (number + 1) * len(pairs) // width]) for number in range(width)
    ]
    return ["".join(_BLOCKS[2 * row in c, 2 * row + 1 in c] for c in columns) for row in range(ROWS)] if width else []


def _filled(pairs: list[tuple[int, int]]) -> range:
    """The half rows, from the top, that a column spans: one at least."""
    first, last = (
        min(_HALVES - 1, int((_FULL_SCALE - value) * _HALVES / (2 * _FULL_SCALE)))
        for value in (max(high for _, high in pairs), min(low for low, _ in pairs))
    )
    return range(first, last + 1)
