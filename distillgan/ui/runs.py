"""Runs as the page knows them: started, found again, stopped, and told of when they have ended.

A run that the page starts is a process of its own, which outlives the page; what it was asked for is noted. All else is
known by what every run writes (`run_status`), so that runs which were started elsewhere are followed, too.

<home>/trainings/<name>/<part>/  training.json   what the page asked for, when, and the process that it started
                                 log             what that has printed
<home>/trainings/<name>/         stopping        which process was asked to stop
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from filelock import FileLock

from distillgan import compute
from distillgan.atomic import replace_file
from distillgan.cli import hydra_app
from distillgan.cli.overrides import quote
from distillgan.errors import UserError
from distillgan.paths import Home, check_name, is_name
from distillgan.training import run_status
from distillgan.training.run_status import RunProcess, StageStatus, live_process, live_processes

PARTS = ("model", "vocoder")
NOTE, LOG, STOPPING = "training.json", "log", "stopping"
_TAIL_BYTES, _CLOSING_SECONDS = 65536, 20.0


def part_of(stage: str) -> str:
    """Which of PARTS a stage belongs to: there are several kinds of vocoders."""
    return PARTS[stage != "vae"]


class RunKey(NamedTuple):
    """The training of the model of this name (`part` model), or that of its vocoder (`part` vocoder)."""

    name: str
    part: str = "model"

    @classmethod
    def parse(cls, text: str) -> "RunKey":
        """The key whose text this is. Raises UserError if it is none's."""
        key = cls(*text.rpartition("/")[::2])
        if not key.valid:
            raise UserError(f"{text!r} is no training of this page")
        return key

    @property
    def valid(self) -> bool:
        return self.part in PARTS and is_name(self.name)

    def __str__(self) -> str:
        return f"{self.name}/{self.part}"


@dataclass(frozen=True)
class SpawnedRun:
    """A run that a page has started with these overrides, noted in `folder`; the rest is as in `RunProcess`."""

    folder: Path
    overrides: list[str]
    stages: list[str]
    started: float
    pid: int

    def log(self) -> list[str]:
        """The last lines that it printed."""
        path = self.folder / LOG
        if not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()]


@dataclass(frozen=True)
class RunState:
    """How a run is doing.

    status: of the stage that it is at, or has come to; None before its first step. spawned: what the page asked for;
    None if it was started elsewhere. process: who trains it, while it does. error: in words, what it has noted.
    """

    key: RunKey
    phase: Literal["running", "stopping", "done", "stopped", "failed"]
    status: StageStatus | None
    spawned: SpawnedRun | None = None
    process: RunProcess | None = None
    error: str | None = None

    @property
    def running(self) -> bool:
        return self.process is not None

    @property
    def resumable(self) -> bool:
        return self.phase in ("stopped", "failed") and self.spawned is not None


