"""`distillgan history` and `distillgan presets`."""

import argparse
import struct
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NoReturn

from rich.console import Console

from distillgan.cli.commands.arguments import EXIT_NOT_DONE, YES, argument, confirmed, draw_columns, run_verbs
from distillgan.errors import UserError, printable, whole
from distillgan.store import history_files
from distillgan.store.history import Generation, History, flat, in_words, seconds_of
from distillgan.store.presets import Preset, Presets

_IDS = argument("ids", nargs="+", metavar="ID", help="numbers of entries, or latest")
_FILES = argument("--files", action="store_true", help="their sounds, pictures and accounts, too")
_LISTED = 20
_FILTERS = [
    argument("--model", metavar="NAME", help="what this model has a part in"),
    argument("--starred", action="store_true", help="what is starred"),
    argument("--since", metavar="SPAN", help="what was made in the last 12h, 2d, 3w …"),
    argument("--limit", type=int, default=_LISTED, metavar="N", help=f"so many at most, the latest ({_LISTED})"),
]
_NAME = argument("name", metavar="NAME")
_MODEL = argument("--model", metavar="NAME", help="whose preset, where several models have one of the name")
ROWS, COLUMNS = 8, 80  # of a drawn thumbnail
_HALVES = 2 * ROWS
_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
_FULL_SCALE = 127


