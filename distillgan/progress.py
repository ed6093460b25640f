"""Bars on the terminal for what takes a while: work, and files on their way to or from a hub."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from distillgan.errors import UserError


@dataclass(frozen=True)
class Transfer:
    """How far a transfer is, in bytes; `seconds_left` is None until there is a speed to tell it from."""

    file: str
    done: int
    total: int
    seconds_left: float | None


OnTransfer = Callable[[Transfer], None]


class Cancelled(UserError):
    """Raised by an `OnTransfer` to end the transfer; nothing half is kept."""


@contextmanager
def progress_bar(console: Console, name: str) -> Iterator[Callable[..., None]]:
    """A callback of (done, total), drawn with the time left while the block lasts; nothing without a terminal.

    A third argument takes the place of `name`.
    """
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name)
        yield lambda done, total, text=None: bar.update(task, completed=done, total=total, description=text)


@contextmanager
def transfer_bar(console: Console, doing: str = "fetching") -> Iterator[OnTransfer]:
    """A callback for transfers, drawn while the block lasts; without a terminal, a line for each file."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    left = TextColumn("{task.fields[left]}")
    tasks = {}
    with Progress(*columns, left, console=console, transient=True, disable=not console.is_terminal) as bar:

        def show(transfer: Transfer) -> None:
            if transfer.file not in tasks:
                console.print(f"{doing} {transfer.file}, {transfer.total / 1e6:,.1f} MB", highlight=False)
                tasks[transfer.file] = bar.add_task(transfer.file, total=transfer.total, left="")
            left = "" if transfer.seconds_left is None else f"{clock(transfer.seconds_left)} left"
            bar.update(tasks[transfer.file], completed=transfer.done, left=left)

        yield show


def clock(seconds: float) -> str:
    """As hours, minutes and seconds: 1:02:03, or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
