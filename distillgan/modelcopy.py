"""Model files checked, copied, and given another header: in pieces, without torch, every tensor as it was."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.modelheader import Header, show
from distillgan.modellayout import AGAIN, METADATA_KEY, Slot, digest, open_model, read_entries, slots

_PIECE = 1 << 20  # bytes in memory at once


def damaged_tensors(path: str | Path) -> list[str]:
    """The names of the tensors that do not match their checksums; none if the model is whole.

    Raises:
        UserError: there is no such file, or its header alone shows that it is no whole model.
    """
    with open_model(Path(path)) as file:
        header, entries, start = read_entries(file)
        damaged = []
        for name, slot in _in_order(slots(header, entries)):
            file.seek(start + slot.begin)
            found = digest(slot.dtype, slot.shape)
            for piece in _pieces(file, slot.end - slot.begin):
                found.update(piece)
            if found.hexdigest() != header.checksums[name]:
                damaged.append(name)
        return damaged


def copy_model(source: Path, target: Path, change: Callable[[Header], Header] | None = None) -> None:
    """Copy a model, whole or not at all, with its time of modification: `target` (which may be `source`) is replaced.

    `change` gives the copy another header, for the same tensors. Every tensor's checksum is verified on the way.

    Raises:
        UserError: `source` is no whole and undamaged model, or the changed header would not be readable; or `target`
            cannot be written. It is then untouched.
    """
    with closing(_parts(source, change)) as parts, replace_file(target) as temporary:
        with open(temporary, "wb") as copy:
            for part in parts:
                copy.write(part)
        modified = source.stat().st_mtime_ns
        with suppress(OSError):  # some disks keep no times of others'
            os.utime(temporary, ns=(modified, modified))


def _parts(path: Path, change: Callable[[Header], Header] | None) -> Iterator[bytes]:
    """The bytes of the copy. By itself, so that what cannot be read is never taken for what cannot be written."""
    with open_model(path) as file:
        header, entries, start = read_entries(file)
        places = slots(header, entries)
        if change is None:
            file.seek(0)
            yield file.read(start)
        else:
            yield _head(change(header), entries)
            file.seek(start)
        for name, slot in _in_order(places):
            found = digest(slot.dtype, slot.shape)
            for piece in _pieces(file, slot.end - slot.begin):
                found.update(piece)
                yield piece
            if found.hexdigest() != header.checksums[name]:
                raise UserError(f"damaged: tensor {show(name)} does not match its checksum. {AGAIN}")


def _head(header: Header, entries: dict[str, Any]) -> bytes:
    """All that comes before the tensors, as the safetensors library writes it."""
    text = header.to_json()
    Header.from_json(text)  # never write what could not be read
    values = {"__metadata__": {METADATA_KEY: text}, **entries}
    head = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    head += b" " * (-len(head) % 8)  # its padding, so that tensors are aligned
    return len(head).to_bytes(8, "little") + head


def _in_order(places: dict[str, Slot]) -> list[tuple[str, Slot]]:
    """As they lie in the file; `slots` has seen to it that there are no gaps."""
    return sorted(places.items(), key=lambda item: (item[1].begin, item[1].end))


def _pieces(file: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        piece = file.read(min(count, _PIECE))
        if not piece:
            raise UserError(f"truncated while it was read. {AGAIN}")
        count -= len(piece)
        yield piece
