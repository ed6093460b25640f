"""`distillgan adopt`: generated sounds into a folder of recordings, to train on."""

import argparse
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from distillgan.commands.arguments import argument, single
from distillgan.errors import printable
from distillgan.library.adoption import Adopted, adopt
from distillgan.library.history import History

_WORDS = "copy generated sounds into a folder of recordings: training takes them, and never judges a model by them"


def main(arguments: list[str]) -> NoReturn:
    ids = argument("ids", nargs="+", metavar="ID", help="numbers of entries of the history, or latest")
    into = argument("--into", required=True, metavar="FOLDER", help="the folder that is data.dir of a training")
    single("adopt", _WORDS, _adopt, arguments, ids, into)


def _adopt(given: argparse.Namespace) -> None:
    adopted = adopt(History(given.home).named(given.ids), Path(given.into).expanduser())
    value = [{"id": one.id, "path": str(one.path), "notes": one.notes} for one in adopted]
    given.out.show(value, lambda console: _draw(console, adopted))


def _draw(console: Console, adopted: list[Adopted]) -> None:
    for one in adopted:
        notes = "".join(f"; {note}" for note in one.notes)
        console.print(f"entry {one.id} → {printable(one.path)}{notes}", markup=False)
