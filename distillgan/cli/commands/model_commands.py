"""`distillgan models` and `distillgan card`; text from files is shown without what a terminal would obey."""

import argparse
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from distillgan.atomic import refused, replace_file
from distillgan.cli.commands.arguments import (
    BEGINNING,
    EXIT_NOT_DONE,
    EXIT_USER_ERROR,
    YES_AND_WHOLE,
    argument,
    confirmed,
    draw_columns,
    report,
    run,
    run_verbs,
)
from distillgan.errors import UserError, printable
from distillgan.models.header import damaged_tensors
from distillgan.paths import Home, current_kind
from distillgan.store import library, model_store
from distillgan.store.cards import CARD, Card, folder_of, read_card, sealed
from distillgan.store.library import Imported, Provenance, find_model, find_named, models_in, provenance_of
from distillgan.store.model_store import StoredModel, described, local_time, size, tags

if TYPE_CHECKING:
    from distillgan.control.sliders import Analysis
    from distillgan.store.model_card import Examples
    from distillgan.synthesis.renderer import Model


_HEADINGS = ("name", "date", "minutes", "error", "vocoder", "size", "tags")
EXIT_DAMAGED = 1


def models_main(arguments: list[str]) -> NoReturn:
    whole_name = argument("name", metavar="NAME", help="its whole name")
    model = argument("model", metavar="NAME", help="its name, the beginning of it, or the path of a file")
    words = argument("words", nargs="+", metavar="WORD", help="each must be in its name, tags or note")
    new = argument("new", metavar="NEW", help="the new name")
    tags = argument("tags", nargs="*", metavar="TAG", help="a word to find it by")
    untag = argument("--remove", action="append", default=[], metavar="TAG", help="take a tag away (may be repeated)")
    text = argument("text", nargs="+", metavar="TEXT", help='the new note, "" for none')
    files = argument("files", nargs="+", type=Path, metavar="FILE", help="a .distillgan file")
    other_name = argument("--name", metavar="NAME", help="another name than its own; for one file")
    path = argument("path", type=Path, metavar="PATH", help="a folder, or a file that is not there yet")
    which = argument("models", nargs="*", metavar="NAME", help="names, beginnings of names, or paths of files")
    everything = argument("--all", action="store_true", help="all of the library")
    filters = [
        argument("--sort", choices=list(model_store.ORDERS), default="name", help="what it is ordered by (name)"),
        argument("--reverse", action="store_true", help="the other way round"),
        argument("--vocoder", action=argparse.BooleanOptionalAction, help="with, or without, a vocoder of its own"),
        argument("--rate", type=int, metavar="HZ", help="of this sample rate"),
        argument("--min-minutes", type=number, metavar="M", help="learnt from at least so many minutes"),
        argument("--max-minutes", type=number, metavar="M", help="learnt from at most so many minutes"),
        argument("--tag", action="append", default=[], metavar="TAG", help="with this tag (may be repeated: with all)"),
    ]
    verbs = {
        "list": ("all models, or those that are as asked for", _list, filters),
        "search": ("those that have the words in their name, tags or note", _list, [words, *filters]),
        "info": ("all that is known of a model", _info, [model]),
        "rename": ("give a model, and its run, another name", _rename, [whole_name, new]),
        "tag": ("tags to find a model by", _tag, [BEGINNING, tags, untag]),
        "note": ("a note on a model, in place of the one it has", _note, [BEGINNING, text]),
        "import": ("check files, and copy them into the library", _import, [files, other_name]),
        "export": ("copy a model out of the library", _export, [BEGINNING, path]),
        "delete": ("remove a model's file; its run stays", _delete, [BEGINNING, YES_AND_WHOLE]),
        "verify": ("check every tensor; exit code 1 if any is damaged", _verify, [which, everything]),
    }
    run_verbs("models", "The library of models.", verbs, arguments)


