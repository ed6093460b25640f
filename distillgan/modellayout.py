"""Is this file a whole model, and where does each tensor lie? Answered from its first bytes and its size alone.

Own code rather than the safetensors library, to say in words what is wrong, to read nothing that is not wanted, and
to believe no size before it is compared with the file's own. Without torch: many models are listed at once.
"""

import hashlib
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from distillgan.errors import UserError
from distillgan.modelheader import Header, parse_object, show
from distillgan.paths import MODEL_SUFFIX

PREFIXES = ("vae.", "latent.", "vocoder.")
METADATA_KEY = "distillgan"
# Bytes of one element of each dtype that a model holds.
ITEM_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
AGAIN = "Copy it again from where it came from, or retrain"

_HEADER_LIMIT = 100_000_000
_DIMENSIONS_LIMIT = 8
_PICKLE_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PICKLED = "made by version 1 (or a PyTorch pickle), which can run code when loaded: retrain"
_FOREIGN = {b"RIFF": "a WAV file", b"fLaC": "a FLAC file", b"OggS": "an Ogg file", b"\x89PNG": "a PNG picture"}


class Slot(NamedTuple):
    """Where a tensor lies: bytes `begin` to `end` after the header."""

    dtype: str
    shape: list[int]
    begin: int
    end: int


def read_header(path: str | Path) -> Header:
    """The header alone, in a fraction of a millisecond: its checksum and the file's size are checked, the tensors not.

    Raises:
        UserError: there is no such file, or it is no whole model; names the file and the fault.
    """
    with open_model(Path(path)) as file:
        return read_entries(file)[0]


@contextmanager
def open_model(path: Path) -> Iterator[BinaryIO]:
    """Open a model to read, and put the path before each fault that is found in it."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(_not_found(path)) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error}): check the name and its permissions") from error
    try:
        if stat.S_ISDIR(mode):
            raise UserError("a folder, not a model: name the file in it")
        # Opening a pipe would wait for ever
        if not stat.S_ISREG(mode):
            raise UserError("not a file: name a model")
        if path.suffix.lower() == ".distill":
            raise UserError(_PICKLED)
        with open(path, "rb") as file:
            yield file
    except UserError as fault:
        raise UserError(f"{path}: {fault}") from None
    except RecursionError:
        raise UserError(f"{path}: not a model: its header is nested too deep") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check its permissions and the disk") from error


def read_entries(file: BinaryIO) -> tuple[Header, dict[str, Any], int]:
    """Header, the file's own words on each tensor (for `slots`), and the byte where the tensors start.

    Only their total size has been checked: 1,000 models are to be listed in 2 seconds.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    # The ninth byte decides: a model with a header of 640 bytes starts like a pickle
    if head[8:] != b"{":
        raise UserError(_foreign(head))
    if not 2 <= length <= _HEADER_LIMIT:
        raise UserError(f"not a model, or damaged: its header claims {length} bytes, {_HEADER_LIMIT} are allowed")
    start = 8 + length
    if start > size:
        raise UserError(f"truncated: {size} bytes, its header alone promises {start}. {AGAIN}")
    entries = parse_object(head[8:] + file.read(length - 1), "its safetensors header")
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(METADATA_KEY), str):
        raise UserError("a safetensors file, but not made by distillgan: it has no distillgan header")
    header = Header.from_json(metadata[METADATA_KEY])
    try:
        promised = start + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        missing = promised - size
    except (KeyError, IndexError, TypeError):
        raise UserError(f"damaged: a tensor lacks its data_offsets. {AGAIN}") from None
    if missing:
        fault = "truncated" if missing > 0 else "damaged"
        raise UserError(f"{fault}: {size} bytes, its header promises {show(promised)}. {AGAIN}")
    return header, entries, start


