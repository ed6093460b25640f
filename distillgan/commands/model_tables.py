"""How `distillgan models` shows models to people: texts from files without what a terminal would obey."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from distillgan.errors import printable
from distillgan.library.description import described, moment, size, tags
from distillgan.library.origins import Origin
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


def draw_info(console: Console, record: Record, parameters: Mapping[str, int], origin: Origin | None) -> None:
    console.out(printable(record.name), style="bold", highlight=False)
    pulled = {} if origin is None else {"pulled from": printable(str(origin))}
    for heading, text in {**described(record, parameters), **pulled}.items():
        console.out(f"  {heading:<16}{text}", highlight=False)


def verified(result: Mapping[str, Any]) -> str:
    if result["fault"]:
        return f"{result['name']}: damaged: {printable(result['fault'])}"
    if result["damaged"]:
        return f"{result['name']}: damaged: {', '.join(map(printable, result['damaged']))}"
    return f"{result['name']}: whole"


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