def number(text: str) -> float:
    """For argparse, which names the function where it refuses: no NaN, and nothing infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _list(given: argparse.Namespace) -> None:
    found = model_store.search(model_store.list_models(given.home), getattr(given, "words", ()))
    kept = model_store.narrowed(found, given.vocoder, given.rate, given.min_minutes, given.max_minutes, given.tag)
    kept = model_store.ordered(kept, given.sort, given.reverse)
    left_out = sum(stored.fault is not None for stored in found) - sum(stored.fault is not None for stored in kept)
    given.out.show([stored.to_dict() for stored in kept], lambda console: draw_list(console, kept))
    if left_out:
        report(f"{left_out} of the files cannot be read and are left out: `distillgan models list` says why")


def draw_list(console: Console, found: Sequence[StoredModel]) -> None:
    """A line a model, then a line a file that cannot be read."""
    rows = [
        (
            stored.name,
            local_time(stored.header.created),
            f"{stored.minutes:.1f}",
            "" if stored.error_db is None else f"{stored.error_db:.2f} dB",
            stored.vocoder or "-",
            size(stored.bytes),
            tags(stored.header.tags),
        )
        for stored in found
        if stored.header is not None
    ]
    if not found:
        console.print("no models")
        return
    draw_columns(console, _HEADINGS, rows, right=("minutes", "error", "size"))
    for stored in found:
        if stored.fault is not None:
            console.out(f"cannot be read: {printable(stored.fault)}", style="yellow", highlight=False)


def _info(given: argparse.Namespace) -> None:
    path = find_model(given.home, given.model)
    stored = model_store.stored_model(path)
    if stored.header is None:
        raise UserError(stored.fault)
    sizes = model_store.parameters(path)
    origin = provenance_of(given.home, stored.header.fingerprint)
    value = {**stored.to_dict(), "parameters": sizes, "header": stored.header.to_dict()}
    value["origin"] = origin and origin._asdict()
    given.out.show(value, lambda console: draw_info(console, stored, sizes, origin))


def draw_info(console: Console, stored: StoredModel, parameters: Mapping[str, int], origin: Provenance | None) -> None:
    console.out(printable(stored.name), style="bold", highlight=False)
    pulled = {} if origin is None else {"pulled from": printable(str(origin))}
    for heading, text in {**described(stored, parameters), **pulled}.items():
        console.out(f"  {heading:<16}{text}", highlight=False)


def _rename(given: argparse.Namespace) -> None:
    had_run = given.home.run(given.name).exists()
    path = library.rename_model(given.home, given.name, given.new)
    folder = str(given.home.run(given.new)) if had_run else None
    words = f"{given.name} is {given.new} now: {path}{f', {folder}' if folder else ''}"
    given.out.show({"name": given.new, "path": str(path), "run": folder}, words)


def _tag(given: argparse.Namespace) -> None:
    if not given.tags and not given.remove:
        raise UserError("name tags to add, or some to take away with --remove TAG")
    name = find_named(given.home, given.name).stem
    header = library.set_tags(given.home, name, given.tags, given.remove)
    value = {"name": name, "tags": header.tags}
    given.out.show(value, f"{name}: {tags(header.tags) or 'no tags'}")


def _note(given: argparse.Namespace) -> None:
    name = find_named(given.home, given.name).stem
    header = library.set_note(given.home, name, " ".join(given.text))
    given.out.show({"name": name, "note": header.note}, f"{name}: noted")


def _import(given: argparse.Namespace) -> int | None:
    if given.name is not None and len(given.files) > 1:
        raise UserError(f"--name {given.name} is for one file, and {len(given.files)} are to be imported")
    named = [
        ({"file": str(file)}, partial(library.import_model, given.home, file.expanduser(), given.name))
        for file in given.files
    ]
    return take_in(given, "imported", named)


def take_in(given: argparse.Namespace, done: str, models: Iterable[tuple[dict, Callable[[], Imported]]]) -> int | None:
    """Take models into the library, each with what JSON says of it; a fault is reported, and the others go on."""
    results = []
    for about, take in models:
        result = {**about, "name": None, "path": None, "added": False, "fault": None}
        try:
            path, added = take()
            result |= {"name": path.stem, "path": str(path), "added": added}
            given.out.say(f"{path.stem}: {done if added else 'there already'}, {path}")
        except UserError as fault:
            result["fault"] = str(fault)
            report(fault)
        results.append(result)
    given.out.show(results)
    return EXIT_USER_ERROR if any(result["fault"] for result in results) else None


def _export(given: argparse.Namespace) -> None:
    source = find_named(given.home, given.name)
    target = library.export_model(source, given.path)
    value = {"name": source.stem, "path": str(target)}
    given.out.show(value, f"{source.stem}: exported, {target}")


def _delete(given: argparse.Namespace) -> int | None:
    path = find_named(given.home, given.name)
    name = path.stem
    if given.yes and name != given.name:
        raise UserError(f"{given.name} is the beginning of {name}: with --yes, write the whole name")
    folder = str(given.home.run(name)) if given.home.run(name).exists() else None
    stays = f" Its run stays: {folder}." if folder else ""
    if not confirmed(f"Delete model {name} ({path})?{stays}", given.yes):
        given.out.say("nothing is deleted")
        return EXIT_NOT_DONE
    library.delete_model(given.home, name)
    value = {"name": name, "deleted": str(path), "run": folder}
    given.out.show(value, f"{name}: deleted.{stays}")
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
        faults = printable(result["fault"] or "") or ", ".join(map(printable, result["damaged"]))
        given.out.say(f"{path.stem}: damaged: {faults}" if faults else f"{path.stem}: whole")
    given.out.show(done)
    return EXIT_DAMAGED if any(result["damaged"] or result["fault"] for result in done) else None


EXAMPLES, SECONDS, SEED = 3, 6.0, 1
_FOLDER, _PICTURE = "examples", "examples/spectrograms.png"
_PATH = re.compile(r"(?:^|[^\w/.])(?:~?/[\w.~ -]+/|[A-Za-z]:\\)")


def card_main(arguments: list[str]) -> NoReturn:
    words = f"how many sounds to render: one plain, others with its strongest sliders at their ends ({EXAMPLES})"
    examples = argument("--examples", type=int, default=EXAMPLES, metavar="N", help=words)
    plays = argument("--vocoder", metavar="NAME", help="what plays them (the model's own, else universal)")
    replace = argument("--replace", action="store_true", help="write it anew though somebody has edited it")
    run(
        "card", "write a model card in Markdown, with examples", _card, [BEGINNING, examples, plays, replace], arguments
    )


def _card(given: argparse.Namespace) -> None:
    if given.examples < 0:
        raise UserError(f"--examples {given.examples}: 0 for none, or how many")
    path = find_named(given.home, given.name)
    made, left_out = make_card(given.home, path, given.examples, given.vocoder, given.replace)
    for words in left_out:
        report(words) if given.out.as_json else given.out.say(words)
    value = {"name": path.stem, "card": str(made.folder / CARD), "files": list(made.files), "left_out": list(left_out)}
    given.out.show(value, "\n".join([f"{path.stem}: {made.folder / CARD}", *made.files]))


def make_card(
    home: Home, path: Path, count: int = EXAMPLES, vocoder: str | None = None, replace: bool = False
) -> tuple[Card, tuple[str, ...]]:
    """Write the card of a model with `count` examples into its folder; the card, and reasons for what it leaves out.

    The card itself is written last; then the older card's files that it does not show are removed.

    Raises UserError if somebody has edited the card and not `replace`, if the model is damaged or cannot be played, or
    if the disk refuses.
    """
    from distillgan.compute import resolve
    from distillgan.store.cards import read_reports
    from distillgan.store.model_card import write_card
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
    text = write_card(path.stem, header, model_store.parameters(path), sliders, note, reports, shown)
    with replace_file(folder / CARD) as temporary:
        temporary.write_bytes(sealed(text, header.fingerprint).encode("utf-8"))
    after = read_card(folder)
    for file in sorted(set(before.files) - set(after.files)) if before else ():
        old = folder / file
        if old.parent == folder / _FOLDER:  # only what such cards are made of
            try:
                old.unlink(missing_ok=True)
            except OSError as error:
                raise refused(old, error) from error
    return after, (*left_out, *reports.left_out)


def examples(home: Home, model: "Model", folder: Path, count: int, vocoder: str | None) -> "Examples":
    """Render examples into the card's folder, always the same for the same model, vocoder and device."""
    import torch

    from distillgan import api
    from distillgan.audio.mel import MelSpectrogram, to_log1p
    from distillgan.audio.picture import draw_mels, save_picture
    from distillgan.store.model_card import Examples

    plays = current_kind(vocoder) if vocoder else ("universal" if model.vocoder is None else model.vocoder.name)
    player, mels = api.Model(model, home), MelSpectrogram(model.spec)
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
    """Name and sliders of at most `count` examples: one plain, then the active sliders at their ends.

    The strongest slider comes first: it moves its descriptor by the most standard deviations of the recordings.
    """
    found: list[tuple[str, dict[str, float]]] = [("plain", {})]
    if analysis is not None:
        own = analysis.response.diagonal(axis1=0, axis2=2)  # [5 positions, 8 descriptors]
        moved = (own.max(0) - own.min(0)) / analysis.spread
        active = [item for item in enumerate(analysis.sliders()) if item[1].rank is not None and not item[1].reason]
        for _, slider in sorted(active, key=lambda item: -moved[item[0]]):
            for word, end in (("low", max(slider.least, -10.0)), ("high", min(slider.most, 10.0))):
                if end:  # at 0 nothing is moved
                    found.append((f"{slider.name}_{word}", {slider.name: end}))
    return found[:count]
