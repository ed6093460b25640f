"""What a file is made of: the pieces that a decoder is given in place of the whole file, and what is told of them."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import BinaryIO

Piece = bytes | tuple[int, int]
_FARTHEST = 1 << 60


class Splice(io.RawIOBase):
    """A read-only file made of bytes and of stretches (first, last + 1) of another file; it never closes that one.

    `reached_end`: a read came to its last byte. `error`: the operating system refused to read on; it is kept, since a
    decoder that calls from C can pass no exception on.
    """

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]):
        self._file, self._pieces = file, [piece for piece in pieces if _length(piece)]
        self._starts = [0, *accumulate(map(_length, self._pieces))]
        self._at, self.reached_end = 0, False
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = (0, self._at, self._starts[-1])[whence] + offset
        if 0 <= place < _FARTHEST:  # else it stays where it is, as a file does: decoders try sizes that mean nothing
            self._at = place
        return self._at

    def readinto(self, buffer) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and self._at < self._starts[-1]:
            number = bisect_right(self._starts, self._at) - 1
            piece, offset = self._pieces[number], self._at - self._starts[number]
            count = min(len(view) - done, _length(piece) - offset)
            if isinstance(piece, bytes):
                view[done : done + count] = piece[offset : offset + count]
            else:
                try:
                    self._file.seek(piece[0] + offset)
                    count = self._file.readinto(view[done : done + count])
                except OSError as error:
                    self.error = error
                    break
                if not count:  # the file became shorter meanwhile
                    break
            done, self._at = done + count, self._at + count
        self.reached_end |= self._at >= self._starts[-1]
        return done


@dataclass
class Part:
    """A stretch of a file that is decoded on its own. `order`: the channel of the decoder that comes first, second …

    in WAV order; () where the decoder's order is that already.
    """

    pieces: list[Piece]
    order: tuple[int, ...] = ()


@dataclass
class Plan:
    """What is to be decoded, one part after the other (none: the file as it is).

    `notes`: what the owner of the file may want to know. `promised`: samples a channel that the header announces, where
    the decoder does not know, or is wrong. `stated`: bytes of sound that the header announces, and those that are
    there, where the decoder does not tell that they are fewer. `cut`: how the end is known to be missing, or "".
    """

    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    promised: int | None = None
    stated: tuple[int, int] | None = None
    cut: str = ""


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


class Window:
    """Bytes of a file at any place, read a megabyte at a time."""

    def __init__(self, file: BinaryIO):
        self._file, self._first, self._data = file, 0, b""
        self.size = file.seek(0, io.SEEK_END)

    def at(self, place: int, count: int) -> bytes:
        """`count` bytes from `place` on, fewer at the end of the file."""
        offset = place - self._first
        if not 0 <= offset <= len(self._data) - count:
            self._file.seek(place)
            self._first, self._data, offset = place, self._file.read(max(count, 1 << 20)), 0
        return self._data[offset : offset + count]

    def find(self, wanted: bytes, place: int) -> int:
        """Where `wanted` comes first from `place` on; -1 if it does not."""
        while place < self.size:
            block = self.at(place, min(1 << 20, self.size - place))
            found = block.find(wanted)
            if found >= 0:
                return place + found
            place += max(1, len(block) - len(wanted) + 1)
        return -1
