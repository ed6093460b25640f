"""What changes the library: nothing is lost, nothing is written over, and a kill at any local_time leaves it whole."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from crafted import write_small
from filelock import FileLock

from distillgan.errors import UserError
from distillgan.models.header import copy_model, damaged_tensors, read_header
from distillgan.paths import Home
from distillgan.store.cards import CARD, Reports, folder_of, read_card, sealed
from distillgan.store.library import delete_model, export_model, import_model, rename_model, set_note, set_tags
from distillgan.store.model_card import write_card
from distillgan.store.model_store import list_models
from distillgan.store.presets import Presets

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path):
    """A model called rain with its run and a preset, and another called bells without either."""
    home = Home(tmp_path / "home")
    write_small(home.models, "rain", 0)
    write_small(home.models, "bells", 1)
    run_of(home, "rain", "recordings 0")
    Presets(home).save("rain", "0123", "soft", {"seed": 7})
    return home


def run_of(home, name, recordings):
    (home.run(name) / "vae").mkdir(parents=True)
    (home.run(name) / "manifest.json").write_text(json.dumps({"fingerprint": recordings}))


def names(home):
    """Of the models, and of the runs."""
    runs = home.runs.iterdir() if home.runs.exists() else ()
    return {r.name for r in list_models(home)}, {path.name for path in runs if path.is_dir()}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def flip_last(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_tags(home):
    weights = home.model("rain").read_bytes()[-150_000 * 8 :]
    os.utime(home.model("rain"), ns=(10**18, 10**18))
    assert set_tags(home, "rain", ["Wet", "field", "wet"]).tags == ["field", "wet"]
    assert set_tags(home, "rain", ["Wald-ärger", "a_1"], ["wet"]).tags == ["a_1", "field", "wald-ärger"]
    assert read_header(home.model("rain")).tags == ["a_1", "field", "wald-ärger"]
    assert home.model("rain").read_bytes()[-150_000 * 8 :] == weights
    assert home.model("rain").stat().st_mtime_ns == 10**18, "the latest model would be another one"


@pytest.mark.parametrize(
    ("add", "remove", "words"),
    [
        (["two words"], [], "tag 'two words': a tag is one word"),
        ([""], [], "tag '': "),
        (["-x"], [], "tag '-x': "),
        (["x" * 41], [], "at most 40"),
        (["a\x1b"], [], r"tag 'a\\x1b': "),
        ([], ["dry"], r"rain\.distillgan: it has no tag dry; its tags: none"),
        (["wet"], ["Wet"], "tag wet is to be added and removed"),
    ],
)
def test_tags_that_are_refused(home, add, remove, words):
    before = contents(home.root)
    with pytest.raises(UserError, match=words):
        set_tags(home, "rain", add, remove)
    assert contents(home.root) == before


def test_a_note(home):
    fingerprint = read_header(home.model("rain")).fingerprint
    assert set_note(home, "rain", "Grüße\n☂").note == "Grüße\n☂"
    assert set_note(home, "rain", "").note == "" == read_header(home.model("rain")).note
    assert read_header(home.model("rain")).fingerprint == fingerprint and not damaged_tensors(home.model("rain"))


TAGGING = """
import sys
from distillgan.store.library import set_tags
from distillgan.paths import Home
for number in range(10):
    set_tags(Home(sys.argv[1]), "rain", [f"tag{sys.argv[2]}_{number}"])
