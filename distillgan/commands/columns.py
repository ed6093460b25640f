"""Rows of text in columns, for people and for the programs that they pipe them to."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console

from distillgan.errors import printable


def draw_columns(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line a row, as wide as it needs, so that nothing is cut off; without what a terminal would obey."""
    lines = [list(map(printable, row)) for row in (headings, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        console.out("  ".join(cells).rstrip(), highlight=False)
