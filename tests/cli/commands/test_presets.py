"""`distillgan presets`: saved from the history, listed, shown, moved and forgotten."""

import json

import pytest
from recorded import account, said

from distillgan.cli.commands.history_commands import presets_main
from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.store.presets import Presets


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    history = History(home)
    for seed, model in ((1, "rain"), (2, "wind")):
        history.record(account(model=model, seed=seed, controls={"brightness": seed}), home.audio / "a.wav", b"")
    return home


@pytest.fixture
def run(home, capsys):
    return lambda *arguments: said(capsys, presets_main, *arguments, "--home", home.root)


def test_a_preset_from_the_history(home, run):
    code, out, _ = run("save", "Leiser [b]Regen[/b]", "--from", "1", "--folder", "still/nachts")
    assert code == 0 and "Leiser [b]Regen[/b] in still/nachts, of rain (rain0123)" in out and "seed=1" in out
    found = Presets(home).find("leiser [b]regen[/b]")
    assert (found.model, found.folder, found.settings["controls"]) == ("rain", "still/nachts", {"brightness": 1})
    code, out, _ = run("save", "latest one", "--from", "latest", "--json")
    assert code == 0 and json.loads(out) == Presets(home).find("latest one").to_dict()
    assert json.loads(out)["model"] == "wind"


def test_a_name_that_is_taken(home, run):
    run("save", "x", "--from", "1")
    code, out, err = run("save", "X", "--from", "1")
    assert (code, out) == (2, "") and "model rain has a preset 'x': choose another name, or replace it" in err
    assert run("save", "X", "--from", "2")[0] == 0  # another model's
    assert run("save", "X", "--from", "1", "--replace")[0] == 0
    assert Presets(home).find("x", "rain").name == "X"


def test_listing(run):
    assert run("list")[:2] == (0, "no preset\n") and json.loads(run("list", "--json")[1]) == []
    run("save", "a", "--from", "1", "--folder", "f/g")
    run("save", "b", "--from", "2")
    code, out, _ = run("list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["model", "rain", "wind"]
    assert "controls.brightness=1" in out
    for arguments, names in ((("--model", "wind"), ["b"]), (("--folder", "F"), ["a"]), (("--folder", "g"), [])):
        assert [preset["name"] for preset in json.loads(run("list", *arguments, "--json")[1])] == names


def test_showing_renaming_moving_forgetting(run):
    run("save", "a", "--from", "1")
    assert "a, of rain (rain0123)" in run("show", "A")[1]
    assert json.loads(run("rename", "a", "ä", "--json")[1])["name"] == "ä"
    assert json.loads(run("move", "Ä", "--folder", "f", "--json")[1])["folder"] == "f"
    assert json.loads(run("move", "Ä", "--folder", "", "--json")[1])["folder"] == ""
    assert json.loads(run("delete", "ä", "--yes", "--json")[1])["deleted"]["name"] == "ä"
    assert run("list")[1] == "no preset\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "nothing"), "there is none of this name. There are: x (rain), x (wind)"),
        (("show", "x"), "one of each of these models, rain, wind: name the model"),
        (("show", "x", "--model", "snow"), "none of this name of model snow"),
        (("delete", "x", "--yes"), "one of each of these models"),
        (("delete", "x", "--model", "rain"), "Delete preset x of rain? There is nobody to ask: say --yes"),
        (("rename", "x", "a\nb", "--model", "rain"), "U+000A"),
        (("move", "x", "--folder", "a" * 81, "--model", "rain"), "folder='aaa"),
        (("move", "x", "--model", "rain"), "required: --folder"),
        (("save", "y"), "required: --from"),
        (("save", "", "--from", "1"), "has 0 letters"),
        (("save", "y", "--from", "3"), "there is no entry 3 in the history"),
    ],
)
def test_what_cannot_be(home, run, arguments, words):
    run("save", "x", "--from", "1")
    run("save", "x", "--from", "2")
    before = Presets(home).all()
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and words in err and "Traceback" not in err
    assert Presets(home).all() == before
