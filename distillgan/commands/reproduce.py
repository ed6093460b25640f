"""`distillgan reproduce FILE` and `distillgan again ID`: a sound made once more from what is known of it."""

import argparse
from dataclasses import asdict
from pathlib import Path

from distillgan import entry
from distillgan.again import Original
from distillgan.commands.arguments import argument, single
from distillgan.generate import generate
from distillgan.library.history import History

EXIT_DIFFERENT = 1


def reproduce(arguments: argparse.Namespace) -> int:
    """A sound file alone: what made it is in its tags."""
    return _again(arguments, Original.of_file(Path(arguments.file).expanduser()))


def again(arguments: argparse.Namespace) -> int:
    """A generation of the history."""
    return _again(arguments, Original.of_history(History(arguments.home).named([arguments.id])[0]))


def _again(arguments: argparse.Namespace, original: Original) -> int:
    out = arguments.out
    config, notes = original.config(arguments.home, entry.to_overrides(entry.steered(arguments.override)))
    for note in notes:
        out.say(note)
    made = generate(config, out.console)[0]
    verdict = original.verdict(made)
    out.show(
        {"of": original.title, "path": str(made.path), "id": made.id, **asdict(verdict)},
        lambda console: console.print(f"{original.title}: {verdict.words}", markup=False),
    )
    return EXIT_DIFFERENT if verdict.same is False else 0


MORE = argument("override", nargs="*", help="further settings of generate, such as recording=FILE or device=cpu")


def main(given: list[str]) -> None:
    words = "make a sound again from its file alone, and compare"
    single("reproduce", words, reproduce, given, argument("file", help="a sound that distillgan made"), MORE)
