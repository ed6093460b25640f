"""Arguments, output and exit codes that the commands without Hydra share."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from distillgan import process
from distillgan.errors import UserError, message, printable
from distillgan.paths import Home, default_home

EXIT_NOT_DONE, EXIT_USER_ERROR = 1, 2

Add = Callable[[argparse.ArgumentParser], object]
Call = Callable[[argparse.Namespace], int | None]
Verb = tuple[str, Call, list[Add]]  # help, what it calls, its arguments


def argument(*names: str, **options: Any) -> Add:
    """One of `argparse`'s arguments, to be handed to `run` or `run_verbs`."""
    return lambda parser: parser.add_argument(*names, **options)


# Arguments of several commands.
BEGINNING = argument("name", metavar="NAME", help="its name, or as much of the beginning as no other name shares")
YES = argument("--yes", action="store_true", help="do not ask")
YES_AND_WHOLE = argument("--yes", action="store_true", help="do not ask; NAME is then the whole name")


def run(command: str, words: str, call: Call, arguments: Sequence[Add], given: list[str]) -> NoReturn:
    """A command such as `distillgan again ID`; what `call` returns is the exit code, 0 for None.

    `call` gets the parsed arguments with `home`, a `Home`, and `out`, an `Output`.
    """
    parser = _Parser(prog=f"distillgan {command}", description=words)
    _prepare(parser, call, arguments)
    _leave(parser, given)


def run_verbs(command: str, words: str, verbs: Mapping[str, Verb], given: list[str]) -> NoReturn:
    """A command with verbs, such as `distillgan models list`; each as `run`."""
    parser = _Parser(prog=f"distillgan {command}", description=words)
    parsers = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    for verb, (about, call, arguments) in verbs.items():
        _prepare(parsers.add_parser(verb, help=about, description=about), call, arguments)
    _leave(parser, given)


class Output:
    """Standard output of one command: JSON and nothing else, or text for people."""

    def __init__(self, as_json: bool):
        self.as_json = as_json
        # Text beside the JSON must not end up in it.
        self.console = Console(stderr=as_json, soft_wrap=True, highlight=False)

    def show(self, value: Any, shown: str | Callable[[Console], None] = "") -> None:
        """`value` as JSON, or `shown` for people: a text, or a function that prints it."""
        if self.as_json:
            print(json.dumps(value, indent=1, allow_nan=False))
        elif callable(shown):
            shown(self.console)
        elif shown:
            self.say(shown)

    def say(self, words: str) -> None:
        """A line for people."""
        self.console.print(words, markup=False)


def draw_columns(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()
) -> None:
    """A line a row, as wide as it needs, so that nothing is cut off where another program reads it.

    Columns of the headings in `right` are set to the right; control characters are escaped.
    """
    lines = [list(map(printable, row)) for row in (headings, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = []
        for heading, cell, width in zip(headings, line, widths, strict=True):
            blanks = " " * (width - cell_len(cell))
            cells.append(blanks + cell if heading in right else cell + blanks)
        console.out("  ".join(cells).rstrip(), highlight=False)


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
    """An error on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("error: ", style="bold red") + Text(message(error)))


class _Parser(argparse.ArgumentParser):
    """Refuses in the same words as every other command."""

    def __init__(self, **options: Any):
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help shows what there is")


def _prepare(parser: argparse.ArgumentParser, call: Call, arguments: Sequence[Add]) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--home", "--paths.home", metavar="PATH", help="where models and history are (paths.home)")
    parser.set_defaults(call=call)
    for add in arguments:
        add(parser)


def _leave(parser: argparse.ArgumentParser, given: list[str]) -> NoReturn:
    """Parse, call and exit. `paths.home=X`, as every other command takes it, is `--paths.home=X`."""
    code = 0
    process.raise_when_told()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows few letters is no reason to fail
    try:
        parsed = parser.parse_args([f"--{item}" if item.startswith("paths.home=") else item for item in given])
        parsed.home, parsed.out = Home(parsed.home or default_home()), Output(parsed.json)
        code = parsed.call(parsed) or 0
        sys.stdout.flush()
    except UserError as error:
        report(error)
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
