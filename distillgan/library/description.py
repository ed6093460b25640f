"""A model in words: all that its header says, for a terminal or a page, free of what either would obey."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from distillgan.errors import printable
from distillgan.library.records import Record


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
