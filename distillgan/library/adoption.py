"""Generated sound into a corpus: a copy that says of itself what it is, never over another file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distillgan.atomic import copy_beside
from distillgan.audio.io import open_audio
from distillgan.data.generated import is_generated
from distillgan.errors import UserError, printable
from distillgan.library import sounds
from distillgan.library.history import Generation

_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")


@dataclass(frozen=True)
class Adopted:
    """Where the sound of entry `id` is in the corpus; `notes`: what its owner may want to know."""

    id: int
    path: Path
    notes: list[str]


def adopt(entries: Sequence[Generation], folder: Path) -> list[Adopted]:
    """Copy the entries' sounds, byte for byte, into a folder of recordings.

    A name that is taken by another file gets -2, -3 …; a sound that is there already is not copied again.

    Raises:
        UserError: there is no such folder; a sound is gone, is another one by now, or does not say in its tags that it
            is generated (then none is copied); the disk refuses.
    """
    if not folder.is_dir():
        raise UserError(f"{printable(folder)} is no folder: name the one that holds your recordings")
    for entry in entries:
        fault = sounds.fault(entry)
        if fault:
            raise UserError(f"{printable(entry.path)} of entry {entry.id} cannot be adopted: {fault}")
        if not is_generated(entry.path):
            raise UserError(
                f"{printable(entry.path)} of entry {entry.id} has lost the tag by which training would know it: "
                f"make it again, `distillgan again {entry.id}`"
            )
    return [_adopted(entry, folder) for entry in entries]


def _adopted(entry: Generation, folder: Path) -> Adopted:
    notes, source = [], entry.path
    with open_audio(source) as file:
        kind, subtype = file.format, file.subtype
    if subtype in _LOSSY:
        notes.append(f"it is lossy ({kind}): what the encoder left out will be missing in what is learnt")
    if entry.account.get("interrupted"):
        notes.append("it was broken off while it was rendered")
    path, new = copy_beside(source, folder, source.name)
    return Adopted(entry.id, path, notes if new else [*notes, "it was there already"])
