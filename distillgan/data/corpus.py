"""Folders, or the demo corpus, as one scanned corpus, with its table on the terminal."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from omegaconf import ListConfig
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec
from distillgan.data.band import readable
from distillgan.data.demo import write_demo_corpus
from distillgan.data.downmix import MIX
from distillgan.data.manifest import HELD_OUT, Entry, Manifest
from distillgan.data.scan import mark_duplicates, scan, split
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.progress import progress_bar

FEW_FILES = 5
_LISTED = 30
_SHOWN = 40  # characters of a file's name beside the progress bar


def folders(value: object) -> list[str] | None:
    """`data.dir` as a list: one path or several; None for None, the demo corpus. Raises UserError if it is neither."""
    if value is None:
        return None
    listed = list(value) if isinstance(value, list | tuple | ListConfig) else [value]
    if not listed or not all(isinstance(item, str | int | float) and str(item).strip() for item in listed):
        raise UserError(f"data.dir={value} must be the path of a folder, or a list of such")
    return [str(item) for item in listed]


def merged(manifests: list[Manifest]) -> Manifest:
    """One corpus of several folders: their common parent is its folder, what lies in two of them is there once."""
    if len(manifests) == 1:
        return manifests[0]
    root = os.path.commonpath([manifest.folder for manifest in manifests])
    entries: dict[tuple[str, int], Entry] = {}
    for manifest in manifests:
        for entry in manifest.entries:
            path = Path(os.path.relpath(os.path.join(manifest.folder, entry.path), root)).as_posix()
            kept = entries.get((path, entry.channel))
            if kept is None or kept.reason:
                entries[path, entry.channel] = replace(entry, path=path)
    listed = sorted(entries.values(), key=lambda entry: (entry.path.casefold(), entry.path, entry.channel))
    others, appledouble = (sum(getattr(m, name) for m in manifests) for name in ("other_files", "appledouble"))
    return Manifest(root, manifests[0].sample_rate, split(mark_duplicates(listed)), others, appledouble)


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
    minutes = manifest.minutes
    table.add_row("length", f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours")
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


def prepare_corpus(
    folders: list[str] | None, home: Home, spec: MelSpec, console: Console, channels: str = MIX
) -> Manifest:
    """Scan the folders, or the demo corpus (made on first use) where they are None, and print what was found.

    `channels`: what is learnt of several, as of `scan`.

    Raises:
        UserError: a folder holds nothing usable; says why.
    """
    if folders is None:
        if not home.demo.exists():
            console.print("no data.dir: making the demo corpus")
        write_demo_corpus(home.demo)
    places = [home.demo] if folders is None else [Path(folder).expanduser() for folder in folders]
    with progress_bar(console, "reading recordings") as bar:

        def show(done: int, total: int, path: str) -> None:
            bar(done, total, f"reading {Text(printable(Path(path).name)[-_SHOWN:]).markup}")

        manifest = merged([scan(place, home.decoded, spec.sample_rate, show, channels) for place in places])
    console.print(summary_table(manifest))
    return manifest
