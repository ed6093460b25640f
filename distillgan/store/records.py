"""What is known of each model without its tensors, searched and described.

What is known of each model without its tensors; searching, narrowing and ordering that.

A model in words: all that its header says, for a terminal or a page, free of what either would obey.
"""

import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from distillgan.errors import UserError, printable
from distillgan.models.header import Header, open_model, read_entries, read_header, slots
from distillgan.paths import MODEL_SUFFIX, Home


@dataclass(frozen=True)
class Record:
    """A file of the library. `header` is None and `fault` says why in words where it is no whole model.

    bytes: of the file; None where there is none to be measured.
    """

    path: Path
    bytes: int | None
    header: Header | None
    fault: str | None = None

    @property
    def name(self) -> str:
        """The name that it is found by: the file's. In its header it may have another, if the file was moved."""
        return self.path.stem

    @property
    def minutes(self) -> float | None:
        return self.header and self.header.corpus["minutes"]

    @property
    def error_db(self) -> float | None:
        """Of the VAE's reconstructions, in dB, smaller is better; None where it was not measured."""
        return self.header and _number(self.header.training["vae"].get("error_db"))

    @property
    def vocoder(self) -> str | None:
        """The kind of its own vocoder."""
        return self.header.vocoder["name"] if self.header and self.header.vocoder else None

    @cached_property
    def searched(self) -> str:
        """Name, tags and note, as `search` looks through them."""
        texts = [self.name, *(self.header.tags if self.header else ()), self.header.note if self.header else ""]
        return _folded("\n".join(texts))

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        header = self.header
        return {
            "name": self.name,
            "path": os.fspath(self.path),
            "bytes": self.bytes,
            "fault": self.fault,
            "created": header and header.created,
            "minutes": self.minutes,
            "files": header and header.corpus["files"],
            "sample_rate": header and header.mel.sample_rate,
            "error_db": self.error_db,
            "vocoder": self.vocoder,
            "tags": header and header.tags,
            "note": header and header.note,
            "licence": header and header.licence,
            "fingerprint": header and header.fingerprint,
        }


# What a list can be ordered by, each with what comes first.
ORDERS: dict[str, tuple[Callable[[Record], Any], bool]] = {
    "name": (lambda record: record.name, False),
    "date": (lambda record: record.header and datetime.fromisoformat(record.header.created), True),
    "minutes": (lambda record: record.minutes, True),
    "error": (lambda record: record.error_db, False),
    "size": (lambda record: record.bytes, True),
}


def records(home: Home) -> list[Record]:
    """All that is called a model in the library, by name; what is none has its fault.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        found = os.listdir(home.models) if home.models.exists() else []
    except OSError as error:
        raise UserError(f"{home.models} cannot be read ({error.strerror}): check its permissions") from error
    names = sorted(name for name in found if name.endswith(MODEL_SUFFIX) and not name.startswith("."))
    return [record_of(home.models / name) for name in names]


def record_of(path: Path) -> Record:
    """The record of one file, which may be damaged, or missing."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        size = None
    try:
        return Record(path, size, read_header(path))
    except UserError as fault:
        return Record(path, size, None, str(fault))


def parameters(path: Path) -> dict[str, int]:
    """How many numbers each part of a model holds: {"vae": …, "latent": …, "vocoder": …}, those that it has.

    Raises:
        UserError: it is no whole model.
    """
    with open_model(path) as file:
        header, entries, _ = read_entries(file)
        counts: dict[str, int] = {}
        for name, slot in slots(header, entries).items():
            part = name.partition(".")[0]
            counts[part] = counts.get(part, 0) + math.prod(slot.shape)
        return counts


def search(found: Iterable[Record], words: Iterable[str]) -> list[Record]:
    """Those that have each of the words in their name, tags or note; capitals or not."""
    folded = [_folded(word) for word in words]
    return [record for record in found if all(word in record.searched for word in folded)]


