"""`distillgan train`: one training, or a sweep of several."""

import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

from distillgan.cli import hydra_app
from distillgan.cli.commands.arguments import EXIT_USER_ERROR, report
from distillgan.cli.overrides import quote
from distillgan.errors import UserError
from distillgan.paths import Home, check_name


def train_main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    hydra_app.show_help("train", arguments)
    from distillgan.training.pipeline import train
    from distillgan.training.sweep import write_tables

    try:
        sweep = _sweep(arguments)
    except UserError as error:
        report(error)
        sys.exit(EXIT_USER_ERROR)
    folder, more = sweep or (None, [])
    try:
        with hydra_app.command(train, "train", [*arguments, *more]) as call:
            call()
    except BrokenExecutor as gone:  # killed, as where memory runs out
        told = " ".join(str(gone).split())
        report(UserError(f"a job's process: {told} What was done is kept, and the same command runs the rest"))
        sys.exit(1)
    except ValueError:
        if folder is None or any(row["reason"] is None for row in write_tables(folder)):
            raise
        # A search of which every trial failed has no best one: the rows say why.
    if folder is None:
        return
    rows = write_tables(folder)
    failed = sum(row["reason"] is not None for row in rows)
    print(f"sweep: {len(rows) - failed} done, {failed} failed: {folder / 'table.md'}")
    sys.exit(1 if failed else 0)


def _sweep(arguments: list[str]) -> tuple[Path, list[str]] | None:
    """A sweep's folder, and what is to be added to the arguments; None for a single training, and for --help.

    The folder is known to jobs that are processes of their own by the setting that Hydra hands on to them.
    """
    overrides, flags = hydra_app.parted(hydra_app.to_overrides(arguments))
    searched = hydra_app.value_of(overrides, "search") is not None
    if not (searched or flags) or set(flags) - {"-m", "--multirun"}:
        return None
    from distillgan import compute
    from distillgan.training.sweep import HERE, OPTUNA, choose, jobs_of, sweep_folder

    hydra_app.check("train", overrides)
    chosen = {key: hydra_app.value_of(overrides, key) for key in {item.partition("=")[0] for item in overrides}}
    launcher = str(chosen.get("hydra/launcher"))
    sweeper = OPTUNA if searched else str(chosen.get("hydra/sweeper"))
    on_gpu = launcher in HERE and compute.resolve(str(chosen.get("device") or "auto")).type != "cpu"
    settings = choose(launcher, sweeper, jobs_of(overrides), on_gpu, chosen)
    name = chosen.get("name")
    stem = check_name(name if isinstance(name, str) else "sweep")
    folder = sweep_folder(Home(hydra_app.home_of(overrides)), stem, overrides)
    print(f"the sweep's table: {folder / 'table.md'}")
    for choice in settings:
        print(f"chosen: {choice}")
    return folder, [
        *(["-m"] if not flags else []),
        *(f"{choice.key}={choice.value}" for choice in settings),
        f"hydra.sweep.dir={quote(str(folder))}",
    ]
