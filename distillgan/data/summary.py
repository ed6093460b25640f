"""The table that a scan ends with."""

from collections import Counter

from rich.table import Table
from rich.text import Text

from distillgan.audio.io import printable
from distillgan.data.band import readable
from distillgan.data.manifest import HELD_OUT, Entry, Manifest

FEW_FILES = 5
_LISTED = 30


def summary_table(manifest: Manifest) -> Table:
    """Files, minutes, rates and channels of a corpus, then the skipped files with their reasons and the notes.

    At most 30 files are listed of either; the manifest has them all. Under 5 used files the caption warns. File names
    are shown as they are: never as markup, control characters escaped.
    """
    used, skipped = manifest.used, manifest.skipped
    held_out = sum(entry.split == HELD_OUT for entry in used)
    table = Table(title=Text(f"Corpus {printable(manifest.folder)}"), show_header=False, title_justify="left")
    table.add_column(overflow="fold", style="bold", max_width=48)
    table.add_column(overflow="fold")
    table.add_row("files", f"{len(used)} used ({len(used) - held_out} to train, {held_out} held out)")
    generated = sum(entry.generated for entry in used)
    if generated:
        table.add_row("", f"{generated} of them generated, never held out")
    table.add_row("", f"{len(skipped)} skipped, {manifest.other_files} other files left alone")
    if manifest.appledouble:
        table.add_row(
            "", f"{manifest.appledouble} named ._… left alone: macOS leaves them beside recordings, without sound"
        )
    table.add_row("length", _length(manifest.minutes))
    rates = Counter(entry.source_rate for entry in used)
    table.add_row("rates", ", ".join(f"{rate / 1000:g} kHz × {n}" for rate, n in sorted(rates.items())))
    channels = Counter(entry.channels for entry in used)
    names = {1: "mono", 2: "stereo"}
    table.add_row("channels", ", ".join(f"{names.get(c, f'{c} channels')} × {n}" for c, n in sorted(channels.items())))
    limits = Counter(round(entry.band_limit_hz, -2) for entry in used if entry.band_limit_hz)
    if limits:
        shown = [f"{readable(limit)} × {n}" for limit, n in sorted(limits.items())]
        whole = len(used) - limits.total()
        table.add_row("sound up to", ", ".join([*shown, *([f"the top × {whole}"] if whole else [])]))
    _list(table, "skipped", [(entry, entry.reason) for entry in skipped], "yellow")
    _list(table, "note", [(entry, entry.note) for entry in used if entry.note], "cyan")
    if len(used) < FEW_FILES:
        table.caption = Text(
            f"Warning: {len(used)} usable file{'s' * (len(used) != 1)}. A model needs variety and none can be held out "
            f"to check it: {FEW_FILES} or more are better.",
            style="yellow",
        )
        table.caption_justify = "left"
    return table


def _list(table: Table, title: str, rows: list[tuple[Entry, str]], style: str) -> None:
    if rows:
        table.add_section()
    for entry, words in rows[:_LISTED]:
        table.add_row(Text(printable(entry.name)), Text(f"{title}: {words}", style=style))
    if len(rows) > _LISTED:
        table.add_row("…", Text(f"{title}: {len(rows) - _LISTED} more, see the manifest", style=style))


def _length(minutes: float) -> str:
    return f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