def narrowed(
    found: Iterable[Record],
    vocoder: bool | None = None,
    rate: int | None = None,
    min_minutes: float | None = None,
    max_minutes: float | None = None,
    tags: Sequence[str] = (),
) -> list[Record]:
    """Those that are so in every respect that is not None: with or without a vocoder of their own, of a sample rate in
    Hz, learnt from so many minutes, with all the tags. With any of these set, files that cannot be read are left out.
    """
    if vocoder is None and rate is None and min_minutes is None and max_minutes is None and not tags:
        return list(found)
    wanted = {_folded(tag) for tag in tags}
    return [
        record
        for record in found
        if record.header is not None
        and (vocoder is None or vocoder == (record.vocoder is not None))
        and (rate is None or rate == record.header.mel.sample_rate)
        and (min_minutes is None or record.minutes >= min_minutes)
        and (max_minutes is None or record.minutes <= max_minutes)
        and wanted <= set(map(_folded, record.header.tags))
    ]


def ordered(found: Iterable[Record], by: str = "name", reverse: bool = False) -> list[Record]:
    """By one of `ORDERS`: names from a to z, the latest, the most minutes, the least error, the largest first.

    Equals are by name, and those of which it is not known are last, either way round.
    """
    value, largest_first = ORDERS[by]
    by_name = sorted(found, key=lambda record: record.name)
    known = [record for record in by_name if value(record) is not None]
    unknown = [record for record in by_name if value(record) is None]
    return sorted(known, key=value, reverse=largest_first != reverse) + unknown


def _number(value: object) -> float | None:
    """A statistic from a file may be anything."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _folded(text: str) -> str:
    """Letters alike whether they are capitals, and whether their accents are written apart, as on a Mac."""
    return unicodedata.normalize("NFC", text).casefold()


def described(record: Record, parameters: Mapping[str, int]) -> dict[str, str]:
    """Heading → text of a model that can be read; what there is nothing to say of is left out.

    parameters: how many numbers each of its parts holds, as `records.parameters` counts them.
    """
    header = record.header
    assert header is not None
    corpus = {key: value for key, value in header.corpus.items() if key not in ("files", "minutes")}
    lines = {
        "file": f"{printable(record.path)}, {size(record.bytes)}",
        "fingerprint": header.fingerprint,
        "name inside": header.name if header.name != record.name else "",
        "created": moment(header.created),
        "tags": tags(header.tags),
        "note": header.note,
        "licence": header.licence,
        "recordings": f"{header.corpus['files']} files, {header.corpus['minutes']:.1f} minutes, {_listed(corpus)}",
        "mel": _listed(header.mel.to_dict()),
        "vae": f"{_millions(parameters.get('vae', 0))}, {_listed(header.vae)}",
        "vae trained": _listed(header.training["vae"]),
        "vocoder": "none of its own",
    }
    if header.vocoder is not None:
        more = {key: value for key, value in header.vocoder.items() if key not in ("name", "generator")}
        arguments = _listed({**more, **header.vocoder["generator"]})
        kind = f"{header.vocoder['name']}, {_millions(parameters.get('vocoder', 0))}"
        lines["vocoder"] = f"{kind}, {arguments}" if arguments else kind
        lines["vocoder trained"] = _listed(header.training["vocoder"] or {})
    lines |= {"made with": _listed(header.versions), "also": _listed(header.extra)}
    return {heading: printable(text) for heading, text in lines.items() if text}


def tags(words: Sequence[str]) -> str:
    return printable(", ".join(words))


def size(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.1f} MB"


def moment(text: str) -> str:
    """A time in UTC as the clock on the wall shows it."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except OverflowError:  # the year 1 in a file from a stranger
        return text


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_told(value)}" for key, value in values.items())


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    if isinstance(value, list) and len(str(value)) > 60:
        return f"({len(value)})"  # a corpus's files, say: JSON has them all
    return str(value)


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M parameters"
