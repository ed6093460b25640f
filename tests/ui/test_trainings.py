"""Trainings as processes: found again by another page, stopped, gone on with, and told of when they break."""

import json
import os
import time

import psutil
import pytest
from followed import TINY, ended, steps, tiny, wait

from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.ui.runs import Key, Trainings, standings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("a home"))


def noted(home, name, **values):
    """A note of a training of the page whose attendant is this process, or said to be."""
    path = home.training(name) / "model" / "training.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    there = {"overrides": [], "stages": ["vae"], "device": "cpu", "started": 0.0, "pid": os.getpid(), "created": 1.0}
    path.write_text(json.dumps(there | values))
    return path


def test_a_training_is_found_again_stopped_gone_on_with_and_done(home, recordings):
    trainings = Trainings(home)
    long = Key("long")
    assert trainings.state(long) is None and trainings.start("long", tiny(recordings, "model.max_steps=150")) == (
        long,
        [],
    )
    other = Trainings(home)  # a second page, or this one after a restart
    assert other.listed() == [long] and other.state(long).phase == "running"
    with pytest.raises(UserError, match="long is being trained already"):
        other.start("long", tiny(recordings))
    wait(other, long, lambda _: steps(home, "long") >= 5)
    other.cancel(long)
    assert other.state(long).phase in ("stopping", "stopped")
    state = wait(trainings, long, ended)
    assert state.phase == "stopped" and state.resumable
    model = home.model("long")
    reached = read_header(model).training["vae"]["steps"]
    assert 5 <= reached < 150
    with pytest.raises(UserError, match="not being trained any more"):
        trainings.cancel(long)
    assert other.resume(long)[0] == long
    assert wait(trainings, long, ended).phase == "done"
    assert read_header(model).training["vae"]["steps"] == 150
    (standing,) = standings(home, "long")
    assert standing.ended and standing.picture and standing.heard()[0][0] == "recording"
    loss, judged = standing.curves()
    assert loss[-1][0] == judged[-1][0] == 150


def test_a_refused_value_is_told_in_the_trainings_words(home, recordings):
    trainings = Trainings(home)
    with pytest.raises(UserError, match="no_such"):
        trainings.start("refused", tiny(recordings, "model.no_such=1"))
    assert trainings.state(Key("refused")) is None
    alive = noted(home, "alive", created=psutil.Process().create_time())
    assert trainings.start("refused", tiny(recordings, "resume=perhaps"))[1] == ["alive"]  # on the same device
    alive.unlink()
    state = wait(trainings, Key("refused"), ended)
    assert state.phase == "failed" and state.words.startswith("resume=perhaps must be auto or never")


def test_a_training_that_is_killed_is_told_of_with_its_last_lines_and_goes_on(home, recordings):
    trainings = Trainings(home)
    more = ["model.max_steps=100000", "callbacks.checkpoint.every=5"]
    killed, _ = trainings.start("killed", tiny(recordings, *more))
    wait(trainings, killed, lambda _: steps(home, "killed") >= 5)
    attendant = psutil.Process(trainings.state(killed).started.pid)
    attendant.children()[0].kill()
    state = wait(trainings, killed, ended)
    assert state.phase == "failed" and "SIGKILL" in state.words and "steps at most" in state.words
    before = steps(home, "killed")
    trainings.resume(killed)
    wait(trainings, killed, lambda _: steps(home, "killed") > before)
    # The server closes: what it has started writes its checkpoint and a model.
    trainings.close()
    assert trainings.state(killed).phase == "stopped" and home.model("killed").exists()


def test_a_number_that_another_process_has_got_is_not_taken_for_the_training(home, tmp_path):
    past, path = Key("past"), noted(home, "past")
    state = Trainings(home).state(past)
    assert state.phase == "failed" and "from outside" in state.words
    with pytest.raises(UserError):
        Trainings(home).cancel(past)
    noted(home, "past", created=psutil.Process().create_time())
    assert Trainings(home).state(past).running
    path.write_text("{")
    assert Trainings(home).state(past) is None


def test_a_training_may_be_stopped_at_once(home, recordings):
    trainings = Trainings(home)
    for delay in (0.0, 0.5, 2.0):
        hasty, _ = trainings.start("hasty", tiny(recordings))
        time.sleep(delay)
        trainings.cancel(hasty)
        state = wait(trainings, hasty, ended)
        assert state.phase == "stopped", (delay, state)


@pytest.mark.parametrize("name", ["", "../x", "a b"])
def test_a_name_that_is_none_is_refused(home, name):
    with pytest.raises(UserError, match="name"):
        Trainings(home).start(name, TINY)
