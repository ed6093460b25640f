"""Two accounts side by side: all that differs, and nothing else."""

import pytest
from recorded import account

from distillgan.store.comparison import differences, measurements


def rows(first, second):
    return {row.key: (row.first, row.second) for row in differences(first, second)}


def test_the_same_settings():
    first, second = account(), account()
    second["sound"], second["check"]["descriptors"]["density"] = "f" * 64, 9.0  # what came of them is no setting
    assert rows(first, second) == {} == rows({}, {})


def test_what_differs():
    first = account(seed=1, controls={"brightness": 5.0, "warmth": 1})
    second = account(seed=2, model="wind", controls={"brightness": -3, "warmth": 1.0}, evolution=0.9)
    second["versions"]["torch"] = "3.0"
    assert rows(first, second) == {
        "model.name": ("rain", "wind"),
        "controls.brightness": (5.0, -3),
        "seed": (1, 2),
        "evolution": (0.5, 0.9),
        "models.1.name": ("rain", "wind"),
        "models.1.fingerprint": ("rain0123", "wind0123"),
        "versions.torch": ("2.9", "3.0"),
    }


def test_a_blend_and_a_model():
    first, second = account(), account(blend={"models": ["rain:60", "wind:40"], "mode": "mel"}, model=None)
    found = rows(first, second)
    assert found["blend.models"] == (None, ["rain:60", "wind:40"]) and found["model.name"] == ("rain", None)


def test_what_was_measured():
    first, second = account(seed=1), account(seed=4)
    del second["check"]["descriptors"]["density"]
    first["check"]["descriptors"]["pulse"] = second["check"]["descriptors"]["pulse"] = 0.0
    found = {row.name: (row.first, row.second, row.difference, row.unit) for row in measurements(first, second)}
    assert found == {
        "peak_db": (-3.0, -3.0, 0.0, "dBFS"),
        "rms_db": (-12.5, -12.5, 0.0, "dBFS"),
        "brightness": (1001.0, 1004.0, pytest.approx(3.0), "Hz"),
        "pulse": (0.0, 0.0, 0.0, "%"),
        "density": (2.0, None, None, "events/s"),
    }
    assert measurements({}, {"check": None}) == []
