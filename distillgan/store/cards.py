"""Model cards as files, and what evaluations have said for them.

A card's file: sealed, so that what a person has changed in it is known, and not written over.

What `evaluate` has found of a model, for its card: reports of these very weights, as tables in Markdown.

No report's names of recordings are shown: they are names of files on somebody's machine.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillgan.atomic import replace_file
from distillgan.errors import UserError, printable
from distillgan.models.header import Header, show
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


_KINDS = "", "_vocoder", "_controls"  # what follows the model's name in a report's


@dataclass(frozen=True)
class Reports:
    """sections: a paragraph or a table a report; left_out: which reports are not among them, and why."""

    sections: tuple[str, ...]
    left_out: tuple[str, ...]


def read_reports(home: Home, name: str, fingerprint: str) -> Reports:
    """The reports under `paths.home`/evaluations that are of the weights with this fingerprint."""
    sections, left_out = [], []
    for suffix, section in zip(_KINDS, (_reconstruction, _vocoder, _controls), strict=True):
        path = home.root / "evaluations" / f"{name}{suffix}.json"
        if path.exists():
            try:
                report = json.loads(path.read_bytes())
                if report.get("fingerprint") != fingerprint:
                    raise UserError("it is of other weights, or does not say of which: evaluate these")
                sections.append(section(report))
            except UserError as fault:
                left_out.append(f"{path} is left out: {fault}")
            except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                left_out.append(f"{path} is left out: it is no report that is understood ({show(error)})")
    return Reports(tuple(sections), tuple(left_out))


def rename_reports(home: Home, old: str, new: str, fingerprint: str) -> None:
    """Move the reports of the weights with this fingerprint to a model's new name. Raises OSError."""
    for suffix in _KINDS:
        path = home.root / "evaluations" / f"{old}{suffix}.json"
        try:
            mine = json.loads(path.read_bytes()).get("fingerprint") == fingerprint
        except (OSError, ValueError, AttributeError):  # none, or none that is understood
            continue
        if mine:
            for ending in (".md", ".png", ".json"):  # it is known by the last, which goes last
                if path.with_name(f"{old}{suffix}{ending}").exists():
                    path.with_name(f"{old}{suffix}{ending}").replace(path.with_name(f"{new}{suffix}{ending}"))


def measured(header: Header) -> list[str]:
    """What the training itself measured, on recordings that it held out where there were enough of them."""
    lines, vae, vocoder = [], header.training["vae"], header.training["vocoder"] or {}
    if isinstance(vae.get("error_db"), int | float):
        lines.append(f"- reconstruction error {vae['error_db']:.2f} dB{_on(vae)}")
    if isinstance(vae.get("active_dimensions"), int | float):
        of = f" of {header.vae['latent_dim']}" if isinstance(header.vae.get("latent_dim"), int) else ""
        lines.append(f"- {vae['active_dimensions']:.0f}{of} dimensions of the latent active")
    if isinstance(vae.get("kl_nats"), int | float):
        lines.append(f"- {vae['kl_nats']:.1f} nats a latent frame")
    if isinstance(vocoder.get("mel_error"), int | float):
        lines.append(f"- its vocoder: mel error {vocoder['mel_error']:.3f}{_on(vocoder)}")
    return lines


def escaped(text: str) -> str:
    """Text from elsewhere as Markdown shows it letter by letter, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", printable(" ".join(text.split())))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Markdown; `numbers` columns from the second on are set to the right."""
    rule = ["---"] + ["---:"] * numbers + ["---"] * (len(headings) - 1 - numbers)
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, rule, *rows))


def _reconstruction(report: dict[str, Any]) -> str:
    rows = [
        [part, str(means["files"]), f"{means['error_db']:.2f}", f"{means['constant_db']:.2f}"]
        for part, means in report["parts"].items()
        if means is not None
    ]
    words = (
        f"Reconstruction, mean absolute error of the mel in dB, floored {report['floor_db']:g} dB under each peak; "
        "beside it the error of one constant spectrum:"
    )
    return f"{words}\n\n{table(['recordings', 'files', 'error dB', 'constant dB'], rows, 3)}"


def _vocoder(report: dict[str, Any]) -> str:
    metrics = [
        metric for metric in report["metrics"] if any(line[metric["key"]] is not None for line in report["means"])
    ]
    headings = [f"{escaped(m['heading'])} {'↑' if m['better'] == 'higher' else '↓'}" for m in metrics]
    rows = [
        [escaped(f"{line['vocoder']}, {line['mels']} mels"), *(_cell(line[m["key"]], m["digits"]) for m in metrics)]
        for line in report["means"]
    ]
    clips = report["means"][0]["clips"]
    known = "" if report["part"] == "held out" else ", which the model knows: they say little"
    words = (
        f"Vocoders on {clips} {report['part']} recording{'' if clips == 1 else 's'}{known} (true mels: of the "
        "recording; own mels: what the VAE makes of them):"
    )
    return f"{words}\n\n{table(['vocoder', *headings], rows, len(metrics))}"


def _controls(report: dict[str, Any]) -> str:
    return (
        f"Sliders on rendered sound, {report['positions']} positions × {report['seeds']} seeds of "
        f"{report['seconds']:g} s: {report['passed']} of the {report['active']} active ones move what they say (rank "
        "correlation of at least 0.9) and little else (at most half of it)."
    )


def _on(stage: dict[str, Any]) -> str:
    return f" on {escaped(stage['judged_on'])}" if isinstance(stage.get("judged_on"), str) else ""


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
