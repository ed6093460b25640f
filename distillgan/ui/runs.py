"""Trainings as the page knows them: where each stands, started, watched and stopped.

Where a training stands, from the files that it writes into its run: status, curves, previews.

What has become of a training in its model's file: whether it is in it, and how it compares with what was there.

All trainings of a home, as the page knows them: processes of their own, found again through files.

Those that a page has started are noted under trainings/ (`started`); others are known by what every training writes
into its run, and by the process that is noted while it runs (`elsewhere`).
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock

from distillgan import compute
from distillgan.atomic import Holder, holder
from distillgan.cli import hydra_app
from distillgan.cli.overrides import quote
from distillgan.errors import UserError
from distillgan.models.header import PENDING, Header, read_header
from distillgan.paths import Home, check_name, current_kind, is_name
from distillgan.process import ENDING
from distillgan.ui import spawned_run
from distillgan.ui.spawned_run import Started

STATUS, CURVES, PICTURE = "status.json", "curves.jsonl", "preview.png"
PARTS = ("model", "vocoder")
# What of a stage's losses is drawn: its own one, before everything that only helps.
_LOSS = {"vae": "train/reconstruction"}
_LOSS_OF_VOCODERS = "train/loss_mel"
_POINTS = 400  # of a curve, at most
_OLD = ".old-"  # in the names of what was set aside
_HEARD = ("recording", "reconstruction_heard", "target", "generated")


@dataclass(frozen=True)
class Standing:
    """A stage of a run: its folder, what its status says, and when that was written (seconds since 1970)."""

    folder: Path
    status: dict[str, Any]
    written: float

    @property
    def stage(self) -> str:
        return current_kind(self.folder.name)

    @property
    def ended(self) -> bool:
        return bool(self.status.get("ended"))

    @property
    def picture(self) -> Path | None:
        path = self.folder / PICTURE
        return path if path.is_file() else None

    def curves(self) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Points (step, value) of the loss, and of the error on what is judged."""
        loss, judged = [], []
        wanted = _LOSS.get(self.stage, _LOSS_OF_VOCODERS)
        for values in _lines(self.folder / CURVES):
            for points, key in ((loss, wanted), (judged, self.status["monitor"])):
                if values.get(key) is not None:
                    points.append((values["step"], values[key]))
        return _thinned(loss), _thinned(judged)

    def heard(self) -> list[tuple[str, Path]]:
        """What there is of the first clip, as (name, file): the recording first."""
        files = [(name, self.folder / f"preview_0_{name}.wav") for name in _HEARD]
        return [(name, path) for name, path in files if path.is_file()]


def standings(home: Home, name: str) -> list[Standing]:
    """The stages of a run that have begun, the latest written first; nothing of a run that is not there."""
    found = []
    for path in home.run(name).glob(f"*/{STATUS}"):
        if _OLD in path.parent.name:
            continue
        try:
            status, written = json.loads(path.read_bytes()), path.stat().st_mtime
        except (OSError, ValueError):  # set aside or replaced at this moment
            continue
        found.append(Standing(path.parent, status, written))
    return sorted(found, key=lambda standing: -standing.written)


def part_of(stage: str) -> str:
    """Which of PARTS a stage belongs to: there are several kinds of vocoders."""
    return PARTS[stage != "vae"]


def trained(home: Home) -> Iterator[tuple[str, str, float]]:
    """Name, part, and when it was written to (seconds since 1970), of all stages of all runs but those set aside."""
    for path in home.runs.glob(f"*/*/{STATUS}"):
        run, stage = path.parts[-3:-1]
        if _OLD not in run and _OLD not in stage:
            with suppress(FileNotFoundError):  # set aside at this moment
                yield run, part_of(stage), path.stat().st_mtime


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text()
    except OSError:
        return []
    # What follows the last line's end is being written.
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Every so many of them, the last one always."""
    stride = -(-len(points) // _POINTS)
    return points[::-1][:: max(1, stride)][::-1]


_STATISTICS = {"model": "vae", "vocoder": "vocoder"}  # of the model's header, for each part

_PLAYS = "It plays on the Generate tab."


def finished(home: Home, name: str, stage: str) -> bool:
    """Does the model say that this part of it was trained to its end?"""
    header = _header(home, name)
    statistics = None if header is None else header.training.get(_STATISTICS[part_of(stage)])
    return bool(statistics and statistics.get("finished") and statistics.get("sliders") != PENDING)


def model_in_words(home: Home, name: str, standing: Standing) -> str:
    """In words, what is to be known of the model that came of a training that has ended."""
    header = _header(home, name)
    if header is None:
        return "Its model is not in the library any more."
    if part_of(standing.stage) == "model":
        pending = f" {header.no_sliders.capitalize()}." if header.sliders_pending else ""
        return f"{_grown(header)}{_PLAYS}{pending}"
    there = header.training.get("vocoder")
    if header.vocoder is None or not there:
        return "Its model has no vocoder of its own any more."
    packed, error = _moment(there.get("date")), there.get("mel_error")
    # Its steps end before it is packed; dates have whole seconds.
    if packed is None or packed >= math.floor(standing.written):
        return _PLAYS
    judged = f": its error is {error:.3f}, and the new one's is larger" if isinstance(error, float) else ""
    return (
        f"It is not in the model, which keeps the {header.vocoder['name']} vocoder that it had{judged}. "
        "To have the new one all the same, train it again as it was, without beginning anew, and let it take the "
        "other's place: that takes no more steps."
    )


def _grown(header: Header) -> str:
    statistics = header.training["vae"]
    before, now = statistics.get("old_error_before_db"), statistics.get("old_error_db")
    if not isinstance(before, float) or not isinstance(now, float):
        return ""
    return f"It has grown: its error on the old recordings was {before:.2f} dB before, and is {now:.2f} dB now. "


def _moment(date: object) -> float | None:
    """Seconds since 1970; None of what a stranger's file calls a date."""
    try:
        return datetime.fromisoformat(str(date)).timestamp()
    except ValueError:
        return None


