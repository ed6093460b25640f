"""`distillgan compare`, `reproduce`, `again` and `adopt`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from distillgan.atomic import copy_beside
from distillgan.audio.io import open_audio
from distillgan.cli import hydra_app
from distillgan.cli.commands.arguments import argument, draw_columns, run
from distillgan.cli.overrides import steered
from distillgan.cli.serialization import with_overrides
from distillgan.data.decode import is_generated
from distillgan.errors import UserError, printable
from distillgan.features.descriptors import readable
from distillgan.store import history_files
from distillgan.store.comparison import Difference, Matched, Measurement, copies, differences, measurements
from distillgan.store.history import Generation, History, in_words
from distillgan.store.presets import Presets, check_text
from distillgan.synthesis.generation import generate
from distillgan.synthesis.reproduce import Original

EXIT_DIFFERENT = 1
_MORE = argument("override", nargs="*", help="further settings of generate, such as recording=FILE or device=cpu")
_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")


def compare_main(arguments: list[str]) -> NoReturn:
    ids = argument("ids", nargs=2, metavar="ID", help="numbers of entries of the history, or latest: A and B")
    keep = argument("--keep", metavar="ID", help="the one of the two that becomes a preset")
    name = argument("--as", dest="name", metavar="NAME", help="the preset's name")
    words = "two sounds side by side: what was set differently, how they came out, and copies of one loudness"
    run("compare", f"{words} to listen to", _compare, [ids, keep, name], arguments)


def _compare(given: argparse.Namespace) -> int:
    history = History(given.home)
    pair = history.named(given.ids)
    if len(pair) < 2:
        raise UserError(f"entry {pair[0].id} cannot be compared with itself: name two")
    kept = _to_keep(given, history, pair)
    first, second = pair
    rows, measured = differences(first.metadata, second.metadata), measurements(first.metadata, second.metadata)
    matched, reason = copies(given.home, first, second)
    if kept is not None:
        Presets(given.home).keep(kept, given.name)
    value = {
        "ids": [first.id, second.id],
        "differences": [asdict(row) for row in rows],
        "measured": [{**asdict(row), "difference": row.difference} for row in measured],
        "copies": None if matched is None else matched.to_dict(),
        "reason": reason,
        "preset": None if kept is None else {"from": kept.id, "name": given.name},
    }
    given.out.show(value, lambda console: _draw(console, pair, rows, measured, matched, reason))
    if kept is None and matched is not None and not given.out.as_json and sys.stdin.isatty():
        _ask(given, pair)
    return 0 if matched else 1


def _to_keep(given: argparse.Namespace, history: History, pair: list[Generation]) -> Generation | None:
    """The entry of --keep; it and its name are checked before anything is made."""
    if (given.keep is None) != (given.name is None):
        raise UserError("--keep ID and --as NAME go together: which sound becomes a preset, and its name")
    if given.keep is None:
        return None
    check_text("--as", given.name)
    (kept,) = history.named([given.keep])
    if kept.id not in [entry.id for entry in pair]:
        raise UserError(f"--keep {given.keep} must be one of the two, {pair[0].id} or {pair[1].id}")
    return kept


def _draw(
    console: Console,
    pair: list[Generation],
    rows: list[Difference],
    measured: list[Measurement],
    matched: Matched | None,
    reason: str,
) -> None:
    def shown(value: object) -> str:
        return "-" if value is None else in_words(value)

    def number(value: float | None) -> str:
        return "-" if value is None else readable(value)

    heads = [f"{side} ({entry.id})" for side, entry in zip("AB", pair, strict=True)]
    if rows:
        draw_columns(console, ["setting", *heads], [(row.key, shown(row.first), shown(row.second)) for row in rows])
    else:
        console.print("nothing was set differently")
    if measured:
        cells = [(row.name, *map(number, (row.first, row.second, row.difference)), row.unit) for row in measured]
        draw_columns(console, ["measured", *heads, "B - A", ""], cells)
    if matched is None:
        console.print(f"no copies to listen to: {reason}", markup=False)
        return
    console.print(f"to listen to, both at {matched.lufs:.1f} LUFS:")
    for path, loudness, gain in zip(matched.paths, matched.loudness, matched.gains_db, strict=True):
        short = ", shorter than 0.4 s and measured as a whole" if loudness.short else ""
        console.print(f"  {printable(path)} ({loudness.lufs:.1f} LUFS, turned by {gain:.1f} dB{short})", markup=False)


def _ask(given: argparse.Namespace, pair: list[Generation]) -> None:
    answer = _answer("Keep one as a preset? [A/B/neither] ").upper()
    if answer not in ("A", "B"):
        return
    entry, name = pair["AB".index(answer)], _answer("Its name: ")
    Presets(given.home).keep(entry, name)
    given.out.say(f"preset {name} of {entry.title}")


def _answer(question: str) -> str:
    """The typed line; empty at Ctrl-D."""
    print(question, end="", flush=True)
    return sys.stdin.readline().strip()


def reproduce_main(arguments: list[str]) -> NoReturn:
    def call(given: argparse.Namespace) -> int:
        return _reproduced(given, Original.of_file(Path(given.file).expanduser()))

    words = "make a sound again from its file alone, and compare"
    run("reproduce", words, call, [argument("file", help="a sound that distillgan made"), _MORE], arguments)


def again_main(arguments: list[str]) -> NoReturn:
    def call(given: argparse.Namespace) -> int:
        return _reproduced(given, Original.of_history(History(given.home).named([given.id])[0]))

    words = "make a generation of the history again, and compare"
    run("again", words, call, [argument("id", help="its number, or `latest`"), _MORE], arguments)


def _reproduced(given: argparse.Namespace, original: Original) -> int:
    out = given.out
    overrides = hydra_app.to_overrides(steered(given.override))
    request, notes = original.request(given.home)
    if overrides:
        request = with_overrides(request, overrides)
    for note in notes:
        out.say(note)
    made = generate(request, out.console)[0]
    verdict = original.verdict(made)
    value = {"of": original.title, "path": str(made.path), "id": made.id, **asdict(verdict)}
    out.show(value, f"{original.title}: {verdict.words}")
    return EXIT_DIFFERENT if verdict.same is False else 0


@dataclass(frozen=True)
class AddedSound:
    """The copy of entry `id`'s sound in the dataset, and notes for its owner."""

    id: int
    path: Path
    notes: list[str]


