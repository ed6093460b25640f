"""The history: what was recorded comes back, is found by what it is, marked, and cleared away by rule."""

import os
import sqlite3
import time

import pytest
from recorded import account

from distillgan.cli.commands.history_commands import drawn
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.store.history import History, flat, seconds_of


@pytest.fixture
def record(home, history):
    def record_it(name="a.wav", **told):
        return history.record(account(**told), home.audio / name, b"")

    return record_it


def ids(entries):
    return [entry.id for entry in entries]


def test_what_is_recorded_comes_back(home, history):
    told = account(controls={"brightness": 5.0}, name="é")
    before = time.time()
    id = history.record(told, home.audio / "é.wav", bytes(range(254)))
    entry = History(home).get(id)
    assert (entry.metadata, entry.path, entry.thumbnail) == (told, home.audio / "é.wav", bytes(range(254)))
    assert before <= entry.made <= time.time() and not entry.starred and entry.title == "rain"
    assert entry.to_dict()["thumbnail"][126:130] == [126, 127, -128, -127]


def test_paths_of_any_bytes_and_a_home_that_moves(home, history, tmp_path):
    odd = os.fsdecode(b"\xff.wav")
    inside, outside = (history.record(account(), folder / odd, b"") for folder in (home.audio, tmp_path))
    assert history.get(inside).path == home.audio / odd and history.owner(home.audio / odd) == inside
    home.root.rename(tmp_path / "moved")
    moved = History(Home(tmp_path / "moved"))
    assert moved.get(inside).path == tmp_path / "moved" / "audio" / odd
    assert moved.get(outside).path == tmp_path / odd
    assert moved.find(["\\udcff"]) and moved.get(inside).to_dict()


@pytest.mark.parametrize("thumbnail", [bytes(3), bytes(802)])
def test_a_thumbnail_that_is_none_is_refused(history, home, thumbnail):
    with pytest.raises(ValueError, match="is no pairs"):
        history.record(account(), home.audio / "a.wav", thumbnail)
    with pytest.raises(ValueError, match="JSON compliant"):
        history.record({"seconds": float("nan")}, home.audio / "a.wav", b"")
    assert history.find() == []


def test_an_account_that_tells_little_is_read(history, home):
    id = history.record({}, home.audio / "a.wav", b"")
    assert (history.get(id).title, ids(history.find(["a.wav"]))) == ("", [id])
    history.record({"models": None, "settings": None, "seed": 0}, home.audio / "b.wav", b"")
    assert ids(history.find(["seed=0"])) == [2]


def test_search(record, history):
    record(seed=3, controls={"brightness": 5.0, "density": "0:-3 8:2"})
    record(seed=31, name="wind_seed31.wav", model="wind", vocoder="bigvgan", preset="Sanfte STRASSE")
    record(seed=4, controls={"brightness": 50})
    for words, found in {
        ("rain",): [3, 1],
        ("RAIN", "brightness"): [3, 1],
        ("brightness=5",): [1],
        ("brightness=5.0",): [1],
        ("controls.brightness=50",): [3],
        ("seed=3",): [1],
        ("seed=03",): [1],
        ("seed=31", "wind"): [2],
        ("density=0:-3 8:2",): [1],
        ("sanfte", "straße"): [2],
        ("bigvgan",): [2],
        ("wind_seed",): [2],
        ("%",): [],
        ("seed=" + "9" * 5000,): [],
        ("rain", "wind"): [],
        (): [3, 2, 1],
    }.items():
        assert ids(history.find(words)) == found, words


def test_conditions(record, history):
    for number in range(5):
        record(seed=number, model="rain" if number % 2 else "wind")
    told = account()
    told["models"] = [{"name": name, "fingerprint": "x"} for name in ("rain", "wind")]
    record_blend = history.record(told, history.get(1).path, b"")
    history.star([2, 4])
    assert ids(history.find(model="rain")) == [record_blend, 4, 2]
    assert ids(history.find(model="wind")) == [record_blend, 5, 3, 1]
    assert ids(history.find(model="rain", starred=True, limit=1)) == [4]
    assert ids(history.find(since=history.get(5).made)) == [6, 5]
    assert history.find(since=time.time() + 1) == [] == history.find(model="rai")
    assert history.get(record_blend).title == "rain + wind"


