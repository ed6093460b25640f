"""Runs that no page has started: seen, followed, stopped once, and told of when they have ended."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from followed import ended, tiny, wait

from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.library import rename_model
from distillgan.training.run_status import noted_process
from distillgan.ui.runs import RunKey, Supervisor
from distillgan.ui.train_tab import failure_text

pytestmark = pytest.mark.slow

MODEL, VOCODER = RunKey("cave"), RunKey("cave", "vocoder")


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


def appears(supervisor, key, seconds=120):
    limit = time.monotonic() + seconds
    while supervisor.state(key) is None or not supervisor.state(key).running:
        assert time.monotonic() < limit
        time.sleep(0.05)
    return supervisor.state(key)


def test_both_stages_are_followed_and_stopped_as_by_ctrl_c(home, terminal):
    supervisor = Supervisor(home)
    process = terminal("vocoder=harmonic", "model.max_steps=3", "vocoder.max_steps=100000")
    state = appears(supervisor, MODEL)
    assert state.process.pid == process.pid and state.process.stages == ["vae", "harmonic"] and not state.resumable
    with pytest.raises(UserError, match="cave is being trained already"):
        supervisor.start("cave", [])
    state = appears(supervisor, VOCODER)  # after the model
    assert supervisor.listed() == [VOCODER, MODEL] and supervisor.state(MODEL).phase == "done"
    wait(supervisor, VOCODER, lambda state: state.status is not None and state.status.step >= 2)
    supervisor.stop(VOCODER)
    supervisor.stop(VOCODER)  # a second signal would cost it what it has trained
    assert process.wait(60) == 130
    state = supervisor.state(VOCODER)
    assert state.phase == "stopped" and not state.resumable and state.status.ended
    assert read_header(home.model("cave")).training["vocoder"]["steps"] >= 2
    assert noted_process(home, "cave") is None
    with pytest.raises(UserError, match="not being trained any more"):
        supervisor.stop(VOCODER)
    with pytest.raises(UserError, match="the command that started it goes on with it"):
        supervisor.resume(VOCODER)


def test_one_that_is_killed_is_told_of_and_one_of_the_page_goes_on_from_it(home, terminal, recordings):
    supervisor = Supervisor(home)
    process = terminal("model.max_steps=100000", "callbacks.checkpoint.every=2")
    appears(supervisor, MODEL)
    limit = time.monotonic() + 60
    # The last stage written to may be the vocoder of before.
    while (at := supervisor.state(MODEL).status) is None or at.step < 6:
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.kill()
    process.wait()
    state = supervisor.state(MODEL)
    assert state.phase == "failed" and "the same command there" in failure_text(state) and not state.resumable
    reached = state.status.step
    supervisor.start("cave", tiny(recordings, f"model.max_steps={reached + 3}"))
    state = wait(supervisor, MODEL, ended)
    assert state.phase == "done" and state.spawned is not None and state.status.step == reached + 3
    # What the page has started is not taken for a stranger's.
    assert set(supervisor.listed()) == {MODEL, VOCODER}


def test_a_training_is_found_under_its_models_new_name(home):
    supervisor = Supervisor(home)
    before = supervisor.state(MODEL)
    said = before.spawned.log()
    rename_model(home, "cave", "cavern")
    assert supervisor.state(MODEL) is None and set(supervisor.listed()) == {
        RunKey("cavern"),
        RunKey("cavern", "vocoder"),
    }
    after = supervisor.state(RunKey("cavern"))
    assert (after.phase, replace(after.status, folder=before.status.folder)) == (before.phase, before.status)
    assert after.spawned.overrides == before.spawned.overrides and after.spawned.log() == said != []
    key, _ = supervisor.resume(RunKey("cavern"))
    assert wait(supervisor, key, ended).phase == "done"
    assert not home.model("cave").exists() and not home.run("cave").exists()


def test_whose_process_it_is(home):
    def noted(**values):
        there = {"pid": os.getpid(), "host": "here", "device": "cpu", "started": time.time(), "stages": ["vae"]}
        home.process("far").write_text(json.dumps(there | values))
        return Supervisor(home).state(RunKey("far"))

    home.runs.mkdir(exist_ok=True)
    state = noted()
    assert state.phase == "running" and not state.process.here
    with pytest.raises(UserError, match="far is being trained on here: stop it there"):
        Supervisor(home).stop(RunKey("far"))
    assert noted(started=time.time() - 3600) is None  # not heard of for long
    host = os.uname().nodename
    assert noted(host=host).phase == "running"
    # A process that was there before the note is not the one that wrote it, and gets no signal.
    assert noted(host=host, started=1.0) is None
    assert noted(host=host, pid=2**22 + 1) is None
    home.process("far").write_text("[]")
    assert Supervisor(home).state(RunKey("far")) is None
    home.process("far").unlink()


def test_what_is_no_training_is_not_listed(home):
    for stray in ("a b/vae", "far.old-1/vae", "far/harmonic.old-1"):
        (home.runs / stray).mkdir(parents=True)
        (home.runs / stray / "status.json").write_text("{}")
    assert not [key for key in Supervisor(home).listed() if key.name[:3] in ("a b", "far")]
    for text in ("", "cavern", "../x/model", "cavern/vae", "a b/model"):
        with pytest.raises(UserError, match="no training"):
            RunKey.parse(text)
    assert RunKey.parse("cavern/vocoder") == ("cavern", "vocoder")
