"""The folder of a run, the process that trains it, and the file that says what the run does.

runs/<name>/config.yaml, manifest.json   what it is trained with and on
runs/<name>/<stage>/status.json          what a stage does (`StageStatus`), beside its checkpoints and previews
runs/<name>/<stage>/curves.jsonl         a line for every few steps, {"step": …, "train/loss": …}, and one for every
                                         validation, {"step": …, "val/…": …}
runs/.<name>.process                     who trains it (`RunProcess`), for as long as it does
runs/.<name>.lock                        locked by that process; a lock does not tell who holds it
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf

from distillgan import process
from distillgan.atomic import process_lock, replace_file
from distillgan.audio.spec import MelSpec
from distillgan.configuration import literals, plain
from distillgan.data.downmix import MIX
from distillgan.errors import UserError
from distillgan.models.header import PENDING, read_header
from distillgan.paths import CONFIG, MANIFEST, Home, composed, current_kind, stage_folder

if TYPE_CHECKING:
    from distillgan.data.manifest import Manifest

SIGNATURE = "signature.json"
CHANNELS = "data.channels"
STATUS, CURVES = "status.json", "curves.jsonl"
_OLD = ".old-"  # in the names of what was set aside
_SILENT_SECONDS = 600.0  # after which a training on another machine is no longer taken for one that runs

KILLED = "It was ended from outside, by SIGKILL perhaps, as a system does that wants memory."
Outcome = Literal["done", "stopped", "failed"]
Noted = TypeVar("Noted")


@dataclass(frozen=True, kw_only=True)
class RunProcess:
    """The process `pid` of the machine `host`, which trains on `device` since `started` (seconds since 1970).

    `stages` are the folders of the run that it goes through in their order: vae, then that of a vocoder. `stage` is the
    one that it is at, None before the first.
    """

    pid: int
    device: str
    started: float
    stages: list[str]
    stage: str | None = None
    host: str = field(default_factory=socket.gethostname)

    @property
    def at(self) -> str:
        """The stage that it is at, or begins with."""
        return self.stage or self.stages[0]

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    def alive(self, wrote: float = 0.0) -> bool:
        """Whether it trains still. `wrote`: when (seconds since 1970) a process of another machine wrote last."""
        if self.here:
            return process.alive(self.pid, self.started)
        return time.time() - max(wrote, self.started) < _SILENT_SECONDS


def note_process(home: Home, name: str, trainer: RunProcess) -> None:
    """Note who trains a name. Raises UserError if the disk refuses."""
    with replace_file(home.process(name)) as temporary:
        temporary.write_text(json.dumps(asdict(trainer)))


def noted_process(home: Home, name: str) -> RunProcess | None:
    """The process that is noted to train a name, alive or killed; None if there is none."""
    return load(RunProcess, home.process(name))


def live_process(home: Home, name: str) -> RunProcess | None:
    """The process that trains a name at this moment; None if there is none."""
    noted = noted_process(home, name)
    wrote = [] if noted is None or noted.here else [status.written for status in statuses(home, name)]
    return noted if noted is not None and noted.alive(max(wrote, default=0.0)) else None


def live_processes(home: Home) -> dict[str, RunProcess]:
    """Name → process of all that are trained at this moment."""
    names = sorted(path.name[1:].removesuffix(".process") for path in home.runs.glob(".*.process"))
    found = {name: live_process(home, name) for name in names}
    return {name: trainer for name, trainer in found.items() if trainer is not None}


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """What a stage of a run does, as its status.json says.

    step, steps, share, seconds, seconds_left: how far it is, 0 to 1 in `share`, over all its resumes. losses, judged:
    the latest values on what is learnt and on what is held out, `monitor` being the key of the error that counts.
    ended, ended_at: its steps are over, since when (seconds since 1970), and it is measured and packed. state:
    "running"; once its process has left it "ended", "stopped" (by a signal between two steps) or "failed", with `error`
    in words. pid: of that process. written: when that was written. What is None by default was not noted once.
    """

    stage: str
    step: int
    steps: int
    share: float
    seconds: float
    seconds_left: float | None
    losses: dict[str, float | None]
    judged: dict[str, float | None]
    monitor: str
    ended: bool
    ended_at: float | None = None
    state: str | None = None
    pid: int | None = None
    error: str | None = None
    folder: Path = field(default=Path(), metadata={"stored": False})
    written: float = field(default=0.0, metadata={"stored": False})

    def write(self) -> None:
        """Write it into its folder. Raises UserError if the disk refuses."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.metadata.get("stored", True)}
        with replace_file(self.folder / STATUS) as temporary:
            temporary.write_text(json.dumps(values, indent=1))

    def is_of(self, run: Any) -> bool:
        """Whether `run`, which has `stages`, `started` and `pid`, wrote it."""
        return (
            self.stage in map(current_kind, run.stages) and self.written >= run.started and self.pid in (None, run.pid)
        )

    def outcome(self, home: Home, name: str) -> Outcome:
        """What has become of the stage, now that no process is at it."""
        if self.state in ("running", "failed") or not (self.ended or self.state):
            return "failed"  # "running": it was killed
        if self.state == "stopped":
            return "stopped"
        return "done" if self.share >= 1 or finished(home, name, self.stage) else "stopped"

    def curves(self, *keys: str) -> list[list[tuple[int, float]]]:
        """For each key the points (step, value) of its curve."""
        curves = {key: [] for key in keys}
        try:
            text = (self.folder / CURVES).read_text()
        except OSError:
            text = ""
        for line in text[: text.rfind("\n") + 1].splitlines():  # what follows the last line's end is being written
            values = json.loads(line)
            for key in keys:
                if values.get(key) is not None:
                    curves[key].append((values["step"], values[key]))
        return list(curves.values())


