"""A transfer on the terminal: bytes, speed and time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from distillgan.vocoder import download
from distillgan.vocoder.download import Transfer


@contextmanager
def download_bar(console: Console, doing: str = "fetching") -> Iterator[download.Progress]:
    """A callback for transfers, drawn while the block lasts; without a terminal, a line for each file."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    left = TextColumn("{task.fields[left]}")
    tasks = {}
    with Progress(*columns, left, console=console, transient=True, disable=not console.is_terminal) as bar:

        def show(transfer: Transfer) -> None:
            if transfer.file not in tasks:
                console.print(f"{doing} {transfer.file}, {transfer.total / 1e6:,.1f} MB", highlight=False)
                tasks[transfer.file] = bar.add_task(transfer.file, total=transfer.total, left="")
            left = "" if transfer.seconds_left is None else f"{_clock(transfer.seconds_left)} left"
            bar.update(tasks[transfer.file], completed=transfer.done, left=left)

        yield show


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
