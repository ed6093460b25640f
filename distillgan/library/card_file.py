"""A card's file: sealed, so that what a person has changed in it is known, and not written over."""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.paths import Home

CARD = "README.md"
_SEAL = re.compile(r"<!-- distillgan ([0-9a-f]{16}) ([0-9a-f]{64}) -->\n?\Z")
# What is escaped is text, not a link.
_LINK = re.compile(r"""(?<!\\)(?:\]\(|<\w+\s[^<>]*?src=")([^)"'\s<>]+)[)"]""")


@dataclass(frozen=True)
class Card:
    """A card that is there. fingerprint: of the weights that it was written for, None where it does not say so any
    more; edited: it is not as it was written; files: what of its own folder it shows, by their paths in it."""

    folder: Path
    fingerprint: str | None
    edited: bool
    files: tuple[str, ...]


def folder_of(home: Home, name: str) -> Path:
    """Where the card of a model lies, and its examples."""
    return home.root / "cards" / name


def rename_card(home: Home, old: str, new: str) -> None:
    """Move a model's card with its examples to its new name, and name it so in the lines that the card came with.

    What is there under the new name gives way. Cut short, the same once more finishes it. Raises OSError, and UserError
    as `check_place`.
    """
    check_place(home, old, new)
    source, target = folder_of(home, old), folder_of(home, new)
    if source.exists():
        shutil.rmtree(target, ignore_errors=True)
        source.rename(target)
    card = read_card(target)
    if card is None:
        return
    text = (target / CARD).read_bytes().decode("utf-8")
    body = text if card.edited else _SEAL.sub("", text)
    before, after = (
        (f"# {name}\n", f"models import {name}.distillgan`", f"distillgan controls {name}\n", f"generate model={name} ")
        for name in (old, new)
    )
    changed = body
    for one, other in zip(before, after, strict=True):
        changed = changed.replace(one, other)
    if changed != body:
        with replace_file(target / CARD) as temporary:
            temporary.write_bytes((changed if card.edited else sealed(changed, card.fingerprint or "")).encode("utf-8"))


def check_place(home: Home, old: str, new: str) -> None:
    """Raises UserError if the card of the model `old` would take the place of one that somebody has edited."""
    place = folder_of(home, new)
    there = read_card(place) if folder_of(home, old).exists() else None
    if there is not None and there.edited:
        raise UserError(f"{new} has a card that somebody has edited, {place / CARD}: move it, or choose another name")


def sealed(text: str, fingerprint: str) -> str:
    """The text with a last line that no reader sees: for which weights it was written, and its hash."""
    return f"{text}<!-- distillgan {fingerprint} {_hash(text)} -->\n"


def read_card(folder: Path) -> Card | None:
    """The card in a folder, None if there is none.

    Raises:
        UserError: it cannot be read, or is no text.
    """
    path = folder / CARD
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except ValueError as error:
        raise UserError(f"{path} is no text (UTF-8): write it anew, or remove it") from error
    seal = _SEAL.search(text)
    whole = seal is not None and _hash(text[: seal.start()]) == seal[2]
    links = dict.fromkeys(link for link in _LINK.findall(text) if not re.match(r"[a-z]+:|[/#]", link, re.IGNORECASE))
    return Card(folder, seal and seal[1], not whole, tuple(links))


def shown_files(card: Card) -> dict[str, Path]:
    """What a card shows of its own folder: path in it → file.

    Raises:
        UserError: one of them is not there, or lies outside of the folder.
    """
    found, root = {}, card.folder.resolve()
    for link in card.files:
        path = (card.folder / link).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise UserError(
                f"{card.folder / CARD} shows {link!a}, and there is no such file beside it: put it there, take it out "
                "of the card, or write the card anew"
            )
        found[path.relative_to(root).as_posix()] = path
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
