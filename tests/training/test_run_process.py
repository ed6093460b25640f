"""Who trains a name: noted while it does, and no longer; and in its status how it left its stage."""

import json
import os
import time
from dataclasses import replace

import pytest

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.training.run_status import Run, StageStatus, live_process, note_process, noted_process, statuses


def test_the_process_is_noted_for_as_long_as_it_trains(tmp_path):
    home = Home(tmp_path)
    assert noted_process(home, "rain") is None
    with Run(home, "rain").noted("cpu", ["vae", "harmonic"]):
        noted = noted_process(home, "rain")
        assert live_process(home, "rain") == noted
        assert (noted.pid, noted.device, noted.stages) == (os.getpid(), "cpu", ["vae", "harmonic"])
        assert noted_process(home, "rai") is None
    assert noted_process(home, "rain") is None
    with pytest.raises(KeyError), Run(home, "rain").noted("cpu", ["vae"]):
        raise KeyError
    assert noted_process(home, "rain") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}'])
def test_what_is_no_note_says_nothing(tmp_path, text):
    home = Home(tmp_path)
    home.runs.mkdir()
    home.process("rain").write_text(text)
    assert noted_process(home, "rain") is None


def status_of(home, stage, **values):
    """A stage of rain that trains at this moment, in this process."""
    numbers = {"step": 3, "steps": 9, "share": 1 / 3, "seconds": 1.0, "seconds_left": 2.0, "losses": {}, "judged": {}}
    there = {"monitor": "val/mel_error_db", "ended": False, "state": "running", "pid": os.getpid(), **numbers, **values}
    status = StageStatus(stage=stage, folder=home.run("rain") / stage, **there)
    status.write()
    return status


@pytest.mark.parametrize(
    ("error", "state", "words", "outcome"),
    [
        (UserError("the disk is full"), "failed", "the disk is full", "failed"),
        (RuntimeError("shapes"), "failed", "RuntimeError: shapes", "failed"),
        (KeyboardInterrupt(), "stopped", None, "stopped"),
        (None, "ended", None, "stopped"),  # well, but before its steps were done
    ],
)
def test_how_a_process_leaves_its_stage_is_in_its_status(tmp_path, error, state, words, outcome):
    home, run = Home(tmp_path), Run(Home(tmp_path), "rain")
    before = status_of(home, "harmonic", state="ended")
    try:
        with run.noted("cpu", ["vae"]):
            note_process(home, "rain", replace(noted_process(home, "rain"), stage="vae"))  # as `begin` does
            status_of(home, "vae")
            assert statuses(home, "rain")[0].outcome(home, "rain") == "failed"  # what a killed one leaves
            if error is not None:
                raise error
    except type(error) as raised:
        assert raised is error
    found = {status.stage: status for status in statuses(home, "rain")}
    assert (found["vae"].state, found["vae"].error) == (state, words) and found["vae"].step == 3
    assert found["vae"].outcome(home, "rain") == outcome
    assert found["harmonic"] == replace(before, written=found["harmonic"].written)


def test_a_status_from_before_its_state_was_noted_is_read(tmp_path):
    home = Home(tmp_path)
    path = status_of(home, "vae").folder / "status.json"
    values = json.loads(path.read_text())
    for ended, share, outcome in ((True, 1.0, "done"), (True, 0.5, "stopped"), (False, 0.5, "failed")):
        old = {key: value for key, value in values.items() if key not in ("state", "pid", "error")}
        path.write_text(json.dumps(old | {"ended": ended, "share": share}))
        (status,) = statuses(home, "rain")
        assert (status.state, status.pid, status.outcome(home, "rain")) == (None, None, outcome)


@pytest.mark.parametrize("ended_at", [5.0, None])
def test_when_its_steps_ended_stays_as_it_is_when_its_process_ends(tmp_path, ended_at):
    home, run = Home(tmp_path), Run(Home(tmp_path), "rain")
    status_of(home, "vae", ended=True, ended_at=ended_at)
    (before,) = statuses(home, "rain")
    time.sleep(0.05)
    with run.noted("cpu", ["vae"]):
        note_process(home, "rain", replace(noted_process(home, "rain"), stage="vae"))
    (after,) = statuses(home, "rain")
    assert after.written > before.written and after.ended_at == (ended_at or before.written)


def test_a_number_that_another_process_has_got_is_not_taken_for_the_one_that_was_noted(tmp_path):
    home, run = Home(tmp_path), Run(Home(tmp_path), "rain")
    with run.noted("cpu", ["vae"]):
        noted = noted_process(home, "rain")
        for values, alive in (
            ({"started": 1.0}, False),
            ({"pid": 2**22 + 1}, False),
            ({"host": "elsewhere"}, True),
            ({"host": "elsewhere", "started": time.time() - 3600}, False),  # not heard of for long
        ):
            note_process(home, "rain", replace(noted, **values))
            assert (live_process(home, "rain") is not None) == alive, values
