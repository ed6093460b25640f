"""The trainings that the page starts: processes of their own, found again through files.

<home>/trainings/<name>/  training.json   what was asked for, when, the process that attends to it
                          outcome.json    its exit code, once it has ended
                          stopping        it was asked to stop
                          log             what it printed
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import psutil
from filelock import FileLock

from distillgan import device as devices
from distillgan import entry
from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.paths import Home, check_name
from distillgan.ui.attend import OUTCOME, STOPPING

Phase = Literal["running", "stopping", "done", "stopped", "failed"]

_NOTE, _LOG = "training.json", "log"
_STOPPED = {entry.EXIT_INTERRUPTED, entry.EXIT_TERMINATED, -signal.SIGINT, -signal.SIGTERM}
_LINES = 12  # of the log that tell of a failure
_TAIL_BYTES = 65536
_CLOSING_SECONDS = 20.0
_SAME_START = 1.0  # seconds by which two readings of one process's start may differ


@dataclass(frozen=True)
class Training:
    """One training as it was started: the `overrides` of `distillgan.train` without name and home, and its attendant.

    `device` is where it computes, `pid` and `created` (seconds since 1970) name the attendant.
    """

    name: str
    overrides: list[str]
    device: str
    started: float
    pid: int
    created: float

    @property
    def of_vocoder(self) -> bool:
        return "stages=[vocoder]" in self.overrides


@dataclass(frozen=True)
class State:
    """How a training is doing; `words` say why it failed, and are empty otherwise."""

    training: Training
    phase: Phase
    words: str = ""

    @property
    def running(self) -> bool:
        return self.phase in ("running", "stopping")


class Trainings:
    """All trainings of a home that were started from a page, this one or another, now or before."""

    def __init__(self, home: Home):
        self.home, self.folder = home, home.root / "trainings"
        self._mine: dict[str, int] = {}  # name → pid of those that this server started

    def start(self, name: str, overrides: list[str]) -> list[str]:
        """Start `python -m distillgan.train name=… overrides…`; returns the names of those on the same device by now.

        The same overrides again go on with a training that was stopped or broke off.

        Raises:
            UserError: the name is none or is being trained, or the configuration refuses the overrides.
        """
        check_name(name)
        full = [f"name={entry.quote(name)}", f"paths.home={entry.quote(str(self.home.root))}", *overrides]
        config = entry.composed("train", entry.to_overrides(full))
        device = devices.resolve(config.trainer.device or config.device.name).type
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            running = self.running()
            if name in [state.training.name for state in running]:
                raise UserError(f"{name} is being trained already: wait for it, stop it, or choose another name")
            for left in (OUTCOME, STOPPING):
                (folder / left).unlink(missing_ok=True)
            command = [sys.executable, "-m", "distillgan.ui.attend", str(folder), sys.executable, "-m"]
            with (folder / _LOG).open("wb") as log:
                process = subprocess.Popen(
                    [*command, "distillgan.train", *full],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )
            created = psutil.Process(process.pid).create_time()
            training = Training(name, overrides, device, time.time(), process.pid, created)
            with replace_file(folder / _NOTE) as temporary:
                temporary.write_text(json.dumps(asdict(training), indent=1))
        self._mine[name] = process.pid
        return [state.training.name for state in running if state.training.device == device]

    def resume(self, name: str) -> list[str]:
        """Start it again with what it was started with, except that it goes on where it was to begin anew.

        Raises:
            UserError: as `start`, or there is none.
        """
        return self.start(name, [item for item in self._known(name).training.overrides if item != "resume=never"])

    def cancel(self, name: str) -> None:
        """Ask it to stop: at its next step it writes its checkpoint and a model that plays, and ends.

        Raises:
            UserError: it is not running.
        """
        state = self._known(name)
        if not state.running:
            raise UserError(f"{name} is not being trained any more")
        (self.folder / name / STOPPING).touch()
        with suppress(psutil.NoSuchProcess):  # it has ended by itself meanwhile
            psutil.Process(state.training.pid).send_signal(signal.SIGINT)

    def state(self, name: str) -> State | None:
        """None if no page has started a training of this name."""
        training = _read(self.folder / name / _NOTE, Training)
        if training is None:
            return None
        stopping = (self.folder / name / STOPPING).exists()
        if _alive(training):  # asked first: it writes its outcome before it ends
            return State(training, "stopping" if stopping else "running")
        outcome = _read_json(self.folder / name / OUTCOME)
        code = outcome.get("code")
        if code == 0:
            return State(training, "done")
        if code in _STOPPED or (code is None and stopping):
            return State(training, "stopped")
        return State(training, "failed", self._why(name, code))

    def all(self) -> list[State]:
        """Those that run first, then the latest first."""
        names = [path.parent.name for path in self.folder.glob(f"*/{_NOTE}")]
        states = [state for state in map(self.state, names) if state is not None]
        return sorted(states, key=lambda state: (not state.running, -state.training.started))

    def running(self) -> list[State]:
        return [state for state in self.all() if state.running]

    def log(self, name: str) -> list[str]:
        """The last lines that it printed."""
        try:
            with (self.folder / name / _LOG).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return [line.rstrip() for line in text.replace("\r", "\n").split("\n") if line.strip()]

    def close(self) -> None:
        """Ask those that this server started to stop, and wait a little; what takes longer ends by itself."""
        mine = [state for state in self.running() if self._mine.get(state.training.name) == state.training.pid]
        for state in mine:
            self.cancel(state.training.name)
        limit = time.monotonic() + _CLOSING_SECONDS
        while any(_alive(state.training) for state in mine) and time.monotonic() < limit:
            time.sleep(0.1)

    def _known(self, name: str) -> State:
        state = self.state(name) if name else None
        if state is None:
            raise UserError(f"no training of the name {name} was started from the page")
        return state

    def _why(self, name: str, code: int | None) -> str:
        lines = self.log(name)
        refusal = next((at for at, line in enumerate(lines) if line.startswith("error: ")), None)
        if code == entry.EXIT_USER_ERROR and refusal is not None:
            return "\n".join(lines[refusal:]).removeprefix("error: ")
        if code is None:
            how = "It was ended from outside, together with the process that attends to it."
        elif code < 0:
            how = f"It was ended by {signal.Signals(-code).name}; for want of memory, perhaps."
        else:
            how = f"It ended with exit code {code}."
        last = "\n".join(lines[-_LINES:])
        return f"{how} Resume goes on from its last checkpoint. The last that it said:\n{last}"


def _alive(training: Training) -> bool:
    """Does its attendant live? A process that only has got its number by now was started at another time."""
    try:
        process = psutil.Process(training.pid)
        same = abs(process.create_time() - training.created) < _SAME_START
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _read(path: Path, kind: type[Training]) -> Training | None:
    values = _read_json(path)
    return kind(**values) if values.keys() == {field.name for field in fields(kind)} else None


def _read_json(path: Path) -> dict:
    """{} of a file that is not there, or that is none of ours."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
