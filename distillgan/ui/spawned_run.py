"""A training in a process of its own: started, attended, found again.

Stands beside a training and notes how it ended: `python -m distillgan.ui.spawned_run FOLDER COMMAND…`

The page starts it in a session of its own, so that it outlives the page; its output, and the training's, is the log.
Without it nobody would know the exit code of a training whose page was closed meanwhile.

Trainings that were not started from the page: by a command in a terminal, or from Python.

One training that the page has started: what it was asked for, its attendant, its end, its log.

<home>/trainings/<name>/<part>/  training.json   what was asked for, when, the process that attends to it
                                 outcome.json    its exit code, once it has ended
                                 stopping        it was asked to stop
                                 log             what it printed
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from distillgan.atomic import Holder, replace_file
from distillgan.cli import hydra_app
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.process import ENDING

OUTCOME, STOPPING = "outcome.json", "stopping"


def attend(folder: Path, command: list[str]) -> int:
    """Run the command, pass what is to end it on to it as SIGINT, and write {"code", "ended"} into the folder.

    `code` is the exit code, or minus the signal that killed it. Whoever signals puts a file `stopping` into the folder
    first: so what comes before there are handlers is not lost.
    """
    process = None

    def pass_on(signum: int, frame: object) -> None:
        if process is not None:
            process.send_signal(signal.SIGINT)

    # Handlers, not SIG_IGN, which the training would inherit.
    for signum in ENDING:
        signal.signal(signum, pass_on)
    process = subprocess.Popen(command)
    if (folder / STOPPING).exists():
        process.send_signal(signal.SIGINT)
    code = process.wait()
    with replace_file(folder / OUTCOME) as temporary:
        temporary.write_text(json.dumps({"code": code, "ended": time.time()}))
    return code


if __name__ == "__main__":
    attend(Path(sys.argv[1]), sys.argv[2:])


_LATER = 1.0  # seconds after its note by which a process is another one's that has got its number
_SILENT_SECONDS = 600.0  # after which a training on another machine is no longer taken for one that runs


def alive(holder: Holder, heard: float) -> bool:
    """Does it train still? Of another machine only this is known: when (seconds since 1970) it was heard of last."""
    if not here(holder):
        return time.time() - max(heard, holder.started) < _SILENT_SECONDS
    try:
        process = psutil.Process(holder.pid)
        return process.create_time() < holder.started + _LATER and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def here(holder: Holder) -> bool:
    """Is it a process of this machine?"""
    return holder.host == socket.gethostname()


def stopping(home: Home, name: str, holder: Holder) -> bool:
    """Was it asked to stop?"""
    try:
        return _asked(home, name).read_text() == _mark(holder)
    except OSError:
        return False


def stop(home: Home, name: str, holder: Holder) -> None:
    """Ask it to stop, once, as Ctrl-C in its terminal would; a second signal would cost it its last steps.

    Raises:
        UserError: it is another machine's, or another user's.
    """
    if not here(holder):
        raise UserError(f"{name} is being trained on {holder.host}: stop it there")
    if stopping(home, name, holder):
        return
    try:
        os.kill(holder.pid, 0)
        with replace_file(_asked(home, name)) as temporary:
            temporary.write_text(_mark(holder))
        os.kill(holder.pid, signal.SIGINT)
    except ProcessLookupError:  # it has ended by itself meanwhile
        return
    except PermissionError as error:
        raise UserError(
            f"{name} is being trained by another user (process {holder.pid}): ask him to stop it"
        ) from error


def _asked(home: Home, name: str) -> Path:
    return home.training(name) / "stopping"


def _mark(holder: Holder) -> str:
    return f"{holder.pid} {holder.started}"


NOTE, LOG = "training.json", "log"
_LINES = 12  # of the log that tell of a failure
_TAIL_BYTES = 65536
_SAME_START = 1.0  # seconds by which two readings of one process's start may differ


@dataclass(frozen=True)
class Started:
    """The `overrides` of `distillgan.train` without name and home, which stages of the run they are, and where.

    `folder` holds what is noted of it, `device` is where it computes; `pid` and `created` (seconds since 1970, as
    `started`) name the attendant.
    """

    folder: Path
    overrides: list[str]
    stages: list[str]
    device: str
    started: float
    pid: int
    created: float

    @property
    def alive(self) -> bool:
        """Does its attendant live? A process that only has got its number by now was started at another time."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_START
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def stopping(self) -> bool:
        """Was it asked to stop?"""
        return (self.folder / STOPPING).exists()

    @property
    def outcome(self) -> tuple[int | None, float | None]:
        """The exit code, or minus the signal that ended it, and when (seconds since 1970); None: unknown."""
        values = _read_json(self.folder / OUTCOME)
        return values.get("code"), values.get("ended")

    def stop(self) -> None:
        """Ask it to stop: at its next step it writes its checkpoint and a model that plays, and ends."""
        (self.folder / STOPPING).touch()
        with suppress(psutil.NoSuchProcess):  # it has ended by itself meanwhile
            psutil.Process(self.pid).send_signal(signal.SIGINT)

    def log(self) -> list[str]:
        """The last lines that it printed."""
        try:
            with (self.folder / LOG).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return [line.rstrip() for line in text.replace("\r", "\n").split("\n") if line.strip()]

    def why(self, code: int | None) -> str:
        """In words: how it failed, and the last that it said."""
        lines = self.log()
        refusal = next((at for at, line in enumerate(lines) if line.startswith("error: ")), None)
        if code == hydra_app.EXIT_USER_ERROR and refusal is not None:
            return "\n".join(lines[refusal:]).removeprefix("error: ")
        if code is None:
            how = "It was ended from outside, together with the process that attends to it."
        elif code < 0:
            how = f"It was ended by {signal.Signals(-code).name}; for want of memory, perhaps."
        else:
            how = f"It ended with exit code {code}."
        last = "\n".join(lines[-_LINES:])
        return f"{how} Resume goes on from its last checkpoint. The last that it said:\n{last}"


_NOTED = [field.name for field in fields(Started) if field.name != "folder"]


def start(folder: Path, overrides: list[str], command: list[str], stages: list[str], device: str) -> Started:
    """Start the command, attended to, and note it in its `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in (OUTCOME, STOPPING):
        (folder / left).unlink(missing_ok=True)
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "distillgan.ui.spawned_run", str(folder), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    created = psutil.Process(process.pid).create_time()
    started = Started(folder, overrides, stages, device, time.time(), process.pid, created)
    with replace_file(folder / NOTE) as temporary:
        temporary.write_text(json.dumps({name: getattr(started, name) for name in _NOTED}, indent=1))
    return started


def read(folder: Path) -> Started | None:
    """None where the page has started nothing."""
    values = _read_json(folder / NOTE)
    return Started(folder, **values) if values.keys() == set(_NOTED) else None


def _read_json(path: Path) -> dict:
    """{} of a file that is not there, or that is none of ours."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
