"""Who trains a name: noted while it does, and no longer."""

import os

import pytest

from distillgan.atomic import held_by_this, holder
from distillgan.paths import Home


def test_the_process_is_noted_for_as_long_as_it_trains(tmp_path):
    home = Home(tmp_path)
    assert holder(home, "rain") is None
    with held_by_this(home, "rain", "cpu", ["vae", "harmonic"]):
        noted = holder(home, "rain")
        assert (noted.pid, noted.device, noted.stages) == (os.getpid(), "cpu", ["vae", "harmonic"])
        assert holder(home, "rai") is None
    assert holder(home, "rain") is None
    with pytest.raises(KeyError), held_by_this(home, "rain", "cpu", ["vae"]):
        raise KeyError
    assert holder(home, "rain") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}'])
def test_what_is_no_note_says_nothing(tmp_path, text):
    home = Home(tmp_path)
    home.runs.mkdir()
    home.process("rain").write_text(text)
    assert holder(home, "rain") is None
