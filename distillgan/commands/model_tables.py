"""How `distillgan models` shows models to people: texts from files without what a terminal would obey."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console

from distillgan.errors import printable
from distillgan.library.records import Record

_HEADINGS = ("name", "date", "minutes", "error", "vocoder", "size", "tags")
_RIGHT = {"minutes", "error", "size"}


def draw_list(console: Console, found: Sequence[Record]) -> None:
    """A line a model: as wide as it needs, so that nothing is cut off where another program reads it."""
    rows = [_HEADINGS, *(_row(record) for record in found if record.header is not None)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    if len(rows) == 1 and not found:
        console.print("no models")
        return
    for row in rows:
        cells = (
            cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
            for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
        )
        console.out("  ".join(cells).rstrip(), highlight=False)
    for record in found:
        if record.fault is not None:
            console.out(f"cannot be read: {printable(record.fault)}", style="yellow", highlight=False)


def draw_info(console: Console, record: Record, parameters: Mapping[str, int]) -> None:
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
        described = {key: value for key, value in header.vocoder.items() if key not in ("name", "generator")}
        arguments = _listed({**described, **header.vocoder["generator"]})
        kind = f"{header.vocoder['name']}, {_millions(parameters.get('vocoder', 0))}"
        lines["vocoder"] = f"{kind}, {arguments}" if arguments else kind
        lines["vocoder trained"] = _listed(header.training["vocoder"] or {})
    lines |= {"made with": _listed(header.versions), "also": _listed(header.extra)}
    console.out(printable(record.name), style="bold", highlight=False)
    for heading, text in lines.items():
        if text:
            console.out(f"  {heading:<16}{printable(text)}", highlight=False)


def verified(result: Mapping[str, Any]) -> str:
    if result["fault"]:
        return f"{result['name']}: damaged: {printable(result['fault'])}"
    if result["damaged"]:
        return f"{result['name']}: damaged: {', '.join(map(printable, result['damaged']))}"
    return f"{result['name']}: whole"


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


def _row(record: Record) -> tuple[str, ...]:
    header = record.header
    assert header is not None
    error = "" if record.error_db is None else f"{record.error_db:.2f} dB"
    kind = printable(record.vocoder or "-")
    return (
        printable(record.name),
        moment(header.created),
        f"{record.minutes:.1f}",
        error,
        kind,
        size(record.bytes),
        tags(header.tags),
    )


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
