"""`distillgan presets`: settings of a sound under a name, for each model."""

import argparse
from typing import NoReturn

from rich.console import Console

from distillgan.commands.arguments import Verbs, argument, confirmed
from distillgan.commands.columns import draw_columns
from distillgan.library.account import flat, told
from distillgan.library.history import History
from distillgan.library.presets import Preset, Presets

_NAME = argument("name", metavar="NAME")
_MODEL = argument("--model", metavar="NAME", help="whose preset, where several models have one of the name")


def main(arguments: list[str]) -> NoReturn:
    verbs = Verbs("presets", "Settings of a sound under a name, for each model: generate model=rain preset=NAME")
    source = argument("--from", dest="source", required=True, metavar="ID", help="an entry of the history, or latest")
    folder = argument("--folder", default="", metavar="FOLDER", help="to keep presets in order: any text, a/b too")
    replace = argument("--replace", action="store_true", help="in the place of the model's preset of that name")
    verbs.add("save", "keep the settings of a sound that was generated", _save, _NAME, source, folder, replace)
    only = argument("--model", metavar="NAME", help="those of this model")
    inside = argument("--folder", metavar="FOLDER", help="those in this folder and the ones inside it")
    verbs.add("list", "all presets", _list, only, inside)
    verbs.add("show", "what a preset sets", _show, _NAME, _MODEL)
    verbs.add("rename", "give a preset another name", _rename, _NAME, argument("new", metavar="NEW"), _MODEL)
    into = argument("--folder", required=True, metavar="FOLDER", help="the other folder; '' for none")
    verbs.add("move", "put a preset into another folder", _move, _NAME, into, _MODEL)
    yes = argument("--yes", action="store_true", help="do not ask")
    verbs.add("delete", "forget a preset", _delete, _NAME, _MODEL, yes)
    verbs.run(arguments)


def _save(given: argparse.Namespace) -> None:
    (entry,) = History(given.home).named([given.source])
    presets = Presets(given.home)
    presets.keep(entry, given.name, given.folder, given.replace)
    saved = presets.find(given.name, entry.title)
    given.out.show(saved.to_dict(), lambda console: _draw(console, saved))


def _list(given: argparse.Namespace) -> None:
    found = Presets(given.home).all(given.model, given.folder)
    given.out.show([preset.to_dict() for preset in found], lambda console: _draw_list(console, found))


def _draw_list(console: Console, found: list[Preset]) -> None:
    if not found:
        console.print("no preset")
        return
    rows = [(preset.model, preset.folder, preset.name, _settings(preset, ", ")) for preset in found]
    draw_columns(console, ("model", "folder", "name", "sets"), rows)


def _show(given: argparse.Namespace) -> None:
    preset = Presets(given.home).find(given.name, given.model)
    given.out.show(preset.to_dict(), lambda console: _draw(console, preset))


def _draw(console: Console, preset: Preset) -> None:
    where = f" in {preset.folder}" if preset.folder else ""
    console.print(f"{preset.name}{where}, of {preset.model} ({preset.fingerprint})", style="bold", markup=False)
    console.print(_settings(preset, "\n"), markup=False)


def _settings(preset: Preset, joint: str) -> str:
    return joint.join(f"{key}={told(value)}" for key, value in flat(preset.settings).items())


def _rename(given: argparse.Namespace) -> None:
    presets = Presets(given.home)
    model = presets.find(given.name, given.model).model
    presets.rename(given.name, given.new, model)
    given.out.show(presets.find(given.new, model).to_dict(), lambda _: None)


def _move(given: argparse.Namespace) -> None:
    presets = Presets(given.home)
    model = presets.find(given.name, given.model).model
    presets.move(given.name, given.folder, model)
    given.out.show(presets.find(given.name, model).to_dict(), lambda _: None)


def _delete(given: argparse.Namespace) -> int:
    presets = Presets(given.home)
    preset = presets.find(given.name, given.model)
    if not confirmed(f"Delete preset {preset.name} of {preset.model}?", given.yes):
        given.out.say("nothing is deleted")
        return 1
    presets.delete(given.name, preset.model)
    given.out.show({"deleted": preset.to_dict()}, lambda _: None)
    return 0