"""


def test_of_changes_at_the_same_time_none_is_lost(home):
    command = [sys.executable, "-c", TAGGING, home.root]
    processes = [subprocess.Popen([*command, str(number)], cwd=ROOT) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(read_header(home.model("rain")).tags) == 40


def test_what_is_being_trained_is_left_alone(home, monkeypatch):
    monkeypatch.setattr("distillgan.store.library._WAIT_SECONDS", 0.1)
    before = contents(home.root)
    with FileLock(home.lock("rain")), pytest.raises(UserError, match="rain is being trained or changed by another"):
        set_note(home, "rain", "x")
    with FileLock(home.lock("snow")), pytest.raises(UserError, match="snow is being trained"):
        rename_model(home, "rain", "snow")
    with FileLock(home.lock("rain")), pytest.raises(UserError, match="rain is being trained"):
        delete_model(home, "rain")
    assert contents(home.root) == before


def test_renamed_with_its_run(home):
    fingerprint = read_header(home.model("rain")).fingerprint
    assert rename_model(home, "rain", "snow") == home.model("snow")
    assert names(home) == ({"snow", "bells"}, {"snow"})
    header = read_header(home.model("snow"))
    assert (header.name, header.fingerprint) == ("snow", fingerprint)
    rename_model(home, "bells", "gong")
    assert names(home) == ({"snow", "gong"}, {"snow"})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rain", "bells", "bells is taken by another model"),
        ("bells", "rain", "rain is taken by another model"),
        ("rain", "taken", r"taken is taken by a run \("),
        ("bells", "taken", r"taken is taken by a run \("),
        ("rain", "cut", "cut is taken by another model"),
        ("rain", "../x", "cannot name a model"),
        ("rain", "Rain", "one name on many disks"),
        ("rain", "rain", "one name on many disks"),
        ("ra", "snow", "ra is the beginning of rain: write the whole name"),
        ("snow", "hail", "model=snow: no such model"),
        ("cut", "snow", "truncated"),
    ],
)
def test_renamings_that_are_refused(home, old, new, words):
    run_of(home, "taken", "recordings 9")
    home.model("cut").write_bytes(b"x")
    before, named = contents(home.root), names(home)
    with pytest.raises(UserError, match=words):
        rename_model(home, old, new)
    assert contents(home.root) == before and names(home) == named


def test_a_damaged_tensor_is_not_renamed(home):
    flip_last(home.model("rain"))
    before = contents(home.root)
    with pytest.raises(UserError, match="damaged: tensor 'vae"):
        rename_model(home, "rain", "snow")
    assert contents(home.root) == before


@pytest.mark.parametrize("moved", [False, True])
def test_a_renaming_that_was_cut_short_is_finished(home, moved):
    copy_model(home.model("rain"), home.model("snow"), lambda header: replace(header, name="snow"))
    if moved:
        home.run("rain").rename(home.run("snow"))
    rename_model(home, "rain", "snow")
    assert names(home) == ({"snow", "bells"}, {"snow"})


def test_a_copy_that_was_changed_since_is_another_model(home):
    copy_model(home.model("rain"), home.model("snow"), lambda header: replace(header, name="snow"))
    set_tags(home, "snow", ["mine"])
    with pytest.raises(UserError, match="snow is taken by another model"):
        rename_model(home, "rain", "snow")
    assert names(home)[0] == {"rain", "snow", "bells"}


def test_a_preset_that_the_new_name_has_already(home):
    Presets(home).save("snow", "4567", "SOFT", {})  # of a model that is gone
    before = contents(home.root)
    with pytest.raises(UserError, match="model snow has a preset 'SOFT'"):
        rename_model(home, "rain", "snow")
    assert contents(home.root) == before
    Presets(home).delete("soft", "snow")
    rename_model(home, "rain", "snow")
    assert Presets(home).find("soft").model == "snow"


def killed_at(event_number, home):
    """A renaming in a process that dies at so many of its dealings with files; whether it did."""
    child = os.fork()
    if child == 0:
        events = iter(range(event_number))

        def hook(event, _):
            if event in {"open", "os.rename", "os.remove", "os.utime", "os.mkdir"} and next(events, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            rename_model(home, "rain", "snow")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_at_each_step_nothing_is_lost_and_once_more_finishes_it(home, tmp_path):
    fingerprint, seen = read_header(home.model("rain")).fingerprint, set()
    for number in range(100):
        copy = Home(tmp_path / str(number))
        shutil.copytree(home.root, copy.root, dirs_exist_ok=True)
        if not killed_at(number, copy):
            assert names(copy) == ({"snow", "bells"}, {"snow"})
            break
        models, runs = names(copy)
        seen.add((*sorted(models - {"bells"}), "run", *sorted(runs)))
        for name in models - {"bells"}:
            assert read_header(copy.model(name)).fingerprint == fingerprint and not damaged_tensors(copy.model(name))
        rename_model(copy, "rain", "snow")
        assert names(copy) == ({"snow", "bells"}, {"snow"})
        assert Presets(copy).find("soft").model == "snow"
    assert seen == {("rain", "run", "rain"), ("rain", "snow", "run", "rain"), ("rain", "snow", "run", "snow")}


def test_imported_under_its_own_name_or_another(home, tmp_path):
    file = write_small(tmp_path, "drone", 5).rename(tmp_path / "drone (1).distillgan")
    assert import_model(home, file) == (home.model("drone"), True)
    assert home.model("drone").read_bytes() == file.read_bytes()
    assert import_model(home, file) == (home.model("drone"), False)
    assert import_model(home, file, "hum") == (home.model("hum"), True)
    assert read_header(home.model("hum")).name == "hum" and not damaged_tensors(home.model("hum"))
    home.model("drone").unlink()
    assert import_model(home, file) == (home.model("hum"), False), "its weights are there, under another name"


def test_never_over_another_model(home, tmp_path):
    file = write_small(tmp_path, "rain", 5)
    before = contents(home.root)
    with pytest.raises(UserError, match=r"rain is taken by another model .*: choose another, --name NAME"):
        import_model(home, file)
    home.model("cut").write_bytes(b"x")
    with pytest.raises(UserError, match="cut is taken by another model"):
        import_model(home, file, "cut")
    home.model("cut").unlink()
    assert contents(home.root) == before


def test_a_run_on_other_recordings_keeps_its_name(home, tmp_path):
    kept = export_model(home.model("rain"), tmp_path)
    delete_model(home, "rain")
    other = write_small(tmp_path / "other", "rain", 5)
    with pytest.raises(UserError, match="rain is taken by a run on other recordings"):
        import_model(home, other)
    assert import_model(home, kept).added  # the same recordings: back where it was


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden"])
def test_names_that_are_none(home, tmp_path, name):
    with pytest.raises(UserError, match="cannot name a model"):
        import_model(home, write_small(tmp_path, "drone", 5), name)


def test_damaged_and_foreign_files_are_not_imported(home, tmp_path):
    before = contents(home.root)
    flip_last(write_small(tmp_path, "drone", 5))
    (tmp_path / "old.distill").write_bytes(b"PK\x03\x04 and more")
    (tmp_path / "pickle.distillgan").write_bytes(b"\x80\x02 and more than nine bytes")
    (tmp_path / "cut.distillgan").write_bytes(home.model("rain").read_bytes()[:-1])
    words = {"drone.distillgan": "damaged: tensor", "old.distill": "version 1 .* retrain", "nosuch": "does not exist"}
    words |= {"pickle.distillgan": "version 1 .* retrain", "cut.distillgan": "truncated", "home": "a folder"}
    for name, fault in words.items():
        with pytest.raises(UserError, match=f"{name}.*{fault}"):
            import_model(home, tmp_path / name)
    assert contents(home.root) == before


def test_exported_to_a_folder_or_a_file(home, tmp_path):
    assert export_model(home.model("rain"), tmp_path) == tmp_path / "rain.distillgan"
    assert export_model(home.model("rain"), tmp_path / "my.distillgan") == tmp_path / "my.distillgan"
    assert (tmp_path / "my.distillgan").read_bytes() == home.model("rain").read_bytes()
    before = contents(tmp_path)
    for target, words in {
        tmp_path: "is there already",
        tmp_path / "my.distillgan": "is there already, and is not written over",
        tmp_path / "my": r"name a folder that is there, or a file that ends in \.distillgan",
        tmp_path / "no" / "my.distillgan": "there is no folder .*no: make it first",
    }.items():
        with pytest.raises(UserError, match=words):
            export_model(home.model("rain"), target)
    flip_last(home.model("bells"))
    with pytest.raises(UserError, match="damaged: tensor"):
        export_model(home.model("bells"), tmp_path)
    flip_last(home.model("bells"))
    assert contents(tmp_path) == before


def test_deleted_and_its_run_stays(home):
    home.model("cut").write_bytes(b"x")
    with pytest.raises(UserError, match="ra is the beginning of rain"):
        delete_model(home, "ra")
    delete_model(home, "rain")
    delete_model(home, "cut")
    assert names(home) == ({"bells"}, {"rain"})
    home.model("folder").mkdir()
    with pytest.raises(UserError, match=r"folder\.distillgan cannot be removed"):
        delete_model(home, "folder")


@pytest.mark.parametrize("edited", [False, True])
def test_a_renamed_model_takes_its_card_and_reports_along(home, edited):
    header = read_header(home.model("rain"))
    folder = folder_of(home, "rain")
    (folder / "examples").mkdir(parents=True)
    (folder / "examples" / "plain.flac").write_bytes(b"sound")
    text = write_card("rain", header, {}, None, "", Reports((), ()), None)
    text = sealed(text, header.fingerprint) if not edited else f"{sealed(text, header.fingerprint)}Mine.\n"
    (folder / CARD).write_text(text)
    reports = home.root / "evaluations"
    reports.mkdir()
    (reports / "rain.json").write_text(json.dumps({"fingerprint": header.fingerprint}))
    (reports / "rain_controls.json").write_text(json.dumps({"fingerprint": "another's"}))
    rename_model(home, "rain", "snow")
    assert not folder.exists() and (folder_of(home, "snow") / "examples" / "plain.flac").exists()
    card, words = read_card(folder_of(home, "snow")), (folder_of(home, "snow") / CARD).read_text()
    assert card.edited is edited and card.fingerprint == (None if edited else header.fingerprint)
    assert not re.search(r"\brain\b", words) and "# snow\n" in words and "generate model=snow duration" in words
    assert (reports / "snow.json").exists() and (reports / "rain_controls.json").exists()
    assert not (reports / "rain.json").exists()


def test_a_card_that_somebody_has_edited_is_not_written_over_by_a_renaming(home):
    for name in ("rain", "snow"):
        folder_of(home, name).mkdir(parents=True)
        (folder_of(home, name) / CARD).write_text("mine")
    before = contents(home.root)
    with pytest.raises(UserError, match="snow has a card that somebody has edited"):
        rename_model(home, "rain", "snow")
    assert contents(home.root) == before
