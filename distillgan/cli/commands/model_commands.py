"""`distillgan models`: found, described, renamed, copied in and out, checked; and `distillgan card`.

Texts from files are shown without what a terminal would obey.
"""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

from distillgan.atomic import refused, replace_file
from distillgan.cli.commands.arguments import Add, Verbs, argument, confirmed, report, single
from distillgan.errors import UserError, printable
from distillgan.models.header import damaged_tensors
from distillgan.paths import Home
from distillgan.store import library as shelf
from distillgan.store import records
from distillgan.store.cards import CARD, Card, folder_of, read_card, sealed
from distillgan.store.library import Origin, find_model, find_named, models_in, origin_of
from distillgan.store.records import Record, described, moment, size, tags

if TYPE_CHECKING:
    from distillgan.control.sliders import Analysis
    from distillgan.store.model_card import Examples
    from distillgan.synthesis.renderer import Model


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


EXIT_DAMAGED = 1
EXIT_NOT_DONE = 1
_NAME = argument("name", metavar="NAME", help="its name, or as much of the beginning as no other name shares")
_WHOLE_NAME = argument("name", metavar="NAME", help="its whole name")
_ANY = argument("model", metavar="NAME", help="its name, the beginning of it, or the path of a file")


def models_main(arguments: list[str]) -> NoReturn:
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
    given.out.show([record.to_dict() for record in kept], lambda console: draw_list(console, kept))
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
    given.out.show(value, lambda console: draw_info(console, record, sizes, origin))


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
    given.out.show(value, lambda _: given.out.say(f"{name}: {tags(header.tags) or 'no tags'}"))


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
        given.out.say(verified(result))
    given.out.show(done, lambda _: None)
    return EXIT_DAMAGED if any(result["damaged"] or result["fault"] for result in done) else None


EXAMPLES, SECONDS, SEED = 3, 6.0, 1
_FOLDER, _PICTURE = "examples", "examples/spectrograms.png"
_PATH = re.compile(r"(?:^|[^\w/.])(?:~?/[\w.~ -]+/|[A-Za-z]:\\)")


def card_main(arguments: list[str]) -> NoReturn:
    name = argument("name", metavar="NAME", help="its name, or as much of the beginning as no other name shares")
    words = f"how many sounds to render: one plain, others with its strongest sliders at their ends ({EXAMPLES})"
    examples = argument("--examples", type=int, default=EXAMPLES, metavar="N", help=words)
    plays = argument("--vocoder", metavar="NAME", help="what plays them (the model's own, else universal)")
    replace = argument("--replace", action="store_true", help="write it anew though somebody has edited it")
    single("card", "write a model card in Markdown, with examples", _card, arguments, name, examples, plays, replace)


def _card(given: argparse.Namespace) -> None:
    if given.examples < 0:
        raise UserError(f"--examples {given.examples}: 0 for none, or how many")
    path = find_named(given.home, given.name)
    made, left_out = make_card(given.home, path, given.examples, given.vocoder, given.replace)
    for words in left_out:
        report(words) if given.out.as_json else given.out.say(words)
    value = {"name": path.stem, "card": str(made.folder / CARD), "files": list(made.files), "left_out": list(left_out)}
    given.out.show(value, lambda _: given.out.say("\n".join([f"{path.stem}: {made.folder / CARD}", *made.files])))