def _header(home: Home, name: str) -> Header | None:
    try:
        return read_header(home.model(name))
    except UserError:
        return None


Phase = Literal["running", "stopping", "done", "stopped", "failed"]

_STOPPED = {code for signum in ENDING for code in (128 + signum, -signum)}
_CLOSING_SECONDS = 20.0
_LAST_WORDS = 1.0  # seconds after a training's end in which its run may still be written to
_BROKE_OFF = (
    "It ended before its steps did. Why, it has said where it was started; the same command there goes on from its "
    "last checkpoint."
)


class Key(NamedTuple):
    """One training: of the model of this name (`part` model), or of its vocoder (`part` vocoder)."""

    name: str
    part: str = "model"

    @classmethod
    def parse(cls, text: str) -> "Key":
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
class State:
    """How a training is doing; `words` say why it failed, and are empty otherwise.

    standing: of the stage that it is at, or has come to; None before its first step. started: what the page asked for;
    None if this was started elsewhere, `process` being who trains it there, if it still does.
    """

    key: Key
    phase: Phase
    standing: Standing | None
    started: Started | None = None
    process: Holder | None = None
    words: str = ""

    @property
    def running(self) -> bool:
        return self.phase in ("running", "stopping")

    @property
    def resumable(self) -> bool:
        return self.phase in ("stopped", "failed") and self.started is not None


