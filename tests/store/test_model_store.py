"""What is known of models without their tensors: searched, narrowed, ordered; damaged files among them."""

import os

import pytest
from crafted import STAGE, write_crafted, write_small

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.store.model_store import ORDERS, list_models, narrowed, ordered, parameters, search, stored_model

VOCODER = {
    "vocoder": {"name": "harmonic", "generator": {}},
    "training": {"vae": {**STAGE, "error_db": "unknown"}, "vocoder": STAGE},
}


@pytest.fixture
def home(tmp_path):
    """Three models and three files that are none: cut, a folder, and a link to nowhere."""
    home = Home(tmp_path)
    write_small(
        home.models, "rain", 0, note="Am Fluß, mit Grüßen", tags=["field", "wet"], created="2025-03-01T00:00:00Z"
    )
    write_small(home.models, "bells", 1, tags=["metal"], created="2025-02-01T23:00:00+00:00")
    write_small(home.models, "drone", 2, note="rain on tin", created="2025-02-01T22:00:00.5+00:00", **VOCODER)
    home.model("cut").write_bytes(home.model("rain").read_bytes()[:-1])
    home.model("folder").mkdir()
    home.model("link").symlink_to(tmp_path / "nowhere")
    home.model(".rain.distillgan.01234567").write_bytes(b"half")
    (home.models / "notes.txt").write_text("x")
    return home


def names(found):
    return " ".join(record.name for record in found)


def test_all_are_listed_and_what_is_none_with_its_fault(home):
    found = list_models(home)
    assert names(found) == "bells cut drone folder link rain"
    faults = {record.name: record.fault for record in found}
    assert "truncated" in faults["cut"] and "a folder, not a model" in faults["folder"]
    assert "does not exist" in faults["link"] and faults["rain"] is None
    assert list_models(Home(home.root / "new")) == []


def test_searched_by_words_in_name_tags_and_note(home):
    found = list_models(home)
    assert names(search(found, ["RAIN"])) == "drone rain"
    assert names(search(found, ["rain", "tin"])) == "drone"
    assert names(search(found, ["FLUSS"])) == names(search(found, ["gru\u0308ßen"])) == "rain"
    assert names(search(found, ["cut"])) == "cut"
    assert search(found, ["snow"]) == []


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"vocoder": True}, "drone"),
        ({"vocoder": False}, "bells rain"),
        ({"rate": 44100}, "bells drone rain"),
        ({"rate": 48000}, ""),
        ({"min_minutes": 2}, "bells drone"),
        ({"max_minutes": 2}, "bells rain"),
        ({"min_minutes": 1.5, "max_minutes": 2.5}, "bells"),
        ({"tags": ["Wet", "field"]}, "rain"),
        ({"tags": ["wet", "metal"]}, ""),
        ({}, "bells cut drone folder link rain"),
    ],
)
def test_narrowed(home, wanted, left):
    assert names(narrowed(list_models(home), **wanted)) == left


@pytest.mark.parametrize(
    ("by", "forwards", "backwards"),
    [
        ("name", "bells cut drone folder link rain", "rain link folder drone cut bells"),
        ("date", "rain bells drone cut folder link", "drone bells rain cut folder link"),
        ("minutes", "drone bells rain cut folder link", "rain bells drone cut folder link"),
        ("error", "bells rain cut drone folder link", "rain bells cut drone folder link"),
    ],
)
def test_ordered_with_the_unknown_last(home, by, forwards, backwards):
    assert names(ordered(list_models(home), by)) == forwards
    assert names(ordered(list_models(home), by, reverse=True)) == backwards


def test_ordered_by_size(home):
    sizes = [record.bytes for record in ordered(list_models(home), "size") if record.bytes is not None]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) > 2 and "size" in ORDERS


def test_parameters_of_each_part(tmp_path):
    path = write_crafted(tmp_path, "rain")
    counts = parameters(path)
    assert counts.keys() == {"vae", "latent", "vocoder"}
    assert counts["latent"] == 90 * 4 + 3
    path.write_bytes(b"x")
    with pytest.raises(UserError, match="truncated"):
        parameters(path)


def test_a_file_that_may_not_be_read(home):
    home.model("rain").chmod(0)
    if os.access(home.model("rain"), os.R_OK):
        pytest.skip("root may read everything")
    assert "permissions" in stored_model(home.model("rain")).fault