def slots(header: Header, entries: dict[str, Any]) -> dict[str, Slot]:
    """Where each tensor lies, from what `read_entries` gave.

    Raises:
        UserError: an entry contradicts itself, tensors overlap or leave gaps, header and entries name other tensors.
    """
    check_parts(header, entries)
    found = {name: _slot(name, entry) for name, entry in entries.items()}
    end = 0
    for name, slot in sorted(found.items(), key=lambda item: (item[1].begin, item[1].end)):
        if slot.begin != end:
            raise UserError(f"damaged: tensor {show(name)} starts at byte {slot.begin}, expected {end}. {AGAIN}")
        end = slot.end
    return found


def digest(dtype: str, shape: list[int], data: bytes | bytearray | memoryview = b"") -> "hashlib._Hash":
    """SHA-256 of a tensor, to be given the rest of its bytes; `hexdigest()` is the checksum in the header."""
    # dtype and shape belong to it: one changed letter in the header turns F32 into I32
    found = hashlib.sha256(f"{dtype}{shape}".encode())
    found.update(data)
    return found


def _slot(name: str, entry: Any) -> Slot:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise UserError(f"damaged: tensor {show(name)} lacks its dtype, shape or data_offsets. {AGAIN}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise UserError(f"tensor {show(name)} is of dtype {show(dtype)}, a model holds only {', '.join(ITEM_SIZES)}")
    # Empty tensors too have strides: the other sides must not overflow them
    if not _counts(shape) or len(shape) > _DIMENSIONS_LIMIT or math.prod(side or 1 for side in shape) >= 2**63:
        raise UserError(f"damaged: tensor {show(name)} has the shape {show(shape)}. {AGAIN}")
    if not _counts(offsets) or len(offsets) != 2:
        raise UserError(f"damaged: tensor {show(name)} has the data_offsets {show(offsets)}. {AGAIN}")
    needed = math.prod(shape) * ITEM_SIZES[dtype]
    if offsets[1] - offsets[0] != needed:
        raise UserError(
            f"damaged: tensor {show(name)} of shape {shape} and dtype {dtype} takes {needed} bytes, "
            f"the file has {offsets[1] - offsets[0]} for it. {AGAIN}"
        )
    return Slot(dtype, shape, *offsets)


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def check_parts(header: Header, names: dict[str, Any]) -> None:
    """Raises UserError unless header and tensors speak of the same things."""
    for name in names:
        if not name.startswith(PREFIXES):
            raise UserError(f"the name of tensor {show(name)} starts with none of {', '.join(PREFIXES)}")
    if header.vocoder is None and any(name.startswith("vocoder.") for name in names):
        raise UserError("it has vocoder.* tensors, but its header describes no vocoder")
    if header.vocoder is not None and not any(name.startswith("vocoder.") for name in names):
        raise UserError("its header describes a vocoder, but it has no vocoder.* tensors")
    for name in sorted(header.checksums.keys() - names.keys()):
        raise UserError(f"damaged: tensor {show(name)} is in its list of checksums, but missing. {AGAIN}")
    for name in sorted(names.keys() - header.checksums.keys()):
        raise UserError(f"damaged: tensor {show(name)} has no checksum. {AGAIN}")


def _foreign(head: bytes) -> str:
    if len(head) < 9:
        return f"empty. {AGAIN}" if not head else f"truncated: {len(head)} bytes are too few for a model. {AGAIN}"
    if head.startswith(_PICKLE_MAGIC):
        return _PICKLED
    for magic, words in _FOREIGN.items():
        if head.startswith(magic):
            return f"not a model but {words}: name a file that ends in {MODEL_SUFFIX}"
    return f"not a model: a safetensors file does not start with the bytes {head.hex(' ')}"


def _not_found(path: Path) -> str:
    folder = path.parent
    names = sorted(file.stem for file in folder.glob(f"*{MODEL_SUFFIX}") if not file.name.startswith("."))
    if not names:
        return f"{path} does not exist, and there are no models in {folder}: train one with python -m distillgan.train"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{path} does not exist; the models in {folder} are {', '.join(names[:10])}{more}"
