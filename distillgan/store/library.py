"""The folder of models: found, imported, renamed, removed; each file is whole before and after.

Each change holds the lock of the model's name, as a training does: otherwise one would overwrite the other's work.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from distillgan.atomic import process_lock, refused, replace_file
from distillgan.errors import UserError, printable
from distillgan.models.header import Header, copy_model, read_header, show
from distillgan.paths import MANIFEST, MODEL_SUFFIX, Home, check_name, composed
from distillgan.store.cards import check_place, rename_card, rename_reports
from distillgan.store.presets import Presets

_NAMES_SHOWN = 10
_WAIT_SECONDS = 2.0  # for another change, which is short; a training is not


def models_in(home: Home) -> list[Path]:
    """The model files of the library, latest first."""
    whole = (path for path in home.models.glob(f"*{MODEL_SUFFIX}") if path.is_file() and not path.name.startswith("."))
    return sorted(whole, key=lambda path: (-path.stat().st_mtime_ns, path.name))


def find_model(home: Home, model: str | None) -> Path:
    """The path of a model: of a file, of a name as `find_named`, or of the latest for None.

    Raises UserError, with those there are, if there is none, or several.
    """
    if model is None:
        there = models_in(home)
        if not there:
            raise UserError(f"no model in {home.models} yet: train one with `python -m distillgan.train`")
        return there[0]
    model = str(model)  # a name of digits comes from the command line as a number
    path = Path(model).expanduser()
    if (path.suffix or "/" in model) and path.is_file():
        return path
    return find_named(home, model)


def find_named(home: Home, name: str) -> Path:
    """The model of the library that has this name or, if none has, the one whose name begins so.

    Raises UserError, with those there are, if there is none, or several begin so.
    """
    named = home.model(name)
    if named.exists() or named.is_symlink():  # a link to nowhere is found, too: whoever reads it says what is wrong
        return named
    there = models_in(home)
    begun = [path for path in there if name and composed(path.stem).startswith(composed(name))]
    exact = [path for path in begun if composed(path.stem) == composed(name)]  # from a disk that writes them otherwise
    if len(exact or begun) == 1:
        return (exact or begun)[0]
    if begun:
        raise UserError(f"model={name}: several names begin so: {_names(begun)}. Write more of it")
    raise UserError(f"model={name}: no such model or file. Models in {home.models}: {_names(there) or 'none yet'}")


def find_by_fingerprint(home: Home, fingerprint: str) -> Path | None:
    """The latest model with these weights, whatever it is called by now; None if there is none that can be read."""
    for path in models_in(home):
        header = _header_of(path)
        if header is not None and header.fingerprint == fingerprint:
            return path
    return None


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - _NAMES_SHOWN} more" if len(paths) > _NAMES_SHOWN else ""
    return ", ".join(path.stem for path in paths[:_NAMES_SHOWN]) + more


class Provenance(NamedTuple):
    """The file of a repository of the hub, at a commit, that a model was pulled from.

    It is kept beside the model's own file, which stays byte by byte what was pushed.
    """

    repo: str
    commit: str
    file: str

    def __str__(self) -> str:
        return f"{self.repo}, commit {self.commit[:12]}, {self.file}"


def note_provenance(home: Home, fingerprint: str, provenance: Provenance) -> None:
    """Keep the provenance of the weights with this fingerprint. Raises UserError if the disk refuses."""
    with replace_file(_provenance_file(home, fingerprint)) as temporary:
        temporary.write_text(json.dumps(provenance._asdict()), encoding="utf-8")


def provenance_of(home: Home, fingerprint: str) -> Provenance | None:
    """The provenance of these weights; None where they were not pulled, or its file cannot be read any more."""
    try:
        values = json.loads(_provenance_file(home, fingerprint).read_bytes())
        found = (values[key] for key in Provenance._fields)
        return Provenance(*(value if isinstance(value, str) else show(value) for value in found))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _provenance_file(home: Home, fingerprint: str) -> Path:
    return home.root / "origins" / f"{fingerprint}.json"


class Imported(NamedTuple):
    """The path of a model in the library; `added` is False if it was there before."""

    path: Path
    added: bool


def set_tags(home: Home, name: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Header:
    """Add tags to a model, take others from it, and return its new header.

    Raises UserError as `set_note`, or if a tag is no short word, or is to be removed and not there.
    """
    added, removed = {check_tag(tag) for tag in add}, {check_tag(tag) for tag in remove}
    if both := sorted(added & removed):
        raise UserError(f"tag {both[0]} is to be added and removed: say one")

    def change(header: Header) -> Header:
        if missing := sorted(removed - set(header.tags)):
            has = ", ".join(map(printable, header.tags)) or "none"
            raise UserError(f"it has no tag {missing[0]}; its tags: {has}")
        return replace(header, tags=sorted((set(header.tags) | added) - removed))

    return _rewrite(home, name, change)


def set_note(home: Home, name: str, note: str) -> Header:
    """Give a model another note, "" for none, and return its new header.

    Raises UserError, and leaves it as it was, if there is no model of exactly this name, or if it is damaged, is being
    trained, or cannot be written.
    """
    return _rewrite(home, name, lambda header: replace(header, note=note))


def check_tag(tag: str) -> str:
    """The tag, in small letters. Raises UserError unless it is one short word."""
    small = tag.casefold()
    if not re.fullmatch(r"\w[\w-]{0,39}", small):
        raise UserError(f"tag {tag!r}: a tag is one word of at most 40 letters, digits, '_' or '-'")
    return small


def rename_model(home: Home, old: str, new: str) -> Path:
    """Rename a model with its header, run, the page's notes of its trainings, card, reports and presets; the new path.

    A training of the new name goes on. The copy under the new name comes first, then the run moves, then the notes,
    card and reports, then the presets, then the old file goes: whenever that is cut short, nothing is lost, and the
    same once more finishes it.

    Raises UserError if there is no whole model of exactly this name, if the new name is none, is taken by a model or a
    run, or has a preset that this one has, too, if either is being trained, or if the disk refuses.
    """
    source, new = _exactly(home, old), check_name(new)
    target = home.model(new)
    if old.casefold() == new.casefold():
        raise UserError(f"{old} and {new} are one name on many disks: rename it to something else first")
    run, moved = home.run(old), home.run(new)
    with _held(home, old), _held(home, new):
        header = replace(read_header(source), name=new)
        begun = os.path.lexists(target)
        if begun and _header_of(target) != header:
            raise UserError(f"{new} is taken by another model ({target}): choose another name")
        if moved.exists() and (run.exists() or not begun):
            raise UserError(f"{new} is taken by a run ({moved}): choose another name, or move it away")
        check_place(home, old, new)
        try:
            with Presets(home).renaming_model(old, new):
                if not begun:
                    copy_model(source, target, lambda _: header)
                if run.exists():
                    run.rename(moved)
                if home.training(old).exists():
                    # What is noted there under the new name has left neither a run nor a model.
                    shutil.rmtree(home.training(new), ignore_errors=True)
                    home.training(old).rename(home.training(new))
                rename_card(home, old, new)
                rename_reports(home, old, new, header.fingerprint)
            source.unlink()
        except OSError as error:
            raise refused(printable(run if run.exists() else source), error) from error
    return target


def import_model(home: Home, file: Path, name: str | None = None) -> Imported:
    """Copy a model into the library, every tensor verified, under its own name or `name`.

    A model with the same weights that is there already stays as it is, whatever it is called, unless `name` is given.

    Raises UserError if the file is no whole and undamaged model, if its name is taken by another model, or by a run on
    other recordings, or if the disk refuses.
    """
    header = read_header(file)
    wanted = header.name if name is None else check_name(name)
    target = home.model(wanted)
    with _held(home, wanted):
        if os.path.lexists(target):
            existing = _header_of(target)
            if existing is None or existing.fingerprint != header.fingerprint:
                raise UserError(f"{file}: {wanted} is taken by another model ({target}): choose another, --name NAME")
            return Imported(target, False)
        twin = find_by_fingerprint(home, header.fingerprint) if name is None else None
        if twin is not None:
            return Imported(twin, False)
        run = home.run(wanted)
        if run.exists() and _corpus_of(run) != header.corpus["fingerprint"]:
            raise UserError(
                f"{file}: {wanted} is taken by a run on other recordings ({run}): choose another, --name NAME"
            )
        copy_model(file, target, None if header.name == wanted else lambda old: replace(old, name=wanted))
    return Imported(target, True)


def export_model(source: Path, target: Path) -> Path:
    """Copy a model to a file, or into a folder, every tensor verified; the copy's path.

    Raises UserError if something is there already, there is no such folder, the name does not end in `.distillgan`, the
    model is damaged, or the disk refuses.
    """
    target = target.expanduser()
    if target.is_dir():
        target = target / source.name
    elif target.suffix != MODEL_SUFFIX:
        raise UserError(f"{target}: name a folder that is there, or a file that ends in {MODEL_SUFFIX}")
    elif not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}: make it first")
    if os.path.lexists(target):
        raise UserError(f"{target} is there already, and is not written over: choose another name")
    copy_model(source, target)
    return target


def delete_model(home: Home, name: str) -> None:
    """Remove a model's file, damaged or not; its run stays.

    Raises UserError if there is no model of exactly this name, it is being trained, or the disk refuses.
    """
    path = _exactly(home, name)
    with _held(home, name):
        try:
            path.unlink()
        except OSError as error:
            raise UserError(f"{path} cannot be removed ({error.strerror}): check its permissions") from error


def _exactly(home: Home, name: str) -> Path:
    path = find_named(home, name)
    if composed(path.stem) != composed(name):
        raise UserError(f"{name} is the beginning of {path.stem}: write the whole name")
    return path


def _rewrite(home: Home, name: str, change: Callable[[Header], Header]) -> Header:
    path = _exactly(home, name)
    with _held(home, name):
        copy_model(path, path, change)
        return read_header(path)


def _held(home: Home, name: str) -> AbstractContextManager:
    """A lock on the name. Raises UserError if it is being trained, or changed for longer than a moment."""
    words = f"{name} is being trained or changed by another process: wait for it"
    return process_lock(home, name, words, _WAIT_SECONDS)


def _header_of(path: Path) -> Header | None:
    """The header of a model file, None if it is damaged."""
    try:
        return read_header(path)
    except UserError:
        return None


def _corpus_of(run: Path) -> str | None:
    """The fingerprint of the recordings of a run, None where it is not known."""
    try:
        return json.loads((run / MANIFEST).read_bytes())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
