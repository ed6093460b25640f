"""Runs of a home as the page follows them, and what the tests start there."""

import time
from collections.abc import Callable
from pathlib import Path

from distillgan.cli.overrides import quote
from distillgan.paths import Home
from distillgan.training.run_status import statuses
from distillgan.ui.runs import RunKey, RunState, Supervisor

TINY = ["experiment=tiny", "device=cpu", "trainer.validate_every=50", "callbacks.preview.every=5000"]


def tiny(recordings: Path, *more: str) -> list[str]:
    """The overrides of a training of seconds."""
    return [*TINY, f"data.dir={quote(str(recordings))}", *more]


def wait(supervisor: Supervisor, key: RunKey, until: Callable[[RunState], bool], seconds: float = 90) -> RunState:
    """The state that is waited for; it must come before the run ends otherwise."""
    limit = time.monotonic() + seconds
    while not until(state := supervisor.state(key)):
        assert time.monotonic() < limit and state.running, (state, state.spawned and state.spawned.log())
        time.sleep(0.05)
    return state


def ended(state: RunState) -> bool:
    return not state.running


def steps(home: Home, name: str) -> int:
    """Of the stage that was written to last."""
    found = statuses(home, name)
    return found[0].step if found else 0