def add_to_dataset(entries: Sequence[Generation], folder: Path) -> list[AddedSound]:
    """Copy the entries' sounds, byte for byte, into a folder of recordings.

    A name that is taken by another file gets -2, -3 …; a sound that is there already is not copied again.

    Raises UserError if there is no such folder, if a sound is gone, another one by now, or without the tag that says it
    is generated (then none is copied), or if the disk refuses.
    """
    if not folder.is_dir():
        raise UserError(f"{printable(folder)} is no folder: name the one that holds your recordings")
    for entry in entries:
        fault = history_files.fault(entry)
        if fault:
            raise UserError(f"{printable(entry.path)} of entry {entry.id} cannot be adopted: {fault}")
        if not is_generated(entry.path):
            raise UserError(
                f"{printable(entry.path)} of entry {entry.id} has lost the tag by which training would know it: "
                f"make it again, `distillgan again {entry.id}`"
            )
    added = []
    for entry in entries:
        notes, source = [], entry.path
        with open_audio(source) as file:
            if file.subtype in _LOSSY:
                notes.append(
                    f"it is lossy ({file.format}): what the encoder left out will be missing in what is learnt"
                )
        if entry.metadata.get("interrupted"):
            notes.append("it was broken off while it was rendered")
        path, new = copy_beside(source, folder, source.name)
        added.append(AddedSound(entry.id, path, notes if new else [*notes, "it was there already"]))
    return added


def adopt_main(arguments: list[str]) -> NoReturn:
    ids = argument("ids", nargs="+", metavar="ID", help="numbers of entries of the history, or latest")
    into = argument("--into", required=True, metavar="FOLDER", help="the folder that is data.dir of a training")
    words = "copy generated sounds into a folder of recordings: training takes them, and never judges a model by them"
    run("adopt", words, _adopt, [ids, into], arguments)


def _adopt(given: argparse.Namespace) -> None:
    added = add_to_dataset(History(given.home).named(given.ids), Path(given.into).expanduser())
    value = [{"id": one.id, "path": str(one.path), "notes": one.notes} for one in added]
    lines = ["; ".join([f"entry {one.id} → {printable(one.path)}", *one.notes]) for one in added]
    given.out.show(value, "\n".join(lines))