class Trainings:
    """All trainings of a home, started from this page, from another, or elsewhere, now or before.

    threads: of each that is started here; None: all.
    """

    def __init__(self, home: Home, threads: int | None = None):
        self.home, self.folder = home, home.root / "trainings"
        self._given = [] if threads is None else [f"threads={threads}"]
        self._mine: set[int] = set()  # the attendants of those that this server started

    def start(self, name: str, overrides: list[str]) -> tuple[Key, list[str]]:
        """Start `python -m distillgan.train name=… overrides…`; its key, and who else is trained on the same device.

        The same overrides again go on with a training that was stopped or broke off.

        Raises:
            UserError: the name is none or is being trained, or the configuration refuses the overrides.
        """
        name = check_name(name)
        full = [f"name={quote(name)}", f"paths.home={quote(str(self.home.root))}", *overrides]
        config = hydra_app.composed("train", hydra_app.to_overrides(full))
        device = compute.resolve(config.trainer.device or config.device.name).type
        wanted = config.stages or ["vae", *["vocoder"] * ("module" in config.vocoder)]
        stages = [stage if stage == "vae" else str(config.vocoder.name) for stage in wanted]
        key = Key(name, part_of(stages[0]))
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            self.refuse_running(name)
            running = self._running()
            command = [sys.executable, "-m", "distillgan.train", *self._given, *full]
            self._mine.add(spawned_run.start(self._folder(key), overrides, command, stages, device).pid)
        return key, [other for other, training in running.items() if training.device == device]

    def resume(self, key: Key) -> tuple[Key, list[str]]:
        """Start it again with what it was started with, except that what has begun anew goes on.

        Raises:
            UserError: as `start`, or there is none, or it was not started from a page.
        """
        state = self._known(key)
        if state.started is None:
            raise UserError(f"{key.name} was not started from the page: the command that started it goes on with it")
        begun = state.standing is not None and _by(state.started, state.standing)
        dropped = {"resume=never"} if begun else set()  # before its first step what there was is not kept aside yet
        return self.start(key.name, [item for item in state.started.overrides if item not in dropped])

    def cancel(self, key: Key) -> None:
        """Ask it to stop: at its next step it writes its checkpoint and a model that plays, and ends.

        Raises:
            UserError: it is not running, or not to be stopped from here.
        """
        state = self._known(key)
        if not state.running:
            raise UserError(f"{key.name} is not being trained any more")
        if state.process is not None:
            spawned_run.stop(self.home, key.name, state.process)
        elif state.started is not None:
            state.started.stop()

    def refuse_running(self, *names: str) -> None:
        """Raises UserError if one of them is being trained, even if that has come to no lock of its own yet."""
        for name in names:
            if self._live(name) is not None:
                raise UserError(f"{name} is being trained already: wait for it, stop it, or choose another name")

    def listed(self) -> list[Key]:
        """Those that run first, then the latest first."""
        found = {Key(*path.parts[-3:-1]): path.stat().st_mtime for path in self.folder.glob(f"*/*/{spawned_run.NOTE}")}
        for name, part, written in trained(self.home):
            found[Key(name, part)] = max(written, found.get(Key(name, part), 0.0))
        running = set()
        for name, training in self._running().items():
            running.add(key := self._current(name, training))
            found.setdefault(key, training.started)
        known = [key for key in found if key.valid]  # other folders are no trainings
        return sorted(known, key=lambda key: (key not in running, -found[key], key))

    def state(self, key: Key) -> State | None:
        """None if there is no such training."""
        live, found = self._live(key.name), self._standing(key)
        if live is not None and self._current(key.name, live) == key:
            fresh = found if found is not None and _by(live, found) else None
            if isinstance(live, Holder):
                stopping = spawned_run.stopping(self.home, key.name, live)
                return State(key, "stopping" if stopping else "running", fresh, process=live)
            return State(key, "stopping" if live.stopping else "running", fresh, live)
        note = self._note(key, found)
        if note is None or note == live:
            return None if found is None else self._from_run(key, found)
        return self._ended(key, note, found)

    def close(self) -> None:
        """Ask those that this server started to stop, and wait a little; what takes longer ends by itself."""
        running = self._running().values()
        mine = [live for live in running if isinstance(live, Started) and live.pid in self._mine]
        for live in mine:
            live.stop()
        limit = time.monotonic() + _CLOSING_SECONDS
        while any(live.alive for live in mine) and time.monotonic() < limit:
            time.sleep(0.1)

    def _running(self) -> dict[str, Started | Holder]:
        names = {path.parts[-3] for path in self.folder.glob(f"*/*/{spawned_run.NOTE}")}
        names |= {path.name[1:].removesuffix(".process") for path in self.home.runs.glob(".*.process")}
        found = {name: self._live(name) for name in sorted(names)}
        return {name: live for name, live in found.items() if live is not None}

    def _live(self, name: str) -> Started | Holder | None:
        """Who trains this name at this moment."""
        for note in self._notes(name):
            if note.alive:  # asked before its outcome is: it writes that before it ends
                return note
        process = holder(self.home, name)
        if process is None:
            return None
        heard = max((standing.written for standing in standings(self.home, name)), default=0.0)
        return process if spawned_run.alive(process, heard) else None

    def _current(self, name: str, live: Started | Holder) -> Key:
        """What of the name it is training now."""
        fresh = [standing.stage for standing in standings(self.home, name) if _by(live, standing)]
        return Key(name, part_of([*fresh, live.stages[0]][0]))

    def _standing(self, key: Key) -> Standing | None:
        found = standings(self.home, key.name)
        return next((standing for standing in found if part_of(standing.stage) == key.part), None)

    def _notes(self, name: str) -> list[Started]:
        """What the page started last for the model, and for its vocoder; the latest first."""
        notes = [spawned_run.read(self._folder(Key(name, part))) for part in PARTS]
        return sorted((note for note in notes if note is not None), key=lambda note: -note.started)

    def _note(self, key: Key, found: Standing | None) -> Started | None:
        """What the page started last that has to do with this part, of which `found` is left."""
        for note in self._notes(key.name):
            if note.folder.name == key.part or (found is not None and _by(note, found)):
                return note
        return None

    def _folder(self, key: Key) -> Path:
        return self.home.training(key.name) / key.part

    def _ended(self, key: Key, note: Started, found: Standing | None) -> State:
        code, ended = note.outcome
        if found is not None:
            # Its run may have been gone on with elsewhere, or have ended well without the process that attended to it.
            later = found.written > ended + _LAST_WORDS if ended else found.ended and found.written > note.started
            if later:
                return self._from_run(key, found)
        if code == 0:
            return State(key, "done", found, note)
        if code in _STOPPED or (code is None and note.stopping):
            return State(key, "stopped", found, note)
        return State(key, "failed", found, note, words=note.why(code))

    def _from_run(self, key: Key, found: Standing) -> State:
        """How a training that nobody attended to has ended, from what it left."""
        if not found.ended:
            return State(key, "failed", found, words=_BROKE_OFF)
        done = found.status["share"] >= 1 or finished(self.home, key.name, found.stage)
        return State(key, "done" if done else "stopped", found)

    def _known(self, key: Key) -> State:
        state = self.state(key)
        if state is None:
            raise UserError(f"there is no training of the name {key.name} any more: choose another")
        return state


def _by(live: Started | Holder, standing: Standing) -> bool:
    """Was it this training that wrote it?"""
    return standing.stage in map(current_kind, live.stages) and standing.written >= live.started