def make_card(
    home: Home, path: Path, count: int = EXAMPLES, vocoder: str | None = None, replace: bool = False
) -> tuple[Card, tuple[str, ...]]:
    """Write the card of a model with `count` examples into its folder; the card, and what it leaves out, and why.

    The card itself is written last; what the one before showed, and this one does not, is then removed.

    Raises:
        UserError: somebody has edited the card, and `replace` is not said; the model is damaged or cannot be played;
            the disk refuses.
    """
    from distillgan.compute import resolve
    from distillgan.store import model_card
    from distillgan.store.cards import read_reports
    from distillgan.store.records import parameters
    from distillgan.synthesis.renderer import Model

    folder = folder_of(home, path.stem)
    before = read_card(folder)
    if before is not None and before.edited and not replace:
        raise UserError(
            f"{folder / CARD} has been edited since it was written, and is left as it is: --replace writes it anew"
        )
    model = Model.load(path, resolve("auto"))
    shown = examples(home, model, folder, count, vocoder) if count else None
    sliders = None if model.analysis is None else model.analysis.sliders()
    header, note, left_out = model.header, model.header.note, ()
    if _PATH.search(note):
        note, left_out = "", (f"the note of {path.stem} names a folder of somebody's machine and is left out",)
    if shown is not None and len(shown.sounds) < count:
        left_out += (f"{path.stem} has {len(shown.sounds)} examples and no more: one plain, one an end of a slider",)
    reports = read_reports(home, path.stem, header.fingerprint)
    text = model_card.write_card(path.stem, header, parameters(path), sliders, note, reports, shown)
    with replace_file(folder / CARD) as temporary:
        temporary.write_bytes(sealed(text, header.fingerprint).encode("utf-8"))
    after = read_card(folder)
    _remove(folder, [] if before is None else sorted(set(before.files) - set(after.files)))
    return after, (*left_out, *reports.left_out)


def examples(home: Home, model: "Model", folder: Path, count: int, vocoder: str | None) -> "Examples":
    """Render examples into the card's folder: always the same for the same model, vocoder and device."""
    import torch

    from distillgan import api
    from distillgan.audio.mel import MelSpectrogram, to_log1p
    from distillgan.audio.picture import draw_mels, save_picture
    from distillgan.store.model_card import Examples

    plays = vocoder or ("universal" if model.vocoder is None else model.vocoder.name)
    player, mels = api.Model(model, home, next(model.network.parameters()).device.type), MelSpectrogram(model.spec)
    sounds, rows = {}, []
    for name, controls in settings(model.analysis, count):
        clip = player.render(SECONDS, seed=SEED, vocoder=plays, **controls)
        file = f"{_FOLDER}/{name}.flac"
        clip.save(folder / file, depth=16)
        words = ", ".join(f"{key} {value:g}" for key, value in controls.items()) or "no slider moved"
        sounds[file] = words
        rows.append({words: to_log1p(mels(torch.from_numpy(clip.wave)), model.spec)[0]})
    save_picture(draw_mels(rows, "examples", model.spec), folder / _PICTURE)
    return Examples(sounds, _PICTURE, plays, SECONDS, SEED)


def settings(analysis: "Analysis | None", count: int) -> list[tuple[str, dict[str, float]]]:
    """Name and sliders of each example: none, then the active ones at their ends, the strongest first; not more than
    there are ends.

    The strongest moves its descriptor by the most standard deviations of the recordings from one end to the other.
    """
    found: list[tuple[str, dict[str, float]]] = [("plain", {})]
    if analysis is not None:
        active = [
            (number, one) for number, one in enumerate(analysis.sliders()) if one.rank is not None and not one.reason
        ]
        moved = {one.name: _moved(analysis, number) for number, one in active}
        for _, slider in sorted(active, key=lambda item: -moved[item[1].name]):
            for word, end in (("low", max(slider.least, -10.0)), ("high", min(slider.most, 10.0))):
                if end:  # at 0 nothing is moved
                    found.append((f"{slider.name}_{word}", {slider.name: end}))
    return found[:count]


def _moved(analysis: "Analysis", number: int) -> float:
    own = analysis.response[number, :, number]
    return float((own.max() - own.min()) / analysis.spread[number])


def _remove(folder: Path, files: Sequence[str]) -> None:
    """What an older card showed; only what such cards are made of."""
    for file in files:
        path = folder / file
        if path.parent == folder / _FOLDER:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise refused(path, error) from error
