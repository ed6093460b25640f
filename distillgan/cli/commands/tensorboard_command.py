"""`distillgan runs`: a table of the runs; `distillgan board`: TensorBoard of them, in this machine's browser."""

import argparse
import contextlib
import io
import os
import sys
import time
import webbrowser
from pathlib import Path

from distillgan.cli.commands.arguments import argument, draw_columns, run
from distillgan.errors import UserError, printable, whole
from distillgan.paths import Home, is_name
from distillgan.progress import clock
from distillgan.training.run_status import KILLED, live_process, statuses


def open_page(address: str) -> None:
    """Show a page, but not where there is no screen: the browser would be one of letters, in this terminal."""
    if sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        webbrowser.open(address)


_HOST = "127.0.0.1"
_FIRST_PAGE = "#custom_scalars"
_SHOWN = 10


def board_main(given: list[str]) -> None:
    name = argument("name", nargs="?", metavar="NAME", help="of a run, or the beginning of it")
    port = argument("--port", type=int, metavar="N", help="6006, or the next that is free; 0: any")
    quiet = argument("--no-open", action="store_true", help="only say the address")
    words = "TensorBoard over all runs, or one: curves, settings against errors, pictures, sound, the corpus as a map."
    run("board", words, _board, [name, port, quiet], given)


def _board(given: argparse.Namespace) -> None:
    folder = _folder(given.home, given.name)
    address = _served(folder, None if given.port is None else whole("--port", given.port, 0, 65535))
    words = f"TensorBoard of {printable(folder)} is at {address} (Ctrl-C ends it)"
    given.out.show({"address": address, "folder": str(folder)}, words)
    sys.stdout.flush()
    if not given.no_open:
        open_page(address + _FIRST_PAGE)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _folder(home: Home, name: str | None) -> Path:
    """The folder of all runs, or of the one whose name is this or begins so. Raises UserError, with those there are."""
    runs = [path.name for path in sorted(home.runs.glob("*")) if path.is_dir() and not path.name.startswith(".")]
    if not runs:
        raise UserError(f"no run in {home.runs} yet: train a model first (distillgan train data.dir=PATH)")
    if name is None:
        return home.runs
    begun = [name] if name in runs else [run for run in runs if name and run.startswith(name)]
    if len(begun) == 1:
        return home.run(begun[0])
    if begun:
        raise UserError(f"several runs begin with {name!r}: {_names(begun)}. Write more of it")
    raise UserError(f"no run {name!r} in {home.runs}; there are {_names(runs)}")


def _names(runs: list[str]) -> str:
    more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    return ", ".join(map(printable, runs[:_SHOWN])) + more


def _served(folder: Path, port: int | None) -> str:
    """The address of a TensorBoard started in the background. Raises UserError if it gets no port."""
    from tensorboard import default, program

    board = program.TensorBoard(default.get_plugins())
    board.configure(logdir=str(folder), host=_HOST, port=port)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # advice on options that there are none of here
            return board.launch()
    except program.TensorBoardPortInUseError as error:
        raise UserError(f"--port={port} is taken: give another one, or leave it out for one that is free") from error
    except program.TensorBoardServerException as error:
        raise UserError(f"TensorBoard does not start: {error.msg}") from error


_HEADINGS = ("run", "stage", "state", "step", "of", "left", "error")


def runs_main(given: list[str]) -> None:
    name = argument("name", nargs="?", metavar="NAME", help="of a run, or the beginning of it")
    words = "What every run does or has come to: how far each stage is, what is left, why it failed."
    run("runs", words, _runs, [name], given)


def _runs(given: argparse.Namespace) -> None:
    folder = _folder(given.home, given.name)
    names = [folder.name] if given.name else [path.name for path in sorted(folder.iterdir()) if is_name(path.name)]
    rows = []
    for name in names:
        live = live_process(given.home, name)
        for status in statuses(given.home, name):
            running = live is not None and live.at == status.stage
            state = "running" if running else status.outcome(given.home, name)
            left = status.seconds_left if running and status.is_of(live) else None
            error = status.error or KILLED if state == "failed" else None
            rows.append((name, status.stage, state, status.step, status.steps, left, error))
    given.out.show(
        [dict(zip(_HEADINGS, row, strict=True)) for row in rows],
        lambda console: draw_columns(console, _HEADINGS, [list(map(_shown, row)) for row in rows]),
    )


def _shown(value: object) -> str:
    if isinstance(value, float):
        return clock(value)
    return "" if value is None else str(value).partition("\n")[0]
