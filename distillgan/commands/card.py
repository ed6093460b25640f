"""`distillgan card NAME`: a model card in Markdown, with sounds to be heard and their spectrograms."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from distillgan.atomic import refused, replace_file
from distillgan.commands.arguments import argument, report, single
from distillgan.errors import UserError
from distillgan.library.card_file import CARD, Card, folder_of, read_card, sealed
from distillgan.library.catalog import find_named
from distillgan.paths import Home

if TYPE_CHECKING:
    from distillgan.latent.sliders import Analysis
    from distillgan.library.card import Examples
    from distillgan.render.engine import Model

EXAMPLES, SECONDS, SEED = 3, 6.0, 1
_FOLDER, _PICTURE = "examples", "examples/spectrograms.png"
_PATH = re.compile(r"(?:^|[^\w/.])(?:~?/[\w.~ -]+/|[A-Za-z]:\\)")


def main(arguments: list[str]) -> NoReturn:
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
    from distillgan.device import resolve
    from distillgan.library import card
    from distillgan.library.card_scores import read_reports
    from distillgan.library.records import parameters
    from distillgan.render.engine import Model

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
    text = card.write_card(path.stem, header, parameters(path), sliders, note, reports, shown)
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
    from distillgan.library.card import Examples

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
