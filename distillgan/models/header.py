"""A model file without its tensors: the JSON header, where each tensor lies, and copies; without torch.

Own code rather than the safetensors library, to say in words what is wrong, to read nothing that is not wanted, and
to believe no size before it is compared with the file's own. Many models are listed at once.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from distillgan import __version__
from distillgan.atomic import replace_file
from distillgan.audio.spec import MelSpec
from distillgan.errors import UserError
from distillgan.models.plugins import VAE
from distillgan.paths import MODEL_SUFFIX, check_name, current_kind

SCHEMA = 2
BAND_LIMIT = "band_limit_hz"  # of the corpus; files from before there was one, and of sound without a limit, have none
PENDING, MEASURED = "pending", "measured"  # training.vae.sliders; files from before have neither

_SEAL_LENGTH = len(',"sha256":""}') + 64
_NUMBER = (int, float)
_OPTIONAL = (dict, type(None))
_VAE = {"name": VAE}
_STAGE = {"steps": int, "seconds": _NUMBER, "date": str}
_WORDS = {
    int: "a whole number",
    str: "a text",
    dict: "a JSON object",
    list: "a list",
    _NUMBER: "a number",
    _OPTIONAL: "a JSON object or null",
}


def utc_now() -> str:
    """The time now, ISO 8601 in UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def package_versions() -> dict[str, str]:
    """The versions that shape a model: of distillgan, torch and safetensors."""
    import safetensors
    import torch  # here, not above: who reads headers need not wait a second for it

    return {"distillgan": __version__, "torch": str(torch.__version__), "safetensors": str(safetensors.__version__)}


@dataclass(frozen=True)
class Header:
    """All that is known of a model without its tensors.

    mel: the only mel its VAE and vocoder understand.
    vae: arguments of the latent model's network.
    latent_model: its kind, {"name"}; of one from another package {"name", "distribution", "version"}. Files of the VAE
        say nothing of it, as files from before there was a choice.
    vocoder: None, or its kind in the same way and {"generator": {arguments of the generator}}.
    corpus: {"fingerprint": text, "minutes": number, "files": whole number, …, "source_lufs": number or None}; where no
        recording goes all the way up BAND_LIMIT, Hz.
    training: {"vae": {"steps", "seconds", "date", "sliders", losses …}, "vocoder": the same or None}.
    tags: short words that the owner finds it by; files from before there were tags have none.
    checksums: tensor name → SHA-256; `write_model` fills it in.
    extra: fields of the same schema that this version does not know. They are kept and written back: a schema number
        rises when an old program could no longer read a file rightly, so an unknown field is an addition, and whoever
        adds a vocoder with an older program should lose nothing.
    """

    name: str
    mel: MelSpec
    vae: dict[str, Any]
    corpus: dict[str, Any]
    training: dict[str, Any]
    vocoder: dict[str, Any] | None = None
    latent_model: dict[str, str] = field(default_factory=lambda: dict(_VAE))
    licence: str = ""
    note: str = ""
    tags: list[str] = field(default_factory=list)
    created: str = field(default_factory=utc_now)
    versions: dict[str, str] = field(default_factory=package_versions)
    checksums: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def band_limit_hz(self) -> float:
        """Above it none of the recordings holds anything, nor does new sound; 0 if there is no such limit."""
        return float(self.corpus.get(BAND_LIMIT, 0.0))

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name the weights: equal for equal tensors, whatever the name, note or dates."""
        return _sha256(_dump(sorted(self.checksums.items())))[:16]

    @property
    def source_lufs(self) -> float | None:
        """How loud the recordings are together: integrated LUFS, heard from two loudspeakers (a mono one from both).

        None in files from before this was kept, and where there was no telling.
        """
        return self.corpus.get("source_lufs")

    @property
    def sliders_pending(self) -> bool:
        """Whether it was packed before its sliders were measured, and is to be measured yet."""
        return self.training["vae"].get("sliders") == PENDING

    @property
    def no_sliders(self) -> str:
        """Why a model without an analysis has no sliders, and what to do."""
        if self.sliders_pending:
            return "sliders pending: its training was ended before they were measured; the same command measures them"
        return "packed without an analysis, so it has no sliders; the command that trained it, once more, makes one"

    def to_dict(self) -> dict[str, Any]:
        """The header's fields as JSON can hold them. Numbers that JSON lacks (NaN, infinity) become None."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        if self.latent_model == _VAE:
            del values["latent_model"]
        return _plain({**self.extra, **values, "mel": self.mel.to_dict()})

    def to_json(self) -> str:
        """`to_dict` as compact JSON with its own checksum.

        Raises:
            TypeError: a value is no plain text, number, bool, list, dict or None.
        """
        return _sealed(_dump(self.to_dict()))

    @classmethod
    def from_json(cls, text: str) -> "Header":
        """The header that a file's JSON describes.

        Raises UserError, which says what is wrong but not in which file: a newer schema, a field missing or of the
        wrong type, a checksum that does not match.
        """
        values = parse_object(text, "its distillgan header")
        if type(values.get("schema")) is int and values["schema"] > SCHEMA:
            raise UserError(
                f"made by a newer distillgan: its schema is {show(values['schema'])}, this one reads {SCHEMA}. "
                "Update distillgan"
            )
        _check(values, {"schema": int, "sha256": str}, "")
        if values["schema"] != SCHEMA:
            raise UserError(f"its schema is {show(values['schema'])}, this distillgan reads {SCHEMA}: retrain")
        if _sealed(text[:-_SEAL_LENGTH] + "}") != text:
            raise UserError("damaged or edited: its header does not match its checksum. Copy it again, or retrain")
        del values["sha256"]
        values = {"tags": [], "latent_model": dict(_VAE)} | values
        _check_fields(values)
        known = {item.name for item in fields(cls)} - {"extra"}
        extra = {key: value for key, value in values.items() if key not in known}
        return cls(**{key: values[key] for key in known - {"mel"}}, mel=_mel(values["mel"]), extra=extra)


