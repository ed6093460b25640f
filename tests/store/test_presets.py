"""Presets: names as people write them, one a model, found, moved, and still there when their model is renamed."""

import pytest
from recorded import account

from distillgan.errors import UserError
from distillgan.store.history import History
from distillgan.store.presets import SETTINGS, Presets


def names(presets, **only):
    return [preset.name for preset in presets.all(**only)]


def test_what_is_saved_is_found_again(home, presets):
    settings = {"controls": {"brightness": 5, "density": "0:-3 8:2"}, "seed": 7, "evolution": 0.25}
    presets.save("rain", "abc", "Soft drizzle", settings, "moods/quiet")
    found = Presets(home).find("Soft drizzle")
    assert (found.model, found.fingerprint, found.name) == ("rain", "abc", "Soft drizzle")
    assert (found.folder, found.settings) == ("moods/quiet", settings)


def test_a_generation_is_kept_by_what_makes_a_preset(home, presets):
    history = History(home)
    told = account(seed=9, controls={"warmth": -2.5}, duration=3.0, recording="/a/b.wav")
    presets.keep(history.get(history.record(told, home.audio / "a.wav", b"")), "x", "f")
    found = presets.find("x")
    assert (found.model, found.fingerprint, found.folder) == ("rain", "rain0123", "f")
    assert found.settings == {key: told["settings"][key] for key in SETTINGS}
    assert not {"model", "recording", "vocoder", "device"} & found.settings.keys()
    silent = history.get(history.record({"seed": 1}, home.audio / "b.wav", b""))
    with pytest.raises(UserError, match="entry 2 of the history does not say which model"):
        presets.keep(silent, "y")


@pytest.mark.parametrize(
    "name", ["a", "Sanfter Regen", "雨の音", "дождь", "مطر", "👩‍🚀 loud", "50 % / [b]x[/b]", "é" * 80, "-x", "7"]
)
def test_names_are_what_people_write(presets, name):
    presets.save("rain", "", name, {})
    assert presets.find(name).name == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "has 0 letters: give it 1 to 80"),
        ("é" * 81, "has 81 letters"),
        ("a\nb", r"a character that is no text \(U\+000A\)"),
        ("a\x1b[31mb", r"U\+001B"),
        ("a\u202eb", r"U\+202E"),
        ("a\u2028b", r"U\+2028"),
        ("a\ud800", r"U\+D800"),
        (" a", "begins or ends with a blank"),
        ("a\u00a0", "begins or ends with a blank"),
        (" ", "begins or ends with a blank"),
    ],
)
def test_names_that_are_none_are_refused(presets, name, words):
    presets.save("rain", "", "there", {})
    with pytest.raises(UserError, match=words):
        presets.save("rain", "", name, {})
    with pytest.raises(UserError, match=words):
        presets.rename("there", name)
    if name:  # "" is no folder
        with pytest.raises(UserError, match=words):
            presets.move("there", name)
    assert [(preset.name, preset.folder) for preset in presets.all()] == [("there", "")]


def test_case_and_the_way_an_accent_is_typed_make_no_other_name(presets):
    presets.save("rain", "", "Caf\u00e9 Stra\u00dfe", {"seed": 1})
    for other in ("cafe\u0301 strasse", "CAF\u00c9 STRASSE"):
        assert presets.find(other).settings == {"seed": 1}
        with pytest.raises(
            UserError, match="model rain has a preset 'Café Straße': choose another name, or replace it"
        ):
            presets.save("rain", "", other, {})
    presets.rename("CAFE\u0301 STRASSE", "cafe\u0301 stra\u00dfe")
    assert names(presets) == ["caf\u00e9 stra\u00dfe"]


def test_replacing(presets):
    presets.save("rain", "old", "A", {"seed": 1}, "f")
    presets.save("rain", "new", "a", {"seed": 2}, replace=True)
    (found,) = presets.all()
    assert (found.name, found.fingerprint, found.folder, found.settings) == ("a", "new", "", {"seed": 2})


def test_one_name_of_several_models(presets):
    for number, model in enumerate(("rain", "wind")):
        presets.save(model, "", "x", {"seed": number})
    for call in (
        presets.find,
        presets.delete,
        lambda name: presets.rename(name, "y"),
        lambda name: presets.move(name, ""),
    ):
        with pytest.raises(UserError, match="one of each of these models, rain, wind: name the model"):
            call("x")
    assert presets.find("x", "wind").settings == {"seed": 1}
    presets.rename("x", "y", "wind")
    assert [(preset.model, preset.name) for preset in presets.all()] == [("rain", "x"), ("wind", "y")]
    presets.delete("x")
    assert names(presets) == ["y"]


def test_none_of_that_name_lists_those_there_are(presets):
    with pytest.raises(UserError, match=r"'x': there is none of this name\. There are: none yet"):
        presets.find("x")
    presets.save("rain", "", "a", {})
    presets.save("wind", "", "b", {})
    with pytest.raises(UserError, match=r"There are: a \(rain\), b \(wind\)"):
        presets.delete("x")
    with pytest.raises(UserError, match=r"none of this name of model rain. There are: a \(rain\)$"):
        presets.find("b", "rain")


def test_folders_hold_what_is_inside_of_them(presets):
    for name, folder in (("1", ""), ("2", "Moods"), ("3", "moods/quiet"), ("4", "moodswing")):
        presets.save("rain", "", name, {}, folder)
    presets.save("wind", "", "5", {}, "moods")
    assert names(presets, folder="moods") == ["2", "3", "5"]
    assert names(presets, folder="moods", model="rain") == ["2", "3"]
    assert names(presets, folder="mood") == []
    assert names(presets, folder="") == names(presets) == ["1", "2", "3", "4", "5"]
    presets.move("3", "moodswing")
    assert names(presets, folder="moodswing") == ["3", "4"]


def test_renaming_onto_another_is_refused(presets):
    presets.save("rain", "", "a", {})
    presets.save("rain", "", "b", {})
    with pytest.raises(UserError, match="model rain has a preset 'b'"):
        presets.rename("a", "B")
    assert names(presets) == ["a", "b"]


def test_a_renamed_model_takes_its_presets_along(presets):
    presets.save("rain", "abc", "a", {"seed": 1})
    presets.save("rain + wind", "abc + def", "b", {"blend": {"models": ["rain:60", "wind:0:0 8:100"], "mode": "mel"}})
    presets.save("rainy", "", "c", {"blend": {"models": None, "mode": "mel"}})
    with pytest.raises(KeyboardInterrupt), presets.renaming_model("rain", "drizzle"):
        raise KeyboardInterrupt
    assert [preset.model for preset in presets.all()] == ["rain", "rain + wind", "rainy"]
    with presets.renaming_model("rain", "drizzle"):
        pass
    assert [preset.model for preset in presets.all()] == ["drizzle", "drizzle + wind", "rainy"]
    assert presets.find("b").settings["blend"] == {"models": ["drizzle:60", "wind:0:0 8:100"], "mode": "mel"}
    presets.save("rainy", "", "A", {})
    with pytest.raises(UserError, match="model rainy has a preset 'A'"), presets.renaming_model("drizzle", "rainy"):
        raise AssertionError("it is refused before anything is renamed")
    assert [preset.model for preset in presets.all()] == ["drizzle", "drizzle + wind", "rainy", "rainy"]
