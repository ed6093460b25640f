"""Sweeps: where their jobs run and how many at once, the jobs' names, and a table of results that grows meanwhile.

Each job knows the sweep's folder alone, so jobs in one process, in several, or on other machines fill the same table;
the same command finds its folder again, and runs only what is missing.
"""

import csv
import hashlib
import io
import json
import math
import os
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import joblib
from filelock import FileLock
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from matplotlib.figure import Figure

from distillgan import process
from distillgan.atomic import replace_file
from distillgan.audio.plots import save_figure
from distillgan.errors import UserError, message
from distillgan.models.header import Header, read_header
from distillgan.paths import MAX_BYTES, MAX_NAME, Home, in_name, is_name, shortened
from distillgan.training.auto_settings import AutoSetting
from distillgan.training.run_status import Run, failure_text, statuses

CORES, LOCAL, SLURM = "joblib", "submitit_local", "submitit_slurm"  # hydra/launcher=
HERE = (CORES, LOCAL)
OPTUNA = "optuna"  # hydra/sweeper=
_WEEK = 7 * 24 * 60  # minutes
_ON_CLUSTER = 8  # trials at once: each batch learns from those before it
_REQUEUED = 1000


def jobs_of(overrides: Sequence[str]) -> int:
    """How many jobs plain sweeps over the overrides' values make."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    swept = [item for item in parsed if item.is_choice_sweep() or item.is_range_sweep()]
    return math.prod(sum(1 for _ in item.sweep_string_iterator()) for item in swept)


def choose(launcher: str, sweeper: str, jobs: int, on_gpu: bool, given: Mapping[str, object]) -> list[AutoSetting]:
    """Hydra's settings of a sweep of `jobs` jobs, those that are `given` left out.

    Jobs that run beside each other on this machine share its cores: two that use all of them are slower than one after
    the other. Sets what tells them so, for the processes that this one starts.
    """
    choices = []
    cores = joblib.cpu_count()
    physical = joblib.cpu_count(only_physical_cores=True)
    at_once = 1 if on_gpu else physical if sweeper == OPTUNA else min(physical, jobs)
    why = "they share the GPU" if on_gpu else f"of {cores} cores"
    if launcher == CORES:
        choices.append(AutoSetting("hydra.launcher.n_jobs", at_once, f"jobs at once, {why}"))
    if launcher == LOCAL:
        choices.append(AutoSetting("hydra.launcher.timeout_min", _WEEK, "a job's limit"))
    if launcher == SLURM:
        choices.append(
            AutoSetting("hydra.launcher.max_num_timeout", _REQUEUED, "over time, a job is queued again and goes on")
        )
    if launcher == LOCAL and sweeper != OPTUNA:
        choices.append(AutoSetting("hydra.sweeper.max_batch_size", at_once, f"jobs at once, {why}"))
    if sweeper == OPTUNA:
        trials = at_once if launcher in HERE else _ON_CLUSTER if launcher == SLURM else 1
        choices.append(AutoSetting("hydra.sweeper.n_jobs", trials, "trials at once, which know nothing of each other"))
        if "hydra/sweeper/sampler" not in given:
            choices.append(AutoSetting("hydra.sweeper.sampler.seed", 1, "the same trials each time"))
    made = [choice for choice in choices if choice.key not in given]
    if launcher in HERE:
        told = given.get("hydra.launcher.n_jobs", at_once)
        beside = told if isinstance(told, int) and told > 0 else cores
        process.share_out(beside, cores)
        os.environ.setdefault("TTY_COMPATIBLE", "0")  # rich's: no progress bars over each other
    return made


_COMMAND = "command.json"
_COLUMNS = ("error", "kl_nats", "active_dimensions", "vocoder_error", "steps", "seconds", "peak_mb", "model", "reason")
_ELSEWHERE = ("hydra/launcher", "hydra.launcher", "hydra.sweeper.n_trials", "hydra.sweeper.n_jobs")
_NOT_IN_NAMES = {
    "name",
    "data",
    "data.dir",
    "paths.home",
    "device",
    "search",
    "threads",
}  # where all jobs have the same
_PEAK = Path("/proc/self/clear_refs")  # Linux: 5 begins the peak of this process's memory anew


def sweep_folder(home: Home, name: str, arguments: Sequence[str]) -> Path:
    """That of an earlier sweep of the same arguments, otherwise a new one, `<date>_<name>`, in `paths.home`/sweeps.

    Where the jobs run, and how many trials of a search, may differ.
    """
    command = sorted(argument for argument in arguments if not argument.startswith(_ELSEWHERE))
    for noted in sorted(home.sweeps.glob(f"*/{_COMMAND}")):
        try:
            if json.loads(noted.read_text()) == command:
                return noted.parent
        except ValueError:  # half of a file that was edited: another sweep's
            continue
    stem, number = f"{datetime.now():%Y-%m-%d}_{name}", 2
    folder = home.sweeps / stem
    while folder.exists():
        folder, number = home.sweeps / f"{stem}-{number}", number + 1
    with replace_file(folder / _COMMAND) as temporary:
        temporary.write_text(json.dumps(command, indent=1))
    return folder


def varied(folder: Path, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """A job's overrides: those that tell it from the sweep's other jobs, and those that its command fixes for all."""
    command = _command(folder)
    fixed = {
        f"{item.key_or_group}={item.get_value_element_as_str()}" for item in command if not item.is_sweep_override()
    }
    return [item for item in overrides if item not in fixed], [item for item in overrides if item in fixed]


def job_name(folder: Path, name: str, overrides: Sequence[str]) -> str:
    """`rain`, seed=2, model.latent_dim=16 → rain_seed-2_latent_dim-16; shortened where too long, still its own.

    Values that cannot be told apart in a name, such as folders that differ in signs alone, get a checksum.
    """
    swept, fixed = varied(folder, overrides)
    same, words = _alike(folder), []
    for item in [*swept, *(item for item in fixed if item.partition("=")[0] not in _NOT_IN_NAMES)]:
        key, _, value = item.partition("=")
        if key != "name":
            words.append(f"{key.rpartition('.')[2]}-{value}" + f"-{_checksum(item)}" * (item in same))
    full = "_".join([name, *words])
    readable = in_name(full)
    if is_name(readable):
        return readable
    return f"{shortened(readable, MAX_NAME - 9, MAX_BYTES - 9)}-{_checksum(full)}"


def _alike(folder: Path) -> set[str]:
    """Those of a sweep's overrides that look in a name like another of the same key, whatever their case."""
    found = set()
    for item in _command(folder):
        if item.is_choice_sweep():
            forms = {value: in_name(value).casefold() for value in item.sweep_string_iterator()}
            often = Counter(forms.values())
            found |= {f"{item.key_or_group}={value}" for value, form in forms.items() if often[form] > 1}
    return found


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _command(folder: Path) -> list[Override]:
    return OverridesParser.create().parse_overrides(json.loads((folder / _COMMAND).read_text()))


