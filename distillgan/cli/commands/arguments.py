"""What the light commands share: arguments, verbs, and rows of text in columns, for people and for programs."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rich.cells import cell_len
from rich.console import Console

from distillgan import process
from distillgan.errors import UserError, message, printable
from distillgan.paths import Home, default_home


def draw_columns(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line a row, as wide as it needs, so that nothing is cut off; without what a terminal would obey."""
    lines = [list(map(printable, row)) for row in (headings, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        console.out("  ".join(cells).rstrip(), highlight=False)


EXIT_USER_ERROR = 2

Add = Callable[[argparse.ArgumentParser], None]


class Verbs:
    """A command with verbs, such as `distillgan models list`: each verb with its arguments and what it calls.

    What a verb's function returns is the exit code, 0 for None. It gets the parsed arguments with `arguments.home`,
    the `Home`, and `arguments.out`, an `Output`.
    """

    def __init__(self, command: str, description: str):
        self._parser = _Parser(prog=f"distillgan {command}", description=description)
        self._verbs = self._parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)

    def add(self, verb: str, words: str, call: Callable[[argparse.Namespace], int | None], *arguments: Add) -> None:
        parser = self._verbs.add_parser(verb, help=words, description=words)
        _common(parser, call)
        for argument in arguments:
            argument(parser)

    def run(self, arguments: list[str]) -> NoReturn:
        _run(self._parser, arguments)


def single(
    command: str, words: str, call: Callable[[argparse.Namespace], int | None], given: list[str], *arguments: Add
) -> NoReturn:
    """A command without verbs, such as `distillgan again ID`; otherwise as `Verbs`."""
    parser = _Parser(prog=f"distillgan {command}", description=words)
    _common(parser, call)
    for argument in arguments:
        argument(parser)
    _run(parser, given)


def argument(*names: str, **options: Any) -> Add:
    """One of `argparse`'s arguments, to be handed to `Verbs.add` or `single`."""
    return lambda parser: parser.add_argument(*names, **options)


class Output:
    """Standard output of one command: JSON and nothing else, or what people read."""

    def __init__(self, as_json: bool):
        self.as_json = as_json
        # What is told beside the JSON must not end up in it.
        self.console = Console(stderr=as_json, soft_wrap=True, highlight=False)

    def show(self, value: Any, draw: Callable[[Console], None]) -> None:
        """`value` as JSON, or whatever `draw` prints."""
        if self.as_json:
            print(json.dumps(value, indent=1, allow_nan=False))
        else:
            draw(self.console)

    def say(self, words: str) -> None:
        """A line for people."""
        self.console.print(words, markup=False)


def confirmed(question: str, yes: bool) -> bool:
    """Whether the person at the keyboard says y. Raises UserError if there is none and `yes` is not set."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError(f"{question} There is nobody to ask: say --yes")
    # Not by `input`, which asks on standard output, where JSON may be expected.
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report(error: Exception | str) -> None:
    """On standard error."""
    words = f"error: {message(error)}"
    Console(stderr=True, soft_wrap=True, highlight=False).print(words, style="bold red", markup=False)


class _Parser(argparse.ArgumentParser):
    """Refuses in the same words as every other command."""

    def __init__(self, **options: Any):
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help shows what there is")


def _common(parser: argparse.ArgumentParser, call: Callable) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--home", "--paths.home", metavar="PATH", help="where models and history are (paths.home)")
    parser.set_defaults(call=call)


def _run(parser: argparse.ArgumentParser, arguments: list[str]) -> NoReturn:
    code = 0
    process.raise_when_told()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows few letters is no reason to fail
    try:
        parsed = parser.parse_args([_flag(item) for item in arguments])
        parsed.home, parsed.out = Home(parsed.home or default_home()), Output(parsed.json)
        code = parsed.call(parsed) or 0
        sys.stdout.flush()
    except UserError as error:
        report(str(error))
        code = EXIT_USER_ERROR
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        report(f"{printable(error.filename or 'a file')}: {error.strerror or error}")
        code = EXIT_USER_ERROR
    except KeyboardInterrupt:
        print(process.words(), file=sys.stderr)
        code = process.exit_code()
    sys.exit(code)


def _flag(argument: str) -> str:
    """`paths.home=X`, as every other command takes it, is `--paths.home=X`."""
    return f"--{argument}" if argument.startswith("paths.home=") else argument
