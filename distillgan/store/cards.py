"""Files of model cards, sealed so that a person's changes are known and kept, and the evaluations shown on them.

Names of recordings are not shown: they are names of files on somebody's machine.
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
_SUFFIXES = "", "_vocoder", "_controls"  # of reports, after the model's name


@dataclass(frozen=True)
class Card:
    """A card in a folder.

    fingerprint: of the weights that it was written for, None where it does not say so any more; edited: a person has
    changed it; files: the paths, in its folder, of what it shows.
    """

    folder: Path
    fingerprint: str | None
    edited: bool
    files: tuple[str, ...]


def folder_of(home: Home, name: str) -> Path:
    """The folder of a model's card and its examples."""
    return home.root / "cards" / name


def rename_card(home: Home, old: str, new: str) -> None:
    """Move a model's card with its examples to its new name, also in the lines that the card came with.

    A card under the new name gives way. Cut short, the same once more finishes it. Raises OSError, and UserError as
    `check_place`.
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
    changed = body
    for line in ("# {}\n", "models import {}.distillgan`", "distillgan controls {}\n", "generate model={} "):
        changed = changed.replace(line.format(old), line.format(new))
    if changed != body:
        with replace_file(target / CARD) as temporary:
            temporary.write_bytes((changed if card.edited else sealed(changed, card.fingerprint or "")).encode("utf-8"))


def check_place(home: Home, old: str, new: str) -> None:
    """Raises UserError if the card of the model `old` would take the place of one that somebody has edited."""
    place = folder_of(home, new)
    card = read_card(place) if folder_of(home, old).exists() else None
    if card is not None and card.edited:
        raise UserError(f"{new} has a card that somebody has edited, {place / CARD}: move it, or choose another name")


def sealed(text: str, fingerprint: str) -> str:
    """The text with an invisible last line: the fingerprint of its weights, and its hash."""
    return f"{text}<!-- distillgan {fingerprint} {_hash(text)} -->\n"


def read_card(folder: Path) -> Card | None:
    """The card in a folder, None if there is none. Raises UserError if it cannot be read, or is no text."""
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
    """Files that a card shows, by path in its folder. Raises UserError if one is missing, or lies outside of it."""
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


@dataclass(frozen=True)
class Reports:
    """A section (a paragraph or a table) for each report, and the reasons for those that are left out."""

    sections: tuple[str, ...]
    left_out: tuple[str, ...]


def read_reports(home: Home, name: str, fingerprint: str) -> Reports:
    """The reports under `paths.home`/evaluations of the weights with this fingerprint."""
    sections, left_out = [], []
    for suffix, section in zip(_SUFFIXES, (_reconstruction, _vocoder, _controls), strict=True):
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
    for suffix in _SUFFIXES:
        path = home.root / "evaluations" / f"{old}{suffix}.json"
        try:
            mine = json.loads(path.read_bytes()).get("fingerprint") == fingerprint
        except (OSError, ValueError, AttributeError):  # none, or none that is understood
            continue
        if mine:
            for ending in (".md", ".png", ".json"):  # it is known by the last, which goes last
                if path.with_name(f"{old}{suffix}{ending}").exists():
                    path.with_name(f"{old}{suffix}{ending}").replace(path.with_name(f"{new}{suffix}{ending}"))


def training_metrics(header: Header) -> list[str]:
    """Lines of metrics from the training itself, on recordings that it held out where there were enough of them."""
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
    """Text from elsewhere, escaped so that Markdown shows it letter by letter, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", printable(" ".join(text.split())))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table in Markdown; `numbers` columns from the second on are set to the right."""
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
    rows = []
    for line in report["means"]:
        values = [(line[metric["key"]], metric["digits"]) for metric in metrics]
        cells = ["" if value is None else f"{value:.{digits}f}" for value, digits in values]
        rows.append([escaped(f"{line['vocoder']}, {line['mels']} mels"), *cells])
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