class Supervisor:
    """All runs of a home, started from this page, from another, or elsewhere, now or before.

    threads: of each that is started here; None: all.
    """

    def __init__(self, home: Home, threads: int | None = None):
        self.home, self.folder = home, home.root / "trainings"
        self._given = [] if threads is None else [f"threads={threads}"]
        self._mine: set[int] = set()  # the processes that this server has started

    def start(self, name: str, overrides: list[str]) -> tuple[RunKey, list[str]]:
        """Start `python -m distillgan.train name=… overrides…`; its key, and who else is trained on the same device.

        The same overrides again go on with a run that was stopped or broke off.

        Raises:
            UserError: the name is none or is being trained, or the configuration refuses the overrides.
        """
        name = check_name(name)
        full = [f"name={quote(name)}", f"paths.home={quote(str(self.home.root))}", *overrides]
        config = hydra_app.composed("train", hydra_app.to_overrides(full))
        device = compute.resolve(config.trainer.device or config.device.name).type
        wanted = config.stages or ["vae", *["vocoder"] * ("module" in config.vocoder)]
        stages = [stage if stage == "vae" else str(config.vocoder.name) for stage in wanted]
        key = RunKey(name, part_of(stages[0]))
        command = [sys.executable, "-m", "distillgan.train", *self._given, *full]
        environment, folder = {**os.environ, "PYTHONUNBUFFERED": "1"}, self.home.training(name) / key.part
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            self.refuse_running(name)
            others = [other for other, run in live_processes(self.home).items() if run.device == device]
            with (folder / LOG).open("wb") as log:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
                )
            self._mine.add(process.pid)
            trainer = RunProcess(pid=process.pid, device=device, started=time.time(), stages=stages)
            run_status.note_process(self.home, name, trainer)  # as it will itself, once it has the name's lock
            with replace_file(folder / NOTE) as temporary:
                temporary.write_text(json.dumps({"overrides": overrides, **asdict(trainer)}, indent=1))
        return key, others

    def resume(self, key: RunKey) -> tuple[RunKey, list[str]]:
        """Start it again with what it was started with, except that what has begun anew goes on.

        Raises:
            UserError: as `start`, or there is none, or it was not started from a page.
        """
        state = self._known(key)
        if state.spawned is None:
            raise UserError(f"{key.name} was not started from the page: the command that started it goes on with it")
        # Before its first step what there was is not kept aside yet.
        begun = state.status is not None and state.status.is_of(state.spawned)
        overrides = [item for item in state.spawned.overrides if not (begun and item == "resume=never")]
        return self.start(key.name, overrides)

    def stop(self, key: RunKey) -> None:
        """Ask it to stop, as Ctrl-C in its terminal would: it ends at its next step with a checkpoint and a model.

        Once: a second signal would cost it its last steps.

        Raises:
            UserError: it is not running, or is another machine's or user's.
        """
        if (run := self._known(key).process) is None:
            raise UserError(f"{key.name} is not being trained any more")
        if not run.here:
            raise UserError(f"{key.name} is being trained on {run.host}: stop it there")
        if self._asked_to_stop(key.name, run):
            return
        try:
            os.kill(run.pid, 0)
            with replace_file(self.home.training(key.name) / STOPPING) as temporary:
                temporary.write_text(f"{run.pid} {time.time()}")
            os.kill(run.pid, signal.SIGINT)
        except ProcessLookupError:  # it has ended by itself meanwhile
            return
        except PermissionError as error:
            words = f"{key.name} is being trained by another user (process {run.pid}): ask him to stop it"
            raise UserError(words) from error

    def refuse_running(self, *names: str) -> None:
        """Raises UserError if one of them is being trained, even if that has come to no lock of its own yet."""
        for name in names:
            if live_process(self.home, name) is not None:
                raise UserError(f"{name} is being trained already: wait for it, stop it, or choose another name")

    def listed(self) -> list[RunKey]:
        """Those that are running first, then the latest first."""
        found = {RunKey(*path.parts[-3:-1]): path.stat().st_mtime for path in self.folder.glob(f"*/*/{NOTE}")}
        for path in run_status.status_files(self.home):
            key = RunKey(path.parts[-3], part_of(path.parts[-2]))
            with suppress(FileNotFoundError):  # set aside at this moment
                found[key] = max(path.stat().st_mtime, found.get(key, 0.0))
        running = {RunKey(name, part_of(run.at)): run.started for name, run in live_processes(self.home).items()}
        known = [key for key in running | found if key.valid]  # other folders are no runs
        return sorted(known, key=lambda key: (key not in running, -found.get(key, running.get(key)), key))

    def state(self, key: RunKey) -> RunState | None:
        """None if there is no such run."""
        live = live_process(self.home, key.name)  # before its status is read: it writes that before it ends
        found = run_status.statuses(self.home, key.name)
        status = next((each for each in found if part_of(each.stage) == key.part), None)
        notes = [path.parent for path in self.home.training(key.name).glob(f"*/{NOTE}")]
        spawned = [run_status.load(SpawnedRun, folder / NOTE, folder=folder) for folder in notes]
        spawned = sorted(filter(None, spawned), key=lambda run: -run.started)
        if live is not None and part_of(live.at) == key.part:
            asked = next((run for run in spawned if run.pid == live.pid), None)
            phase = "stopping" if self._asked_to_stop(key.name, live) else "running"
            return RunState(key, phase, status if status is not None and status.is_of(live) else None, asked, live)
        own = [run for run in spawned if run.folder.name == key.part or (status is not None and status.is_of(run))]
        latest, error = own[0] if own else None, None
        if latest is not None and (status is None or status.written < latest.started):  # it came to no step
            phase = "stopped" if self._asked_to_stop(key.name, latest) else "failed"
        elif status is not None:
            latest = latest if latest is not None and status.is_of(latest) else None  # else it has gone on elsewhere
            phase, error = status.outcome(self.home, key.name), status.error
        else:
            return None
        return RunState(key, phase, status, latest, error=error)

    def close(self) -> None:
        """Ask those that this server started to stop, and wait a little; what takes longer ends by itself."""
        mine = {name: run for name, run in live_processes(self.home).items() if run.pid in self._mine}
        for name, run in mine.items():
            with suppress(UserError):  # it has ended meanwhile
                self.stop(RunKey(name, part_of(run.at)))
        limit = time.monotonic() + _CLOSING_SECONDS
        while any(run.alive() for run in mine.values()) and time.monotonic() < limit:
            time.sleep(0.1)

    def _known(self, key: RunKey) -> RunState:
        if (state := self.state(key)) is None:
            raise UserError(f"there is no training of the name {key.name} any more: choose another")
        return state

    def _asked_to_stop(self, name: str, run: RunProcess | SpawnedRun) -> bool:
        path = self.home.training(name) / STOPPING
        pid, asked = path.read_text().split() if path.is_file() else ("0", "0")
        return int(pid) == run.pid and float(asked) >= run.started