def status_files(home: Home, run: str = "*") -> Iterator[Path]:
    """Those of a run's stages, or of all runs', that were not set aside."""
    files = home.runs.glob(f"{composed(run)}/*/{STATUS}")
    return (path for path in files if not any(_OLD in part for part in path.parts[-3:-1]))


def statuses(home: Home, name: str) -> list[StageStatus]:
    """Those of a run's stages, the latest written first; none of a run that is not there."""
    found = []
    for path in status_files(home, name):
        with suppress(FileNotFoundError):  # set aside at this moment
            given = {"stage": current_kind(path.parent.name), "folder": path.parent, "written": path.stat().st_mtime}
            found.append(load(StageStatus, path, **given))
    return sorted(filter(None, found), key=lambda status: -status.written)


def failure_text(error: Exception) -> str:
    """What a status says of the error that ended its run."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def finished(home: Home, name: str, stage: str) -> bool:
    """Whether the model says that this part of it was trained to its end."""
    try:
        statistics = read_header(home.model(name)).training.get("vae" if stage == "vae" else "vocoder")
    except UserError:
        return False
    return bool(statistics and statistics.get("finished") and statistics.get("sliders") != PENDING)


class Run:
    """`runs/<name>/` of a home, and the model file that comes of it."""

    def __init__(self, home: Home, name: str):
        self.name = name
        self.folder = home.run(name)
        self.model_path = home.model(name)
        self.home = home

    def lock(self) -> AbstractContextManager:
        """A context manager: the name is this process's until it ends, by `kill -9` too.

        Raises:
            UserError: another process is training this name.
        """
        words = f"{self.name} is being trained by another process: wait for it, or choose another name="
        return process_lock(self.home, self.name, words)

    @contextmanager
    def noted(self, device: str, stages: list[str]) -> Iterator[None]:
        """Note this process for as long as the block runs, and in the status of its last stage how it left it.

        Args:
            device: where it trains.
            stages: the folders of the run that it goes through, in their order.

        Raises:
            UserError: the disk refuses.
        """
        own = RunProcess(pid=os.getpid(), device=device, started=time.time(), stages=stages)
        note_process(self.home, self.name, own)
        try:
            yield
        except BaseException as error:
            with suppress(UserError):  # the disk's, say: the error that is on its way says more
                if isinstance(error, Exception):
                    self._leave("failed", failure_text(error))
                else:
                    self._leave("stopped")
            raise
        else:
            self._leave("ended")
        finally:
            self.home.process(self.name).unlink(missing_ok=True)

    def _leave(self, state: str, error: str | None = None) -> None:
        """Note in the status of the stage that this process is at, if that has one, how it leaves it."""
        own = noted_process(self.home, self.name)
        for status in statuses(self.home, self.name):
            if own is not None and status.stage == own.stage:
                ended_at = status.ended_at or (status.written if status.ended else None)
                replace(status, state=state, error=error, pid=os.getpid(), ended_at=ended_at).write()

    def stage(self, stage: str) -> Path:
        return stage_folder(self.folder, stage)

    def set_aside_stage(self, stage: str) -> Path | None:
        """Rename one stage's folder to `<stage>.old-N`, the first free N; the new one, or None if there was none."""
        folder = self.stage(stage)
        if not folder.exists():
            return None
        places = (self.stage(f"{stage}{_OLD}{number}") for number in count(1))
        return folder.rename(next(place for place in places if not place.exists()))

    def set_aside(self) -> str | None:
        """Rename the run and its model to `<name>.old-N`, the first free N; that name, or None if there was neither."""
        if not self.folder.exists() and not self.model_path.exists():
            return None
        old = self.free_name()
        if self.folder.exists():
            self.folder.rename(self.home.run(old))
        if self.model_path.exists():
            self.model_path.rename(self.home.model(old))
        return old

    def free_name(self) -> str:
        """`<name>.old-N`, the first N that no run and no model has."""
        names = (f"{self.name}{_OLD}{number}" for number in count(1))
        return next(name for name in names if not (self.home.run(name).exists() or self.home.model(name).exists()))

    def begin(self, stage: str, weights: dict, config: DictConfig, manifest: Manifest, spec: MelSpec) -> None:
        """Note configuration and manifest, and what the stage's weights depend on: `weights`, mel, corpus and seed.

        The process that is noted is at this stage from now on. Call it when the stage's parts are built, so that a
        value that they refuse is not noted.

        Raises:
            UserError: the stage was begun with something else, so that its checkpoints cannot be gone on from; lists
                each difference. Or the disk refuses.
        """
        self._check_signature(
            stage,
            weights
            | {"mel": spec.to_dict(), "corpus": manifest.fingerprint, "seed": config.seed}
            | {CHANNELS: str(config.data.channels)},
        )
        with replace_file(self.folder / CONFIG) as temporary:
            temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(literals(plain(config)))), encoding="utf-8")
        manifest.save(self.folder / MANIFEST)
        own = noted_process(self.home, self.name)
        if own is not None:
            self._leave("ended")
            note_process(self.home, self.name, replace(own, stage=stage))

    def _check_signature(self, stage: str, signature: dict) -> None:
        path = self.stage(stage) / SIGNATURE
        if path.exists():
            try:
                # Before there was a choice, all channels were mixed.
                noted = {CHANNELS: MIX, **_flat(json.loads(path.read_text()))}
            except ValueError as error:
                raise UserError(f"{path} is damaged ({error}): begin anew with resume=never") from error
            asked = _flat(json.loads(json.dumps(signature)))
            differing = [
                f"  {key}: {noted.get(key, 'absent')} in the run, {asked.get(key, 'absent')} now"
                for key in sorted(noted.keys() | asked.keys())
                if noted.get(key) != asked.get(key)
            ]
            if differing:
                raise UserError(
                    f"run {self.name} ({self.folder}) cannot go on, it was begun with other values:\n"
                    + "\n".join(differing)
                    + f"\nChoose another name=, or resume=never to begin anew (the old one stays as {self.name}.old-N)"
                )
            return
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(signature, indent=1))


def _flat(values: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in values.items():
        if key == "_target_":  # the place of a class in the code may change; which kind it is, the stage's name says
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def load(kind: type[Noted], path: Path, **given: Any) -> Noted | None:
    """A dataclass from the keys of a JSON file that it knows, and from what is `given`.

    None where there is no such file, or it is another's.
    """
    try:
        values = json.loads(path.read_bytes()) | given
        return kind(**{item.name: values[item.name] for item in fields(kind) if item.name in values})
    except (OSError, ValueError, TypeError):
        return None
