"""What the Library tab asks of the library: lists, checks and copies, as `distillgan models` makes them."""

import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from distillgan.errors import UserError
from distillgan.library import records, shelf
from distillgan.library.description import moment, size, tags
from distillgan.modelcopy import damaged_tensors
from distillgan.paths import MODEL_SUFFIX, Home
from distillgan.ui.learning_curves import curves, draw_curves

OWN = {"any vocoder": None, "with a vocoder of its own": True, "without": False}


def rows(home: Home, words: str, own: str, tag: str | None, order: str, reverse: bool) -> list[list[Any]]:
    """The list as it is asked for, a row a model; a file that cannot be read is in it, if nothing narrows it."""
    found = records.search(records.records(home), words.split())
    kept = records.narrowed(found, vocoder=OWN[own], tags=[tag] if tag else [])
    return [_row(record) for record in records.ordered(kept, order, reverse)]


def all_tags(home: Home) -> list[str]:
    return sorted({tag for record in records.records(home) if record.header for tag in record.header.tags})


def record(home: Home, name: str) -> records.Record:
    """Raises UserError if the list has none of this name, as when another visitor has just deleted it."""
    for found in records.records(home):
        if found.name == name:
            return found
    raise UserError(f"there is no model {name} any more: choose another in the list")


def change_tags(home: Home, name: str, text: str) -> None:
    """Give a model exactly the tags in the text, which commas or spaces part."""
    header = record(home, name).header
    there = set(header.tags if header else ())
    wanted = {shelf.check_tag(word) for word in text.replace(",", " ").split()}
    shelf.set_tags(home, name, add=wanted - there, remove=there - wanted)


def verified(home: Home, name: str) -> str:
    damaged = damaged_tensors(record(home, name).path)
    return (
        f"{name} is damaged: {', '.join(damaged)}" if damaged else f"{name} is whole: each tensor is as it was written."
    )


def exported(home: Home, name: str, folder: str) -> Path:
    """A copy of the model, every tensor verified, in a new folder within `folder`, for the browser to take away."""
    return shelf.export_model(record(home, name).path, Path(tempfile.mkdtemp(dir=folder)))


def imported(home: Home, file: str | None, name: str) -> shelf.Imported:
    """An uploaded file into the library.

    Raises:
        UserError: as `import_model`, naming the file as the visitor knows it.
    """
    if file is None:
        raise UserError(f"choose a {MODEL_SUFFIX} file first")
    try:
        return shelf.import_model(home, Path(file), name.strip() or None)
    except UserError as fault:
        raise UserError(str(fault).replace(file, Path(file).name).replace(", --name NAME", "")) from fault


def training(home: Home, name: str) -> Figure | None:
    found = curves(home.run(name))
    return draw_curves(found, name) if found else None


def _row(record: records.Record) -> list[Any]:
    header = record.header
    if header is None:
        return [record.name, "", None, "", "", size(record.bytes), "cannot be read"]
    error = "" if record.error_db is None else f"{record.error_db:.2f} dB"
    made, minutes = moment(header.created), round(record.minutes or 0, 1)
    return [record.name, made, minutes, error, record.vocoder or "", size(record.bytes), tags(header.tags)]
