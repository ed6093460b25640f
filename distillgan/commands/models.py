"""`distillgan models`: what the library holds, found, described, renamed, copied in and out, and checked."""

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from distillgan.commands import model_tables
from distillgan.commands.arguments import Add, Verbs, argument, confirmed, report
from distillgan.errors import UserError
from distillgan.library import records, shelf
from distillgan.library.catalog import find_model, find_named, models_in
from distillgan.library.origins import origin_of
from distillgan.modelcopy import damaged_tensors

EXIT_DAMAGED = 1
EXIT_NOT_DONE = 1
_NAME = argument("name", metavar="NAME", help="its name, or as much of the beginning as no other name shares")
_WHOLE_NAME = argument("name", metavar="NAME", help="its whole name")
_ANY = argument("model", metavar="NAME", help="its name, the beginning of it, or the path of a file")


def main(arguments: list[str]) -> NoReturn:
    verbs = Verbs("models", "The library of models.")
    words = argument("words", nargs="+", metavar="WORD", help="each must be in its name, tags or note")
    verbs.add("list", "all models, or those that are as asked for", _list, *_filters())
    verbs.add("search", "those that have the words in their name, tags or note", _search, words, *_filters())
    verbs.add("info", "all that is known of a model", _info, _ANY)
    new = argument("new", metavar="NEW", help="the new name")
    verbs.add("rename", "give a model, and its run, another name", _rename, _WHOLE_NAME, new)
    tags = argument("tags", nargs="*", metavar="TAG", help="a word to find it by")
    untag = argument("--remove", action="append", default=[], metavar="TAG", help="take a tag away (may be repeated)")
    verbs.add("tag", "tags to find a model by", _tag, _NAME, tags, untag)
    text = argument("text", nargs="+", metavar="TEXT", help='the new note, "" for none')
    verbs.add("note", "a note on a model, in place of the one it has", _note, _NAME, text)
    files = argument("files", nargs="+", type=Path, metavar="FILE", help="a .distillgan file")
    name = argument("--name", metavar="NAME", help="another name than its own; for one file")
    verbs.add("import", "check files, and copy them into the library", _import, files, name)
    path = argument("path", type=Path, metavar="PATH", help="a folder, or a file that is not there yet")
    verbs.add("export", "copy a model out of the library", _export, _NAME, path)
    yes = argument("--yes", action="store_true", help="do not ask; NAME is then the whole name")
    verbs.add("delete", "remove a model's file; its run stays", _delete, _NAME, yes)
    which = argument("models", nargs="*", metavar="NAME", help="names, beginnings of names, or paths of files")
    everything = argument("--all", action="store_true", help="all of the library")
    verbs.add("verify", "check every tensor; exit code 1 if any is damaged", _verify, which, everything)
    verbs.run(arguments)


def _filters() -> list[Add]:
    return [
        argument("--sort", choices=list(records.ORDERS), default="name", help="what it is ordered by (name)"),
        argument("--reverse", action="store_true", help="the other way round"),
        argument("--vocoder", action=argparse.BooleanOptionalAction, help="with, or without, a vocoder of its own"),
        argument("--rate", type=int, metavar="HZ", help="of this sample rate"),
        argument("--min-minutes", type=number, metavar="M", help="learnt from at least so many minutes"),
        argument("--max-minutes", type=number, metavar="M", help="learnt from at most so many minutes"),
        argument("--tag", action="append", default=[], metavar="TAG", help="with this tag (may be repeated: with all)"),
    ]