def test_entries_as_they_are_typed(record, history):
    with pytest.raises(UserError, match="the history is empty: distillgan generate"):
        history.named(["latest"])
    for seed in range(3):
        record(seed=seed)
    assert ids(history.named(["2", "latest", "02", "3"])) == [2, 3]
    for word in ("x", "-1", "1.0", "²", "", "LATEST", "1" * 5000):
        with pytest.raises(UserError, match="is no entry of the history: give its number"):
            history.named([word])
    for word in ("0", "4", "9" * 30):
        with pytest.raises(UserError, match=f"there is no entry {word.lstrip('0') or 0} in the history"):
            history.named([word])


def test_a_number_is_never_given_again(record, history):
    assert record() == 1
    assert record() == 2
    history.delete([2])
    assert record() == 3 and history.latest().id == 3


def test_marks_and_deletions_are_all_or_nothing(record, history):
    for _ in range(3):
        record()
    with pytest.raises(UserError, match="no entry 9"):
        history.star([1, 9])
    with pytest.raises(UserError, match="no entry 9"):
        history.delete([1, 9])
    assert ids(history.find()) == [3, 2, 1] and not history.find(starred=True)
    history.star([1, 2])
    history.star([2], False)
    assert ids(history.find(starred=True)) == [1]
    assert ids(history.delete([3, 1, 3])) == [3, 1]
    assert ids(history.find()) == [2] and ids(history.find(model="rain")) == [2]


def test_a_clean_up_takes_the_oldest_and_nothing_starred(record, history):
    for _ in range(6):
        record()
        time.sleep(0.002)
    history.star([1, 6])
    assert history.prunable(keep=0) == [2, 3, 4, 5]
    assert history.prunable(keep=1) == [2, 3, 4]
    assert history.prunable(keep=100) == []
    assert history.prunable(before=history.get(4).made) == [2, 3]
    assert history.prunable(before=time.time()) == [2, 3, 4, 5]
    history.star([3])  # between the question and the answer
    assert ids(history.delete([2, 3], spare_starred=True)) == [2]
    assert ids(history.find()) == [6, 5, 4, 3, 1]


@pytest.mark.parametrize(("text", "seconds"), [("30min", 1800), ("1.5h", 5400), ("2d", 172800), ("3w", 1814400)])
def test_spans(text, seconds):
    assert seconds_of("--since", text) == seconds


@pytest.mark.parametrize("text", ["", "2", "d", "-1d", "2 d", "2m", "1e3d", "٣d", "nand"])
def test_spans_that_are_none(text):
    with pytest.raises(UserError, match=r"--since=.* must be a number with its unit: 30min, 12h, 2d or 3w"):
        seconds_of("--since", text)


def test_flat_settings():
    nested = {"a": {"b": 1, "c": {"d": None, "e": [1, 2]}}, "f": False, "g": {}}
    assert flat(nested) == {"a.b": 1, "a.c.e": [1, 2], "f": False}


def test_the_picture_of_a_wave():
    """Loud in the first half, silent in the second."""
    lines = drawn(bytes([0x81, 0x7F] * 200 + [0, 0] * 200))
    assert len(lines) == 8 and {len(line) for line in lines} == {80}
    assert {line[:40] for line in lines} == {"█" * 40}
    assert [line[40:].strip() != "" for line in lines] == [False] * 4 + [True] + [False] * 3
    assert drawn(b"") == [] and drawn(bytes([0, 0]))[4] == "▀"
    peaks = drawn(bytes([0, 0] * 399 + [0, 0x7F]))  # a single column of four or five is not lost
    assert [line[-1] for line in peaks] == ["█"] * 4 + ["▀"] + [" "] * 3


def test_an_entry_that_is_damaged_is_named(record, history, home):
    record()
    with sqlite3.connect(home.root / "library.sqlite") as connection:
        connection.execute("UPDATE generations SET account = '{'")
    with pytest.raises(UserError, match=r"entry 1 of .*library\.sqlite is damaged"):
        history.get(1)
