"""From a folder, or none, to a scanned corpus with its table on the terminal."""

from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.text import Text

from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec
from distillgan.data.demo import write_demo_corpus
from distillgan.data.manifest import Manifest
from distillgan.data.scan import scan
from distillgan.data.summary import summary_table
from distillgan.paths import Home

_SHOWN = 40


def prepare_corpus(folder: str | None, home: Home, spec: MelSpec, console: Console) -> Manifest:
    """Scan `folder`, or the demo corpus (made on first use) where it is None, and print what was found.

    Raises:
        UserError: the folder holds nothing usable; says why.
    """
    if folder is None:
        place = home.demo
        if not place.exists():
            console.print("no data.dir: making the demo corpus")
        write_demo_corpus(place)
    else:
        place = Path(folder).expanduser()
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading recordings")

        def show(done: int, total: int, path: str) -> None:
            name = Text(printable(Path(path).name)[-_SHOWN:])
            bar.update(task, completed=done, total=total, description=f"reading {name.markup}")

        manifest = scan(place, home.decoded, spec.sample_rate, show)
    console.print(summary_table(manifest))
    return manifest