def number(text: str) -> float:
    """For argparse, which names the function where it refuses: no NaN, and nothing infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _list(given: argparse.Namespace) -> None:
    _show(given, records.records(given.home))


def _search(given: argparse.Namespace) -> None:
    _show(given, records.search(records.records(given.home), given.words))


def _show(given: argparse.Namespace, found: list[records.Record]) -> None:
    kept = records.narrowed(found, given.vocoder, given.rate, given.min_minutes, given.max_minutes, given.tag)
    kept = records.ordered(kept, given.sort, given.reverse)
    left_out = sum(record.fault is not None for record in found) - sum(record.fault is not None for record in kept)
    given.out.show([record.to_dict() for record in kept], lambda console: model_tables.draw_list(console, kept))
    if left_out:
        report(f"{left_out} of the files cannot be read and are left out: `distillgan models list` says why")


def _info(given: argparse.Namespace) -> None:
    path = find_model(given.home, given.model)
    record = records.record_of(path)
    if record.header is None:
        raise UserError(record.fault)
    sizes = records.parameters(path)
    origin = origin_of(given.home, record.header.fingerprint)
    value = {**record.to_dict(), "parameters": sizes, "header": record.header.to_dict()}
    value["origin"] = origin and asdict(origin)
    given.out.show(value, lambda console: model_tables.draw_info(console, record, sizes, origin))


def _rename(given: argparse.Namespace) -> None:
    had_run = given.home.run(given.name).exists()
    path = shelf.rename_model(given.home, given.name, given.new)
    run = given.home.run(given.new) if had_run else None
    value = {"name": given.new, "path": str(path), "run": run and str(run)}
    given.out.show(value, lambda _: given.out.say(f"{given.name} is {given.new} now: {path}" + (f", {run}" * had_run)))


def _tag(given: argparse.Namespace) -> None:
    if not given.tags and not given.remove:
        raise UserError("name tags to add, or some to take away with --remove TAG")
    name = find_named(given.home, given.name).stem
    header = shelf.set_tags(given.home, name, given.tags, given.remove)
    value = {"name": name, "tags": header.tags}
    given.out.show(value, lambda _: given.out.say(f"{name}: {model_tables.tags(header.tags) or 'no tags'}"))


def _note(given: argparse.Namespace) -> None:
    name = find_named(given.home, given.name).stem
    header = shelf.set_note(given.home, name, " ".join(given.text))
    given.out.show({"name": name, "note": header.note}, lambda _: given.out.say(f"{name}: noted"))


def _import(given: argparse.Namespace) -> int | None:
    if given.name is not None and len(given.files) > 1:
        raise UserError(f"--name {given.name} is for one file, and {len(given.files)} are to be imported")
    done = []
    for file in given.files:
        result = {"file": str(file), "name": None, "path": None, "added": False, "fault": None}
        try:
            path, added = shelf.import_model(given.home, file.expanduser(), given.name)
            result |= {"name": path.stem, "path": str(path), "added": added}
            given.out.say(f"{path.stem}: {'imported' if added else 'there already'}, {path}")
        except UserError as fault:  # the other files are no worse for it
            result["fault"] = str(fault)
            report(str(fault))
        done.append(result)
    given.out.show(done, lambda _: None)
    return 2 if any(result["fault"] for result in done) else None


def _export(given: argparse.Namespace) -> None:
    source = find_named(given.home, given.name)
    target = shelf.export_model(source, given.path)
    value = {"name": source.stem, "path": str(target)}
    given.out.show(value, lambda _: given.out.say(f"{source.stem}: exported, {target}"))


def _delete(given: argparse.Namespace) -> int | None:
    path = find_named(given.home, given.name)
    name, run = path.stem, given.home.run(path.stem)
    if given.yes and name != given.name:
        raise UserError(f"{given.name} is the beginning of {name}: with --yes, write the whole name")
    run = run if run.exists() else None
    stays = f" Its run stays: {run}." if run else ""
    if not confirmed(f"Delete model {name} ({path})?{stays}", given.yes):
        given.out.say("nothing is deleted")
        return EXIT_NOT_DONE
    shelf.delete_model(given.home, name)
    value = {"name": name, "deleted": str(path), "run": run and str(run)}
    given.out.show(value, lambda _: given.out.say(f"{name}: deleted.{stays}"))
    return None


def _verify(given: argparse.Namespace) -> int | None:
    if given.all == bool(given.models):
        raise UserError("name models to check, or say --all")
    paths = models_in(given.home) if given.all else [find_model(given.home, model) for model in given.models]
    done = []
    for path in sorted(paths) if given.all else paths:
        result = {"name": path.stem, "path": str(path), "damaged": [], "fault": None}
        try:
            result["damaged"] = damaged_tensors(path)
        except UserError as fault:
            result["fault"] = str(fault)
        done.append(result)
        given.out.say(model_tables.verified(result))
    given.out.show(done, lambda _: None)
    return EXIT_DAMAGED if any(result["damaged"] or result["fault"] for result in done) else None
