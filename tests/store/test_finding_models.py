"""Finding a model: the latest, by name, by path, and what is said when there is none."""

import os

import pytest
from crafted import write_small

from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.library import find_by_fingerprint, find_model, find_named, models_in


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Three models, the newest of them first in no other order; the working folder is elsewhere."""
    home = Home(tmp_path / "home")
    home.models.mkdir(parents=True)
    for age, name in ((30, "rain"), (10, "bells"), (20, "a.b")):
        home.model(name).write_bytes(b"x")
        os.utime(home.model(name), ns=(0, (1_000_000 - age) * 10**9))
    (home.models / "notes.txt").write_text("x")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return home


def test_latest_first(home):
    assert [path.stem for path in models_in(home)] == ["bells", "a.b", "rain"]
    assert find_model(home, None) == home.model("bells")
    os.utime(home.model("rain"))
    assert find_model(home, None) == home.model("rain")


def test_a_file_still_being_written_is_not_the_latest(home):
    (home.models / ".rain.distillgan.0123abcd.distillgan").write_bytes(b"half")
    assert find_model(home, None) == home.model("bells")


@pytest.mark.parametrize("name", ["rain", "bells", "a.b"])
def test_by_name(home, name):
    assert find_model(home, name) == home.model(name)


def test_a_name_of_digits_comes_as_a_number(home):
    home.model("2024").write_bytes(b"x")
    assert find_model(home, 2024) == home.model("2024")
    with pytest.raises(UserError, match="model=7: no such model"):
        find_model(home, 7)


def test_by_path(home, tmp_path, monkeypatch):
    assert find_model(home, str(home.model("rain"))) == home.model("rain")
    other = tmp_path / "here" / "other.distillgan"
    other.write_bytes(b"x")
    assert find_model(home, "other.distillgan").resolve() == other
    assert find_model(home, "./other.distillgan").resolve() == other
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    assert find_model(home, "~/other.distillgan") == other


def test_a_name_is_not_taken_for_a_file_or_folder_that_is_called_like_it(home, tmp_path):
    (tmp_path / "here" / "rain").write_bytes(b"not a model")
    (tmp_path / "here" / "a.b").mkdir()
    assert find_model(home, "rain") == home.model("rain")
    assert find_model(home, "a.b") == home.model("a.b")


def test_none_of_that_name_lists_those_there_are(home):
    for wanted in ("snow", "rain.wav", "/nowhere/rain.distillgan"):
        with pytest.raises(UserError) as caught:
            find_model(home, wanted)
        assert str(caught.value) == (
            f"model={wanted}: no such model or file. Models in {home.models}: bells, a.b, rain"
        )


def test_none_at_all(tmp_path):
    home = Home(tmp_path / "new")
    with pytest.raises(UserError, match=r"no model in .*new/models yet: train one with `python -m distillgan.train`"):
        find_model(home, None)
    with pytest.raises(UserError, match=r"model=rain: no such model or file\. Models in .*: none yet"):
        find_model(home, "rain")


def test_by_the_beginning_of_a_name_that_no_other_begins_with(home):
    assert find_model(home, "ra") == home.model("rain")
    assert find_named(home, "a") == home.model("a.b")
    home.model("rainbow").write_bytes(b"x")
    assert find_model(home, "rain") == home.model("rain")  # a whole name is no beginning
    assert find_model(home, "rainb") == home.model("rainbow")
    with pytest.raises(UserError, match=r"model=ra: several names begin so: rain(bow)?, rain(bow)?\. Write more of it"):
        find_model(home, "ra")


def test_no_name_is_the_beginning_of_none(home):
    for name in ("bells", "a.b"):
        home.model(name).unlink()
    with pytest.raises(UserError, match="model=: no such model"):
        find_named(home, "")


def test_many_names_are_not_all_listed(home):
    for number in range(30):
        home.model(f"drone{number:02}").write_bytes(b"x")
    with pytest.raises(UserError, match=r"(drone\d\d, ){9}drone\d\d and 20 more\. Write"):
        find_model(home, "drone")


def test_by_fingerprint_whatever_it_is_called_by_now(tmp_path):
    home = Home(tmp_path)
    fingerprints = [read_header(write_small(home.models, f"model{seed}", seed)).fingerprint for seed in range(3)]
    home.model("broken").write_bytes(b"x")
    assert find_by_fingerprint(home, fingerprints[1]) == home.model("model1")
    home.model("model1").rename(home.model("other"))
    assert find_by_fingerprint(home, fingerprints[1]) == home.model("other")
    home.model("other").unlink()
    assert find_by_fingerprint(home, fingerprints[1]) is None
