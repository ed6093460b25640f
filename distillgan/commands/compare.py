"""`distillgan compare`: two sounds of the history side by side, and as loud as each other to listen to."""

import argparse
import sys
from dataclasses import asdict
from typing import NoReturn

from rich.console import Console

from distillgan.audio.matching import Matched
from distillgan.commands.arguments import argument, single
from distillgan.commands.columns import draw_columns
from distillgan.errors import UserError, printable
from distillgan.latent.descriptors import readable
from distillgan.library.account import told
from distillgan.library.comparison import Difference, Measured, copies, differences, measurements
from distillgan.library.history import Generation, History
from distillgan.library.presets import Presets, check_text

_WORDS = "two sounds side by side: what was set differently, how they came out, and copies of one loudness to listen to"


def main(arguments: list[str]) -> NoReturn:
    ids = argument("ids", nargs=2, metavar="ID", help="numbers of entries of the history, or latest: A and B")
    keep = argument("--keep", metavar="ID", help="the one of the two that becomes a preset")
    name = argument("--as", dest="name", metavar="NAME", help="the preset's name")
    single("compare", _WORDS, _compare, arguments, ids, keep, name)


def _compare(given: argparse.Namespace) -> int:
    history = History(given.home)
    pair = history.named(given.ids)
    if len(pair) < 2:
        raise UserError(f"entry {pair[0].id} cannot be compared with itself: name two")
    kept = _to_keep(given, history, pair)
    first, second = pair
    rows, measured = differences(first.account, second.account), measurements(first.account, second.account)
    matched, reason = copies(given.home, first, second)
    if kept is not None:
        Presets(given.home).keep(kept, given.name)
    value = {
        "ids": [first.id, second.id],
        "differences": [asdict(row) for row in rows],
        "measured": [{**asdict(row), "difference": row.difference} for row in measured],
        "copies": None if matched is None else _as_json(matched),
        "reason": reason,
        "preset": None if kept is None else {"from": kept.id, "name": given.name},
    }
    given.out.show(value, lambda console: _draw(console, pair, rows, measured, matched, reason))
    if kept is None and matched is not None and not given.out.as_json and sys.stdin.isatty():
        _ask(given, pair)
    return 0 if matched else 1


def _to_keep(given: argparse.Namespace, history: History, pair: list[Generation]) -> Generation | None:
    """The entry of --keep, after a look at its name, before anything is made."""
    if (given.keep is None) != (given.name is None):
        raise UserError("--keep ID and --as NAME go together: which sound becomes a preset, and its name")
    if given.keep is None:
        return None
    check_text("--as", given.name)
    (kept,) = history.named([given.keep])
    if kept.id not in [entry.id for entry in pair]:
        raise UserError(f"--keep {given.keep} must be one of the two, {pair[0].id} or {pair[1].id}")
    return kept


def _as_json(matched: Matched) -> dict:
    return {
        "paths": list(map(str, matched.paths)),
        "lufs": [round(item.lufs, 2) for item in matched.loudness],
        "gains_db": [round(gain, 2) for gain in matched.gains_db],
    }


def _draw(
    console: Console,
    pair: list[Generation],
    rows: list[Difference],
    measured: list[Measured],
    matched: Matched | None,
    reason: str,
) -> None:
    heads = [f"{side} ({entry.id})" for side, entry in zip("AB", pair, strict=True)]
    if rows:
        draw_columns(console, ["setting", *heads], [(row.key, _shown(row.first), _shown(row.second)) for row in rows])
    else:
        console.print("nothing was set differently")
    if measured:
        cells = [(row.name, *map(_number, (row.first, row.second, row.difference)), row.unit) for row in measured]
        draw_columns(console, ["measured", *heads, "B - A", ""], cells)
    if matched is None:
        console.print(f"no copies to listen to: {reason}", markup=False)
        return
    console.print(f"to listen to, both at {matched.lufs:.1f} LUFS:")
    for path, loudness, gain in zip(matched.paths, matched.loudness, matched.gains_db, strict=True):
        short = ", shorter than 0.4 s and measured as a whole" if loudness.short else ""
        console.print(f"  {printable(path)} ({loudness.lufs:.1f} LUFS, turned by {gain:.1f} dB{short})", markup=False)


def _shown(value: object) -> str:
    return "-" if value is None else told(value)


def _number(value: float | None) -> str:
    return "-" if value is None else readable(value)


def _ask(given: argparse.Namespace, pair: list[Generation]) -> None:
    answer = _answer("Keep one as a preset? [A/B/neither] ").upper()
    if answer not in ("A", "B"):
        return
    entry, name = pair["AB".index(answer)], _answer("Its name: ")
    Presets(given.home).keep(entry, name)
    given.out.say(f"preset {name} of {entry.title}")


def _answer(question: str) -> str:
    """What is typed; nothing at Ctrl-D."""
    print(question, end="", flush=True)
    return sys.stdin.readline().strip()