def parse_object(text: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object from text or UTF-8 bytes. Raises UserError if it is none; `what` names it."""
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        values = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise UserError(f"damaged: {what} is not UTF-8 text ({error.reason}). Copy it again, or retrain") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"damaged: {what} is not JSON ({show(error)}). Copy it again, or retrain") from None
    if not isinstance(values, dict):
        raise UserError(f"damaged: {what} is not a JSON object but {show(values)}. Copy it again, or retrain")
    return values


def show(value: Any) -> str:
    """A value from a file as one short line: no control characters, at most 60 characters."""
    text = ascii(value) if not isinstance(value, Exception) else ascii(str(value))[1:-1]
    return text if len(text) <= 60 else text[:57] + "..."


def _check_fields(values: dict[str, Any]) -> None:
    top = {"name": str, "created": str, "mel": dict, "vae": dict, "vocoder": _OPTIONAL, "latent_model": dict}
    top |= {"corpus": dict, "training": dict, "licence": str, "note": str, "tags": list}
    top |= {"versions": dict, "checksums": dict}
    _check(values, top, "")
    # The name ends up in paths: "../../x" in a file from a stranger must not
    values["name"] = check_name(values["name"])
    _check(values["corpus"], {"fingerprint": str, "minutes": _NUMBER, "files": int}, "corpus.")
    limit = values["corpus"].get(BAND_LIMIT, 0)
    if isinstance(limit, bool) or not isinstance(limit, _NUMBER) or not 0 <= limit <= values["mel"].get("f_max", 0):
        raise UserError(f"its header field corpus.{BAND_LIMIT}={show(limit)} is no frequency of its mel")
    if values["corpus"].get("source_lufs") is not None:
        _check(values["corpus"], {"source_lufs": _NUMBER}, "corpus.")
    _check(values["training"], {"vae": dict, "vocoder": _OPTIONAL}, "training.")
    _check(values["training"]["vae"], _STAGE, "training.vae.")
    if values["training"]["vocoder"] is not None:
        _check(values["training"]["vocoder"], _STAGE, "training.vocoder.")
    if values["vocoder"] is not None:
        _check(values["vocoder"], {"generator": dict}, "vocoder.")
    for part in ("latent_model", "vocoder"):
        kind = values[part] or {"name": ""}
        _check(kind, {"name": str} | {key: str for key in ("distribution", "version") if key in kind}, f"{part}.")
        kind["name"] = current_kind(kind["name"])
    for table in ("versions", "checksums"):
        # The types at once: a field after the other takes as long as parsing them
        if not set(map(type, values[table].values())) <= {str}:
            raise UserError(f"its header field {table} must hold texts alone")
    if not set(map(type, values["tags"])) <= {str}:
        raise UserError("its header field tags must hold texts alone")
    try:
        offset = datetime.fromisoformat(values["created"]).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise UserError(f"its header field created={show(values['created'])} is not an ISO 8601 time in UTC")


def _check(values: dict[str, Any], table: dict[str, Any], where: str) -> None:
    """`table` maps a field to its type; `where` is the path of `values` in the header."""
    for key, kind in table.items():
        if key not in values:
            raise UserError(f"its header lacks the field {where}{key}: not a header of distillgan, retrain")
        value = values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"its header field {where}{key} must be {_WORDS[kind]}, not {show(value)}")


def _mel(values: dict[str, Any]) -> MelSpec:
    try:
        spec = MelSpec.from_dict(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"its header field mel holds a value that is no number ({show(error)})") from None
    # MelSpec converts its fields: 2048.5 would become 2048, and "2048" a number
    changed = [key for key, value in spec.to_dict().items() if value != values[key] or isinstance(values[key], bool)]
    if changed:
        raise UserError(f"its header field mel.{changed[0]}={show(values[changed[0]])} is not a number of its kind")
    return spec


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _plain(value: Any) -> Any:
    """Tuples as lists, keys as text, NaN and infinity as None: what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _sha256(text: str) -> str:
    # Text from a stranger's file may hold lone surrogates
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _sealed(text: str) -> str:
    """A JSON object with the checksum of its text as one more, last field."""
    return f'{text[:-1]},"sha256":"{_sha256(text)}"}}'


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
def open_model(path: Path) -> Iterator[BufferedReader]:
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


def _parts(path: Path, change: Callable[[Header], Header] | None) -> Generator[bytes]:
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
