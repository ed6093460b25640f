"""From folders, or none, to a scanned corpus with its table on the terminal."""

from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.text import Text

from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec
from distillgan.data.demo import write_demo_corpus
from distillgan.data.downmix import MIX
from distillgan.data.folders import merged
from distillgan.data.manifest import Manifest
from distillgan.data.scan import scan
from distillgan.data.summary import summary_table
from distillgan.paths import Home

_SHOWN = 40


def prepare_corpus(
    folders: list[str] | None, home: Home, spec: MelSpec, console: Console, channels: str = MIX
) -> Manifest:
    """Scan the folders, or the demo corpus (made on first use) where they are None, and print what was found.

    `channels`: what is learnt of several, as of `scan`.

    Raises:
        UserError: a folder holds nothing usable; says why.
    """
    if folders is None:
        if not home.demo.exists():
            console.print("no data.dir: making the demo corpus")
        write_demo_corpus(home.demo)
    places = [home.demo] if folders is None else [Path(folder).expanduser() for folder in folders]
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading recordings")

        def show(done: int, total: int, path: str) -> None:
            name = Text(printable(Path(path).name)[-_SHOWN:])
            bar.update(task, completed=done, total=total, description=f"reading {name.markup}")

        manifest = merged([scan(place, home.decoded, spec.sample_rate, show, channels) for place in places])
    console.print(summary_table(manifest))
    return manifest
