"""`distillgan history`: what it lists and shows, what it marks, and that it deletes what was asked and nothing else."""

import json
import os
import pty
import subprocess
import sys

import pytest
from recorded import account, recorded, said

from distillgan.cli.commands.history_commands import history_main
from distillgan.paths import Home
from distillgan.store.history import History


@pytest.fixture
def home(tmp_path):
    """Three sounds: of rain with seeds 1 and 2, of wind with seed 3; the second is starred."""
    home = Home(tmp_path / "home")
    history = History(home)
    for seed, model in ((1, "rain"), (2, "rain"), (3, "wind")):
        told = account(model=model, seed=seed, controls={"brightness": float(seed)})
        recorded(history, home.audio / f"{model}_seed{seed}.wav", told)
    history.star([2])
    return home


@pytest.fixture
def run(home, capsys):
    return lambda *arguments: said(capsys, history_main, *arguments, "--home", home.root)


@pytest.fixture
def told(run):
    """Run with --json → exit code and the one value on standard output."""

    def run_it(*arguments):
        code, out, _ = run(*arguments, "--json")
        return code, json.loads(out)

    return run_it


def files(home):
    return sorted(path.name for path in home.audio.iterdir())


def test_listing(run, told):
    code, out, _ = run("list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["id", "3", "2", "1"]
    line = out.splitlines()[2]
    assert all(word in line for word in ("★", "rain", "universal", "brightness=2", "rain_seed2.wav"))
    for arguments, ids in (
        (("list", "--model", "rain"), [2, 1]),
        (("list", "--starred"), [2]),
        (("list", "--limit", "1"), [3]),
        (("list", "--since", "1h"), [3, 2, 1]),
        (("list", "--model", "none"), []),
        (("search", "RAIN", "seed=1"), [1]),
        (("search", "brightness=3"), [3]),
        (("search", "brightness", "--starred"), [2]),
    ):
        code, value = told(*arguments)
        assert (code, [entry["id"] for entry in value]) == (0, ids), arguments
    assert run("list", "--model", "none")[1] == "no entry\n"


def test_names_from_elsewhere_do_nothing_to_the_terminal(home, run):
    settings = {"preset": "[red]x\x1b[31m\nnew", "controls": {"\x1b[2J": "[/]"}}
    told = account(**settings) | {"models": [{"name": "[bold]\x1b[5m", "fingerprint": "\x07"}]}
    id = History(home).record(told, home.audio / "[b]\x1b.wav", b"")
    for verb in (("list",), ("show", id)):
        code, out, _ = run(*verb)
        assert code == 0 and not set(out) & {"\x1b", "\x07"} and "[bold]" in out and "[b]" in out


def test_showing(home, run, told):
    code, out, _ = run("show", "2")
    assert code == 0
    for words in ("entry 2 ★", str(home.audio / "rain_seed2.wav"), "controls.brightness: 2", "seed: 2", "rain0123"):
        assert words in out
    assert "check.descriptors.brightness: 1002" in out and "█" * 80 in out and "(gone)" not in out
    (home.audio / "rain_seed2.wav").unlink()
    assert "rain_seed2.wav  (gone)" in run("show", "2")[1]
    _, value = told("show", "latest")
    assert (value["id"], value["there"], value["account"]["seed"]) == (3, True, 3) and len(value["thumbnail"]) == 800


def test_marks(told):
    assert told("star", "1", "latest") == (0, {"ids": [1, 3], "starred": True})
    assert [entry["id"] for entry in told("list", "--starred")[1]] == [3, 2, 1]
    told("unstar", "2", "3")
    assert [entry["id"] for entry in told("list", "--starred")[1]] == [1]


def test_deleting_entries_leaves_their_files(home, told):
    before = files(home)
    assert told("delete", "1", "3", "--yes") == (0, {"deleted": [1, 3], "left": []})
    assert [entry["id"] for entry in told("list")[1]] == [2] and files(home) == before


def test_deleting_files_takes_what_is_the_entrys(home, run, told):
    (home.audio / "wind_seed3.wav").write_bytes(b"mine")
    code, out, _ = run("delete", "1", "3", "--files", "--yes")
    assert code == 1 and "2 deleted" in out
    assert f"left: {home.audio}/wind_seed3.wav of entry 3: unreadable" in out
    assert files(home) == [f"{name}{s}" for name in ("rain_seed2", "wind_seed3") for s in (".json", ".png", ".wav")]
    assert told("delete", "2", "--files", "--yes") == (0, {"deleted": [2], "left": []})
    assert [name for name in files(home) if "rain" in name] == []


def test_clearing_away(home, run, told):
    assert told("prune", "--older-than", "1h", "--yes") == (0, {"deleted": [], "left": []})
    assert told("prune", "--keep", "1", "--files", "--yes") == (0, {"deleted": [1], "left": []})
    assert told("prune", "--keep", "0", "--yes") == (0, {"deleted": [3], "left": []})
    assert [entry["id"] for entry in told("list")[1]] == [2]
    assert [name for name in files(home) if name.endswith(".wav")] == ["rain_seed2.wav", "wind_seed3.wav"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "9"), "there is no entry 9 in the history"),
        (("show", "x"), "'x' is no entry of the history"),
        (("star", "1", "9"), "there is no entry 9"),
        (("delete", "1", "9", "--yes"), "there is no entry 9"),
        (("delete", "1"), "Delete entries 1 of the history; files stay? There is nobody to ask: say --yes"),
        (("prune",), "either --older-than 30d or --keep N"),
        (("prune", "--keep", "1", "--older-than", "2d", "--yes"), "either --older-than 30d or --keep N"),
        (("prune", "--keep", "-1", "--yes"), "--keep=-1 must be a whole number of at least 0"),
        (("prune", "--older-than", "soon", "--yes"), "--older-than=soon must be a number with its unit"),
        (("list", "--limit", "0"), "--limit=0 must be a whole number of at least 1"),
        (("list", "--since", "yesterday"), "--since=yesterday must be a number"),
        (("search",), "required: WORD"),
        (("nothing",), "invalid choice: 'nothing'"),
    ],
)
def test_what_cannot_be(run, told, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and words in err and "Traceback" not in err
    assert [entry["id"] for entry in told("list", "--starred")[1]] == [2] and len(told("list")[1]) == 3


@pytest.mark.parametrize(("answer", "left"), [("n\n", [1, 2, 3]), ("\n", [1, 2, 3]), ("y\n", [2, 3])])
def test_it_asks_at_a_terminal(home, answer, left):
    code = "import sys; from distillgan.cli.commands.history_commands import history_main; history_main(sys.argv[1:])"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "delete", "1", "--home", home.root], stdin=slave, stderr=subprocess.PIPE, text=True
    )
    os.write(master, answer.encode())
    _, asked = process.communicate(timeout=60)
    os.close(master)
    os.close(slave)
    assert "Delete entries 1 of the history; files stay? [y/N]" in asked
    assert process.returncode == (0 if answer == "y\n" else 1)
    assert sorted(entry.id for entry in History(home).find()) == left


def test_it_starts_without_torch():
    code = "import sys, distillgan.cli.commands.history_commands; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "distillgan.store.history" in loaded and not {"torch", "scipy", "hydra", "matplotlib"} & set(loaded)
