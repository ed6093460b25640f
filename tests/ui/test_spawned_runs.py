"""Runs as processes: found again by another page, stopped, gone on with, and told of when they break."""

import json
import os
import signal
import time
from dataclasses import asdict

import pytest
from followed import TINY, ended, steps, tiny, wait

from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.training.run_status import RunProcess, note_process, statuses
from distillgan.ui.runs import RunKey, Supervisor
from distillgan.ui.train_tab import failure_text, previews

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("a home"))


def noted(home, name, started):
    """A run of the page whose process is this one, or said to be: its note."""
    process = RunProcess(pid=os.getpid(), device="cpu", started=started, stages=["vae"])
    note_process(home, name, process)
    path = home.training(name) / "model" / "training.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # `created` as notes had it when there was a process between the page and the run.
    path.write_text(json.dumps({"overrides": [], "created": 1.0, **asdict(process)}))
    return path


def test_a_training_is_found_again_stopped_gone_on_with_and_done(home, recordings):
    supervisor = Supervisor(home)
    long = RunKey("long")
    assert supervisor.state(long) is None and supervisor.start("long", tiny(recordings, "model.max_steps=150")) == (
        long,
        [],
    )
    other = Supervisor(home)  # a second page, or this one after a restart
    assert other.listed() == [long] and other.state(long).phase == "running"
    with pytest.raises(UserError, match="long is being trained already"):
        other.start("long", tiny(recordings))
    wait(other, long, lambda _: steps(home, "long") >= 5)
    other.stop(long)
    assert other.state(long).phase in ("stopping", "stopped")
    state = wait(supervisor, long, ended)
    assert state.phase == "stopped" and state.resumable
    model = home.model("long")
    reached = read_header(model).training["vae"]["steps"]
    assert 5 <= reached < 150
    with pytest.raises(UserError, match="not being trained any more"):
        supervisor.stop(long)
    assert other.resume(long)[0] == long
    assert wait(supervisor, long, ended).phase == "done"
    assert read_header(model).training["vae"]["steps"] == 150
    (status,) = statuses(home, "long")
    assert status.ended and (status.folder / "preview.png").is_file() and previews(status)[0][0] == "The recording"
    loss, judged = status.curves("train/reconstruction", status.monitor)
    assert loss[-1][0] == judged[-1][0] == 150


def test_a_refused_value_is_told_in_the_trainings_words(home, recordings):
    supervisor = Supervisor(home)
    with pytest.raises(UserError, match="no_such"):
        supervisor.start("refused", tiny(recordings, "model.no_such=1"))
    assert supervisor.state(RunKey("refused")) is None
    noted(home, "alive", time.time())
    assert supervisor.start("refused", tiny(recordings, "resume=perhaps"))[1] == ["alive"]  # on the same device
    home.process("alive").unlink()
    state = wait(supervisor, RunKey("refused"), ended)
    assert state.phase == "failed" and failure_text(state).startswith("resume=perhaps must be auto or never")


def test_a_training_that_is_killed_is_told_of_with_its_last_lines_and_goes_on(home, recordings):
    supervisor = Supervisor(home)
    more = ["model.max_steps=100000", "callbacks.checkpoint.every=5"]
    killed, _ = supervisor.start("killed", tiny(recordings, *more))
    wait(supervisor, killed, lambda _: steps(home, "killed") >= 5)
    os.kill(supervisor.state(killed).process.pid, signal.SIGKILL)
    state = wait(supervisor, killed, ended)
    assert state.phase == "failed" and "SIGKILL" in failure_text(state)
    assert "steps at most" in failure_text(state) and state.status.state == "running"
    before = steps(home, "killed")
    supervisor.resume(killed)
    wait(supervisor, killed, lambda _: steps(home, "killed") > before)
    # The server closes: what it has started writes its checkpoint and a model.
    supervisor.close()
    assert supervisor.state(killed).phase == "stopped" and home.model("killed").exists()


def test_a_number_that_another_process_has_got_is_not_taken_for_the_training(home, tmp_path):
    past, path = RunKey("past"), noted(home, "past", 0.0)
    state = Supervisor(home).state(past)
    assert state.phase == "failed" and "from outside" in failure_text(state)
    with pytest.raises(UserError):
        Supervisor(home).stop(past)
    noted(home, "past", time.time())
    assert Supervisor(home).state(past).running
    home.process("past").write_text("{")
    assert Supervisor(home).state(past).phase == "failed"
    path.write_text("{")
    assert Supervisor(home).state(past) is None


def test_a_training_may_be_stopped_at_once(home, recordings):
    supervisor = Supervisor(home)
    for delay in (0.0, 0.5, 2.0):
        hasty, _ = supervisor.start("hasty", tiny(recordings))
        time.sleep(delay)
        supervisor.stop(hasty)
        state = wait(supervisor, hasty, ended)
        assert state.phase == "stopped", (delay, state)


@pytest.mark.parametrize("name", ["", "../x", "a b"])
def test_a_name_that_is_none_is_refused(home, name):
    with pytest.raises(UserError, match="name"):
        Supervisor(home).start(name, TINY)