def drawn(thumbnail: bytes) -> list[str]:
    """ROWS lines of at most COLUMNS letters for int8 pairs (lowest, highest), full scale 127; none of no pairs."""
    pairs = list(struct.iter_unpack("bb", thumbnail))
    width = min(COLUMNS, len(pairs))
    columns = []
    for number in range(width):
        part = pairs[number * len(pairs) // width : (number + 1) * len(pairs) // width]
        ends = max(high for _, high in part), min(low for low, _ in part)
        # The half rows, from the top, that a column spans: one at least.
        top, bottom = (min(_HALVES - 1, int((_FULL_SCALE - end) * _HALVES / (2 * _FULL_SCALE))) for end in ends)
        columns.append(range(top, bottom + 1))
    return ["".join(_BLOCKS[2 * row in c, 2 * row + 1 in c] for c in columns) for row in range(ROWS)] if width else []


def history_main(arguments: list[str]) -> NoReturn:
    words = argument("words", nargs="+", metavar="WORD", help="of models, settings, file: rain seed=3 brightness=5")
    older = argument("--older-than", metavar="SPAN", help="what was made more than 30d, 3w … ago")
    keep = argument("--keep", type=int, metavar="N", help="all but the N latest")
    verbs = {
        "list": ("the latest entries", _list, _FILTERS),
        "search": ("entries that hold all these words", _list, [words, *_FILTERS]),
        "show": ("all that is known of an entry", _show, [argument("ids", nargs=1, metavar="ID")]),
        "star": ("mark entries: prune never takes them", partial(_star, starred=True), [_IDS]),
        "unstar": ("take the mark off", partial(_star, starred=False), [_IDS]),
        "delete": ("take entries out; their files stay", _delete, [_IDS, _FILES, YES]),
        "prune": ("take old entries out, but none that is starred", _prune, [older, keep, _FILES, YES]),
    }
    run_verbs("history", "Every sound that was generated: what made it, and where it is.", verbs, arguments)


def _list(given: argparse.Namespace) -> None:
    whole("--limit", given.limit, 1)
    since = None if given.since is None else time.time() - seconds_of("--since", given.since)
    words = getattr(given, "words", ())
    found = History(given.home).find(words, given.model, given.starred, since, given.limit)
    given.out.show([entry.to_dict() for entry in found], lambda console: _draw_list(console, found))


def _draw_list(console: Console, found: Sequence[Generation]) -> None:
    if not found:
        console.print("no entry")
        return
    rows = []
    for entry in found:
        metadata = entry.metadata
        controls = flat((metadata.get("settings") or {}).get("controls")).items()
        rows.append(
            [
                str(entry.id),
                "★" if entry.starred else "",
                datetime.fromtimestamp(entry.made).strftime("%Y-%m-%d %H:%M"),
                entry.title,
                *(
                    "" if metadata.get(key) is None else in_words(metadata[key])
                    for key in ("seconds", "seed", "vocoder")
                ),
                " ".join(f"{name}={in_words(value)}" for name, value in controls),
                entry.path.name,
            ]
        )
    draw_columns(console, ("id", "", "made", "model", "seconds", "seed", "vocoder", "controls", "file"), rows)


def _show(given: argparse.Namespace) -> None:
    (entry,) = History(given.home).named(given.ids)
    there = entry.path.is_file()
    given.out.show({**entry.to_dict(), "there": there}, lambda console: _draw(console, entry, there))


def _draw(console: Console, entry: Generation, there: bool) -> None:
    made = datetime.fromtimestamp(entry.made).strftime("%Y-%m-%d %H:%M:%S")
    lines = [f"entry {entry.id}{' ★' if entry.starred else ''}, {made}"]
    lines += [f"{printable(entry.path)}{'' if there else '  (gone)'}", *drawn(entry.thumbnail)]
    rest = {key: value for key, value in entry.metadata.items() if key not in ("settings", "models")}
    known = flat(entry.metadata.get("settings")) | flat(rest)  # what came of a setting, where it is known
    lines += [f"  {printable(key)}: {in_words(value)}" for key, value in known.items()]
    for model in entry.metadata.get("models") or []:
        lines.append(
            f"  model: {', '.join(f'{printable(key)} {in_words(value)}' for key, value in flat(model).items())}"
        )
    for line in lines:
        console.out(line, highlight=False)


def _star(given: argparse.Namespace, starred: bool) -> None:
    history = History(given.home)
    ids = [entry.id for entry in history.named(given.ids)]
    history.star(ids, starred)
    given.out.show({"ids": ids, "starred": starred})


def _delete(given: argparse.Namespace) -> int:
    history = History(given.home)
    entries = history.named(given.ids)
    numbers = ", ".join(str(entry.id) for entry in entries)
    return _take_out(given, history, [entry.id for entry in entries], f"entries {numbers} of the history", False)


def _prune(given: argparse.Namespace) -> int:
    if (given.older_than is None) == (given.keep is None):
        raise UserError("history prune wants to know what: either --older-than 30d or --keep N")
    history, before = History(given.home), None
    if given.keep is None:
        before = time.time() - seconds_of("--older-than", given.older_than)
    else:
        whole("--keep", given.keep, 0)
    ids = history.prunable(before, given.keep)
    return _take_out(given, history, ids, f"{len(ids)} entr{'y' if len(ids) == 1 else 'ies'} of the history", True)


def _take_out(given: argparse.Namespace, history: History, ids: list[int], what: str, spare_starred: bool) -> int:
    """The exit code: 1 if it was not to be, or files were left."""
    gone: list[Generation] = []
    left: dict[int, str] = {}
    beside = " and their files" if given.files else "; files stay"
    if ids:
        if not confirmed(f"Delete {what}{beside}?", given.yes):
            given.out.say("nothing is deleted")
            return EXIT_NOT_DONE
        gone = history.delete(ids, spare_starred)
        if given.files:
            left = {entry.id: reason for entry in gone if (reason := history_files.remove(entry, history))}
    paths = {entry.id: entry.path for entry in gone}
    kept = [{"id": id, "path": str(paths[id]), "reason": reason} for id, reason in left.items()]
    given.out.show({"deleted": list(paths), "left": kept}, f"{len(gone)} deleted")
    for id, reason in left.items():
        given.out.say(f"left: {printable(paths[id])} of entry {id}: {reason}")
    return EXIT_NOT_DONE if left else 0


def presets_main(arguments: list[str]) -> NoReturn:
    source = argument("--from", dest="source", required=True, metavar="ID", help="an entry of the history, or latest")
    folder = argument("--folder", default="", metavar="FOLDER", help="to keep presets in order: any text, a/b too")
    replace = argument("--replace", action="store_true", help="in the place of the model's preset of that name")
    only = argument("--model", metavar="NAME", help="those of this model")
    inside = argument("--folder", metavar="FOLDER", help="those in this folder and the ones inside it")
    into = argument("--folder", required=True, metavar="FOLDER", help="the other folder; '' for none")
    new = argument("new", metavar="NEW")
    verbs = {
        "save": ("keep the settings of a sound that was generated", _save, [_NAME, source, folder, replace]),
        "list": ("all presets", _presets_list, [only, inside]),
        "show": ("what a preset sets", _presets_show, [_NAME, _MODEL]),
        "rename": ("give a preset another name", _rename, [_NAME, new, _MODEL]),
        "move": ("put a preset into another folder", _move, [_NAME, into, _MODEL]),
        "delete": ("forget a preset", _presets_delete, [_NAME, _MODEL, YES]),
    }
    words = "Settings of a sound under a name, for each model: generate model=rain preset=NAME"
    run_verbs("presets", words, verbs, arguments)


def _save(given: argparse.Namespace) -> None:
    (entry,) = History(given.home).named([given.source])
    presets = Presets(given.home)
    presets.keep(entry, given.name, given.folder, given.replace)
    saved = presets.find(given.name, entry.title)
    given.out.show(saved.to_dict(), lambda console: _presets_draw(console, saved))


def _presets_list(given: argparse.Namespace) -> None:
    found = Presets(given.home).all(given.model, given.folder)
    given.out.show([preset.to_dict() for preset in found], lambda console: _presets_draw_list(console, found))


def _presets_draw_list(console: Console, found: list[Preset]) -> None:
    if not found:
        console.print("no preset")
        return
    rows = [(preset.model, preset.folder, preset.name, _settings(preset, ", ")) for preset in found]
    draw_columns(console, ("model", "folder", "name", "sets"), rows)


def _presets_show(given: argparse.Namespace) -> None:
    preset = Presets(given.home).find(given.name, given.model)
    given.out.show(preset.to_dict(), lambda console: _presets_draw(console, preset))


def _presets_draw(console: Console, preset: Preset) -> None:
    where = f" in {preset.folder}" if preset.folder else ""
    console.print(f"{preset.name}{where}, of {preset.model} ({preset.fingerprint})", style="bold", markup=False)
    console.print(_settings(preset, "\n"), markup=False)


def _settings(preset: Preset, joint: str) -> str:
    return joint.join(f"{key}={in_words(value)}" for key, value in flat(preset.settings).items())


def _rename(given: argparse.Namespace) -> None:
    presets = Presets(given.home)
    model = presets.find(given.name, given.model).model
    presets.rename(given.name, given.new, model)
    given.out.show(presets.find(given.new, model).to_dict())


def _move(given: argparse.Namespace) -> None:
    presets = Presets(given.home)
    model = presets.find(given.name, given.model).model
    presets.move(given.name, given.folder, model)
    given.out.show(presets.find(given.name, model).to_dict())


def _presets_delete(given: argparse.Namespace) -> int:
    presets = Presets(given.home)
    preset = presets.find(given.name, given.model)
    if not confirmed(f"Delete preset {preset.name} of {preset.model}?", given.yes):
        given.out.say("nothing is deleted")
        return EXIT_NOT_DONE
    presets.delete(given.name, preset.model)
    given.out.show({"deleted": preset.to_dict()})
    return 0
