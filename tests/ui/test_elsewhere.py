"""Trainings that no page has started: seen, followed, stopped once, and told of when they have ended."""

import json
import os
import subprocess
import sys
import time

import pytest
from followed import ended, steps, tiny, wait

from distillgan.atomic import holder
from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.library import rename_model
from distillgan.ui import spawned_run
from distillgan.ui.runs import Key, Trainings

pytestmark = pytest.mark.slow

MODEL, VOCODER = Key("cave"), Key("cave", "vocoder")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def terminal(home, recordings):
    """`terminal(*overrides)`: a training of cave as a shell would start it."""
    begun = []

    def start(*overrides):
        command = [sys.executable, "-m", "distillgan.train", "name=cave", f"paths.home={home.root}"]
        begun.append(subprocess.Popen([*command, *tiny(recordings, *overrides)], stdout=subprocess.DEVNULL))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def appears(trainings, key, seconds=120):
    limit = time.monotonic() + seconds
    while trainings.state(key) is None or not trainings.state(key).running:
        assert time.monotonic() < limit
        time.sleep(0.05)
    return trainings.state(key)


def test_both_stages_are_followed_and_stopped_as_by_ctrl_c(home, terminal):
    trainings = Trainings(home)
    process = terminal("vocoder=harmonic", "model.max_steps=3", "vocoder.max_steps=100000")
    state = appears(trainings, MODEL)
    assert state.process.pid == process.pid and state.process.stages == ["vae", "harmonic"] and not state.resumable
    with pytest.raises(UserError, match="cave is being trained already"):
        trainings.start("cave", [])
    state = appears(trainings, VOCODER)  # after the model
    assert trainings.listed() == [VOCODER, MODEL] and trainings.state(MODEL).phase == "done"
    wait(trainings, VOCODER, lambda _: steps(home, "cave") >= 2)
    trainings.cancel(VOCODER)
    trainings.cancel(VOCODER)  # a second signal would cost it what it has trained
    assert process.wait(60) == 130
    state = trainings.state(VOCODER)
    assert state.phase == "stopped" and not state.resumable and state.standing.ended
    assert read_header(home.model("cave")).training["vocoder"]["steps"] >= 2
    assert holder(home, "cave") is None
    with pytest.raises(UserError, match="not being trained any more"):
        trainings.cancel(VOCODER)
    with pytest.raises(UserError, match="the command that started it goes on with it"):
        trainings.resume(VOCODER)


def test_one_that_is_killed_is_told_of_and_one_of_the_page_goes_on_from_it(home, terminal, recordings):
    trainings = Trainings(home)
    process = terminal("model.max_steps=100000", "callbacks.checkpoint.every=2")
    appears(trainings, MODEL)
    limit = time.monotonic() + 60
    # The last stage written to may be the vocoder of before.
    while (at := trainings.state(MODEL).standing) is None or at.status["step"] < 6:
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.kill()
    process.wait()
    state = trainings.state(MODEL)
    assert state.phase == "failed" and "the same command there" in state.words and not state.resumable
    reached = state.standing.status["step"]
    trainings.start("cave", tiny(recordings, f"model.max_steps={reached + 3}"))
    state = wait(trainings, MODEL, ended)
    assert state.phase == "done" and state.started is not None and state.standing.status["step"] == reached + 3
    # What the page has started is not taken for a stranger's.
    assert set(trainings.listed()) == {MODEL, VOCODER}


def test_a_training_is_found_under_its_models_new_name(home):
    trainings = Trainings(home)
    before = trainings.state(MODEL)
    said = before.started.log()
    rename_model(home, "cave", "cavern")
    assert trainings.state(MODEL) is None and set(trainings.listed()) == {Key("cavern"), Key("cavern", "vocoder")}
    after = trainings.state(Key("cavern"))
    assert (after.phase, after.standing.status) == (before.phase, before.standing.status)
    assert after.started.overrides == before.started.overrides and after.started.log() == said != []
    key, _ = trainings.resume(Key("cavern"))
    assert wait(trainings, key, ended).phase == "done"
    assert not home.model("cave").exists() and not home.run("cave").exists()


def test_whose_process_it_is(home):
    def noted(**values):
        there = {"pid": os.getpid(), "host": "here", "device": "cpu", "started": time.time(), "stages": ["vae"]}
        home.process("far").write_text(json.dumps(there | values))
        return Trainings(home).state(Key("far"))

    home.runs.mkdir(exist_ok=True)
    state = noted()
    assert state.phase == "running" and not spawned_run.here(state.process)
    with pytest.raises(UserError, match="far is being trained on here: stop it there"):
        Trainings(home).cancel(Key("far"))
    assert noted(started=time.time() - 3600) is None  # not heard of for long
    host = os.uname().nodename
    assert noted(host=host).phase == "running"
    # A process that was there before the note is not the one that wrote it, and gets no signal.
    assert noted(host=host, started=1.0) is None
    assert noted(host=host, pid=2**22 + 1) is None
    home.process("far").write_text("[]")
    assert Trainings(home).state(Key("far")) is None
    home.process("far").unlink()


def test_what_is_no_training_is_not_listed(home):
    for stray in ("a b/vae", "far.old-1/vae", "far/harmonic.old-1"):
        (home.runs / stray).mkdir(parents=True)
        (home.runs / stray / "status.json").write_text("{}")
    assert not [key for key in Trainings(home).listed() if key.name[:3] in ("a b", "far")]
    for text in ("", "cavern", "../x/model", "cavern/vae", "a b/model"):
        with pytest.raises(UserError, match="no training"):
            Key.parse(text)
    assert Key.parse("cavern/vocoder") == ("cavern", "vocoder")
