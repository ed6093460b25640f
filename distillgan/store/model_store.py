"""The models of a home by their headers alone: listed, searched, ordered, and described for a terminal or a page."""

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
from distillgan.models.plugins import VAE
from distillgan.paths import MODEL_SUFFIX, Home


@dataclass(frozen=True)
class StoredModel:
    """A model file and its header, or the `fault` for which it is no whole model; `bytes` is None without a file."""

    path: Path
    bytes: int | None
    header: Header | None
    fault: str | None = None

    @property
    def name(self) -> str:
        """The file's name, by which it is found; its header may have another, if the file was moved."""
        return self.path.stem

    @property
    def minutes(self) -> float | None:
        return self.header and self.header.corpus["minutes"]

    @property
    def error_db(self) -> float | None:
        """Error of the VAE's reconstructions, in dB, smaller is better; None where it was not measured."""
        value = self.header and self.header.training["vae"].get("error_db")  # a statistic from a file may be anything
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def vocoder(self) -> str | None:
        """The kind of its own vocoder."""
        return self.header.vocoder["name"] if self.header and self.header.vocoder else None

    @cached_property
    def searched(self) -> str:
        """Name, tags and note, folded for `search`."""
        texts = [self.name, *(self.header.tags if self.header else ()), self.header.note if self.header else ""]
        return _folded("\n".join(texts))

    def to_dict(self) -> dict[str, Any]:
        """Its values for JSON."""
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
            "latent_model": header and header.latent_model["name"],
            "vocoder": self.vocoder,
            "tags": header and header.tags,
            "note": header and header.note,
            "licence": header and header.licence,
            "fingerprint": header and header.fingerprint,
        }


# Keys of `ordered`: the value, and whether the largest comes first.
ORDERS: dict[str, tuple[Callable[[StoredModel], Any], bool]] = {
    "name": (lambda model: model.name, False),
    "date": (lambda model: model.header and datetime.fromisoformat(model.header.created), True),
    "minutes": (lambda model: model.minutes, True),
    "error": (lambda model: model.error_db, False),
    "size": (lambda model: model.bytes, True),
}


def list_models(home: Home) -> list[StoredModel]:
    """All files called models, by name; those that are none have their fault. Raises UserError without the folder."""
    try:
        found = os.listdir(home.models) if home.models.exists() else []
    except OSError as error:
        raise UserError(f"{home.models} cannot be read ({error.strerror}): check its permissions") from error
    names = sorted(name for name in found if name.endswith(MODEL_SUFFIX) and not name.startswith("."))
    return [stored_model(home.models / name) for name in names]


def stored_model(path: Path) -> StoredModel:
    """One file, which may be damaged, or missing."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        size = None
    try:
        return StoredModel(path, size, read_header(path))
    except UserError as fault:
        return StoredModel(path, size, None, str(fault))


def parameters(path: Path) -> dict[str, int]:
    """Numbers in each part of a model, {"vae": …, "latent": …, "vocoder": …}. Raises UserError if it is not whole."""
    with open_model(path) as file:
        header, entries, _ = read_entries(file)
        counts: dict[str, int] = {}
        for name, slot in slots(header, entries).items():
            part = name.partition(".")[0]
            counts[part] = counts.get(part, 0) + math.prod(slot.shape)
        return counts


def search(found: Iterable[StoredModel], words: Iterable[str]) -> list[StoredModel]:
    """Models that have each of the words in their name, tags or note; capitals or not."""
    folded = [_folded(word) for word in words]
    return [model for model in found if all(word in model.searched for word in folded)]


def narrowed(
    found: Iterable[StoredModel],
    vocoder: bool | None = None,
    rate: int | None = None,
    min_minutes: float | None = None,
    max_minutes: float | None = None,
    tags: Sequence[str] = (),
) -> list[StoredModel]:
    """Models with or without a vocoder of their own, of a sample rate in Hz, of so many minutes, with all the tags.

    None asks for nothing; with anything asked for, files that cannot be read are left out.
    """
    if vocoder is None and rate is None and min_minutes is None and max_minutes is None and not tags:
        return list(found)
    wanted = {_folded(tag) for tag in tags}
    return [
        model
        for model in found
        if model.header is not None
        and (vocoder is None or vocoder == (model.vocoder is not None))
        and (rate is None or rate == model.header.mel.sample_rate)
        and (min_minutes is None or model.minutes >= min_minutes)
        and (max_minutes is None or model.minutes <= max_minutes)
        and wanted <= set(map(_folded, model.header.tags))
    ]


def ordered(found: Iterable[StoredModel], by: str = "name", reverse: bool = False) -> list[StoredModel]:
    """Models by one of `ORDERS`, equals by name; those whose value is not known are last, either way round."""
    value, largest_first = ORDERS[by]
    by_name = sorted(found, key=lambda model: model.name)
    known = [model for model in by_name if value(model) is not None]
    unknown = [model for model in by_name if value(model) is None]
    return sorted(known, key=value, reverse=largest_first != reverse) + unknown


def _folded(text: str) -> str:
    """The text without case, and with accents as part of their letters, which a Mac writes apart."""
    return unicodedata.normalize("NFC", text).casefold()


def described(model: StoredModel, parameters: Mapping[str, int]) -> dict[str, str]:
    """Texts by heading of a model that can be read, with its numbers as `parameters` counts them; no empty ones."""
    header = model.header
    assert header is not None
    corpus = {key: value for key, value in header.corpus.items() if key not in ("files", "minutes")}
    lines = {
        "file": f"{printable(model.path)}, {size(model.bytes)}",
        "fingerprint": header.fingerprint,
        "name inside": header.name if header.name != model.name else "",
        "created": local_time(header.created),
        "tags": tags(header.tags),
        "note": header.note,
        "licence": header.licence,
        "recordings": f"{header.corpus['files']} files, {header.corpus['minutes']:.1f} minutes, {_listed(corpus)}",
        "mel": _listed(header.mel.to_dict()),
        "latent model": "" if header.latent_model == {"name": VAE} else _listed(header.latent_model),
        "vae": f"{millions(parameters.get('vae', 0))}, {_listed(header.vae)}",
        "vae trained": _listed(header.training["vae"]),
        "vocoder": "none of its own",
    }
    if header.vocoder is not None:
        more = {key: value for key, value in header.vocoder.items() if key not in ("name", "generator")}
        arguments = _listed({**more, **header.vocoder["generator"]})
        kind = f"{header.vocoder['name']}, {millions(parameters.get('vocoder', 0))}"
        lines["vocoder"] = f"{kind}, {arguments}" if arguments else kind
        lines["vocoder trained"] = _listed(header.training["vocoder"] or {})
    lines |= {"made with": _listed(header.versions), "also": _listed(header.extra)}
    return {heading: printable(text) for heading, text in lines.items() if text}


def tags(words: Sequence[str]) -> str:
    return printable(", ".join(words))


def size(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.1f} MB"


def local_time(text: str) -> str:
    """A time in UTC, in the time zone of this machine."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except OverflowError:  # the year 1, in a file from elsewhere
        return text


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_shown(value)}" for key, value in values.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    if isinstance(value, list) and len(str(value)) > 60:
        return f"({len(value)})"  # a corpus's files, say: JSON has them all
    return str(value)


def millions(count: int) -> str:
    return f"{count / 1e6:.2f} M parameters"