class SweepJob:
    """A job of a sweep, told from the others by its `overrides`: a file in the sweep's folder, a row of its table."""

    def __init__(self, folder: Path, overrides: Sequence[str]):
        self.folder, self.overrides = folder, sorted(overrides)
        digest = hashlib.sha256("\n".join(self.overrides).encode()).hexdigest()[:16]
        self._path = folder / "jobs" / f"{digest}.json"

    def finished_error(self) -> float | None:
        """The error of the job if it is done already."""
        row = _read(self._path)
        return row["error"] if row and row["reason"] is None else None

    @contextmanager
    def recorded(self, run: Run, finished: list[float]) -> Iterator[None]:
        """Within the block the job runs, and appends its error to `finished`; its row says what came of it.

        Of a job that fails the row has the steps that its run's status has, and the reason; the sweep's others go on.
        Ctrl-C leaves no row.
        """
        begun = time.perf_counter()
        if _PEAK.exists():
            _PEAK.write_text("5")
        try:
            yield
        except Exception as error:
            if isinstance(error, UserError):
                print(f"error: {message(error)}", file=sys.stderr, flush=True)
            else:
                traceback.print_exc()
            steps = next((status.step for status in statuses(run.home, run.name)), None)
            self._note(begun, error=None, steps=steps, reason=failure_text(error).splitlines()[0])
        else:
            self._note(begun, error=finished[0], reason=None, **_results(read_header(run.model_path)))

    def _note(self, begun: float, **values: Any) -> None:
        row = {"overrides": self.overrides, **dict.fromkeys(_COLUMNS), **values}
        row["seconds"], row["peak_mb"] = round(time.perf_counter() - begun, 1), _peak_mb()
        with replace_file(self._path) as temporary:
            temporary.write_text(json.dumps(row, indent=1))
        with FileLock(self.folder / ".lock"):
            write_tables(self.folder)


def _results(header: Header) -> dict[str, Any]:
    vae, vocoder = header.training["vae"], header.training["vocoder"] or {}
    return {
        "kl_nats": vae.get("kl_nats"),
        "active_dimensions": vae.get("active_dimensions"),
        "vocoder_error": vocoder.get("mel_error"),
        "steps": vae.get("steps"),
        "model": header.name,
    }


def write_tables(folder: Path) -> list[dict[str, Any]]:
    """table.md, .csv, .json and .png from the jobs' files: what differed first, the best first; the rows."""
    found = [row for path in sorted((folder / "jobs").glob("*.json")) if (row := _read(path))]
    settings = [dict(item.partition("=")[::2] for item in row["overrides"]) for row in found]
    keys = sorted({key for values in settings for key in values})
    differing = [key for key in keys if len({values.get(key) for values in settings}) > 1]
    rows = [
        {**{key: values.get(key) for key in differing}, **{column: row[column] for column in _COLUMNS}}
        for row, values in zip(found, settings, strict=True)
    ]
    rows.sort(key=lambda row: (row["error"] is None, row["error"], str(row["model"])))
    _write(folder / "table.json", json.dumps(rows, indent=1))
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, [*differing, *_COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write(folder / "table.csv", sheet.getvalue())
    _write(folder / "table.md", markdown(rows, differing))
    if any(row["error"] is not None for row in rows):
        save_figure(_picture(rows, differing, folder.name), folder / "table.png")
    return rows


def markdown(rows: list[dict[str, Any]], differing: list[str]) -> str:
    columns = [*differing, *_COLUMNS]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _picture(rows: list[dict[str, Any]], differing: list[str], title: str) -> Figure:
    done = [row for row in rows if row["error"] is not None][::-1]
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(done)), layout="constrained")
    axis = figure.subplots()
    labels = [", ".join(f"{key.rpartition('.')[2]}={row[key]}" for key in differing) or row["model"] for row in done]
    axis.barh(range(len(done)), [row["error"] for row in done], color="#4878a8")
    axis.set_yticks(range(len(done)), labels, fontsize=8)
    axis.set_xlabel("held-out error")
    axis.set_title(title, fontsize=10)
    return figure


def _peak_mb() -> float:
    if _PEAK.exists():
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and {"overrides", *_COLUMNS} <= row.keys() else None


def _write(path: Path, text: str) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(text)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "n/a"
    return str(value).replace("|", "\\|")
