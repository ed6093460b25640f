"""The queue that renders: one at a time, in order, each job its owner's, and what is cancelled is a valid file."""

import time

import numpy as np
import pytest
import soundfile
from crafted import RATE, write_crafted
from rich.console import Console
from support import requested

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.synthesis.generation import generate
from distillgan.ui.renderings import CANCELLED, DONE, FAILED, RENDERING, WAITING, Renderings


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_crafted(home / "models", "rain", sliders=("brightness",))
    return Home(home)


@pytest.fixture
def renderings(home):
    renderings = Renderings(home)
    yield renderings
    renderings.close()


def asked(home, *overrides):
    return requested(home.root, "model.name=rain", "vocoder=hifigan", *overrides)


def until(renderings, number, owner, reached, seconds=60):
    """All standings until one is as wished."""
    seen, limit = [], time.monotonic() + seconds
    while time.monotonic() < limit:
        seen.append(renderings.standing(number, owner))
        if reached(seen[-1]):
            return seen
        time.sleep(0.005)
    raise AssertionError(seen[-1])


def test_what_is_asked_for_is_made_as_the_command_line_makes_it(home, renderings):
    request = asked(home, "duration=8", "count=2", "seed=5")
    number = renderings.submit(request, "anna")
    seen = until(renderings, number, "anna", lambda standing: standing.over)
    shares = [standing.share for standing in seen]
    assert seen[-1].state == DONE and shares == sorted(shares) and shares[-1] == 1
    assert any(0 < share < 1 for share in shares), "there is a progress to be seen"
    assert all(standing.seconds_left >= 0 for standing in seen if standing.seconds_left is not None)
    assert [made.metadata["seed"] for made in seen[-1].made] == [5, 6]
    sounds = [made.metadata["sound"] for made in generate(request, Console(quiet=True))]
    assert [made.metadata["sound"] for made in seen[-1].made] == sounds
    assert all(soundfile.info(made.path).frames == 8 * RATE for made in seen[-1].made)
    assert "vocoder hifigan: as asked for" in seen[-1].said
    assert [History(home).get(made.id).path for made in seen[-1].made] == [made.path for made in seen[-1].made]


def test_one_after_the_other_and_each_knows_its_place(home, renderings):
    first = renderings.submit(asked(home, "duration=600"), "anna")
    second = renderings.submit(asked(home, "duration=0.5", "seed=2"), "ben")
    third = renderings.submit(asked(home, "duration=0.5", "seed=3"), "anna")
    until(renderings, first, "anna", lambda standing: standing.state == RENDERING)
    assert [renderings.standing(*who).ahead for who in ((second, "ben"), (third, "anna"))] == [1, 2]
    assert renderings.standing(third, "anna").state == WAITING
    assert renderings.cancel(second, "ben")
    assert renderings.standing(second, "ben").state == CANCELLED and renderings.standing(third, "anna").ahead == 1
    renderings.cancel(first, "anna")
    until(renderings, third, "anna", lambda standing: standing.state == DONE)
    assert renderings.standing(second, "ben").made == (), "what is cancelled in the queue is never begun"


def test_what_is_cancelled_is_the_beginning_as_a_valid_file(home, renderings):
    number = renderings.submit(asked(home, "duration=600", "count=3", "seed=7"), "anna")
    until(renderings, number, "anna", lambda standing: standing.share > 0)
    assert renderings.cancel(number, "anna")
    standing = until(renderings, number, "anna", lambda standing: standing.over)[-1]
    (made,) = standing.made
    wave, rate = soundfile.read(made.path)
    assert standing.state == CANCELLED and made.metadata["interrupted"] and rate == RATE
    assert 0.1 * RATE <= len(wave) < 600 * RATE and np.isfinite(wave).all() and wave.std() > 1e-3
    assert History(home).get(made.id).metadata["duration"] == 600
    assert not renderings.cancel(number, "anna"), "it is over"


def test_a_job_is_its_owners(home, renderings):
    number = renderings.submit(asked(home, "duration=600"), "anna")
    assert renderings.standing(number, "ben") is None and not renderings.cancel(number, "ben")
    assert renderings.latest("anna") == number and renderings.latest("ben") is None
    assert renderings.standing(number + 1, "anna") is None
    assert not renderings.standing(number, "anna").over
    assert renderings.cancel(number, "anna")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.name=gone", "model=gone: no such model or file"),
        ("++controls.warmth=3", "controls.warmth: inactive in model rain"),
        ("vocoder=harmonic", "train one with `distillgan train-vocoder rain vocoder=harmonic`"),
    ],
)
def test_what_is_refused_is_said_and_the_next_has_its_turn(home, renderings, override, words):
    wrong = renderings.submit(asked(home, override), "anna")
    right = renderings.submit(asked(home, "duration=0.2"), "anna")
    assert until(renderings, right, "anna", lambda standing: standing.over)[-1].state == DONE
    standing = renderings.standing(wrong, "anna")
    assert standing.state == FAILED and words in standing.error and standing.made == ()


def test_a_fault_that_nobody_foresaw_ends_its_own_job_alone(home, renderings, capfd):
    request = asked(home)
    object.__setattr__(request, "mel", None)
    wrong, right = renderings.submit(request, "anna"), renderings.submit(asked(home, "duration=0.2"), "anna")
    assert until(renderings, right, "anna", lambda standing: standing.over)[-1].state == DONE
    standing = renderings.standing(wrong, "anna")
    assert standing.state == FAILED and "something went wrong that should not" in standing.error
    assert "Traceback" in capfd.readouterr().err, "for whoever mends it"


def test_no_device_of_that_name(home, renderings):
    request = asked(home)
    object.__setattr__(request, "device", "tpu")
    with pytest.raises(UserError, match="tpu"):
        renderings.submit(request, "anna")


def test_closing_ends_what_is_under_way(home):
    renderings = Renderings(home)
    running = renderings.submit(asked(home, "duration=600"), "anna")
    waiting = renderings.submit(asked(home, "duration=600"), "anna")
    until(renderings, running, "anna", lambda standing: standing.share > 0)
    renderings.close()
    states = [renderings.standing(number, "anna") for number in (running, waiting)]
    assert [standing.state for standing in states] == [CANCELLED, CANCELLED]
    assert soundfile.info(states[0].made[0].path).frames > 0 and states[1].made == ()
    with pytest.raises(UserError, match="being closed"):
        renderings.submit(asked(home), "anna")
