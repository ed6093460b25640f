"""`distillgan compare`: tables, copies of one loudness, and the one that is kept as a preset."""

import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from recorded import account, recorded, said, tone

from distillgan.audio.loudness import measure
from distillgan.cli.commands.sound_commands import compare_main
from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.store.presets import Presets


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    history = History(home)
    recorded(history, home.audio / "rain_seed1.wav", account(seed=1, controls={"brightness": 4.0}), tone(amplitude=0.4))
    recorded(history, home.audio / "rain_seed2.wav", account(seed=2), tone(amplitude=0.1, channels=2))
    recorded(history, home.audio / "silent.wav", account(seed=3), np.zeros((1, 88200), np.float32))
    return home


@pytest.fixture
def run(home, capsys):
    return lambda *arguments: said(capsys, compare_main, *arguments, "--home", home.root)


def test_what_differs_and_copies_to_listen_to(home, run):
    code, out, _ = run("1", "2")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0 and ["controls.brightness", "4", "-"] in lines and ["seed", "1", "2"] in lines
    assert ["brightness", "1001", "1002", "1", "Hz"] in lines and ["density", "2", "2", "0", "events/s"] in lines
    copies = [home.audio / "compare" / name for name in ("1-2_A_rain_seed1.wav", "1-2_B_rain_seed2.wav")]
    first, second = map(measure, copies)
    assert first.lufs == pytest.approx(second.lufs, abs=0.01) and max(first.peak, second.peak) < 10 ** (-1 / 20)
    assert f"{copies[0]} (" in out and "turned by -12.0 dB" in out and "turned by 0.0 dB" in out
    before = [path.read_bytes() for path in copies]
    code, out, _ = run("1", "2", "--json")
    value = json.loads(out)
    assert code == 0 and value["copies"]["paths"] == list(map(str, copies)) and value["preset"] is None
    assert value["copies"]["gains_db"] == [pytest.approx(-12.04, abs=0.01), 0.0]
    assert {"key": "seed", "first": 1, "second": 2} in value["differences"]
    assert value["measured"][2]["difference"] == 1.0 and value["measured"][2]["unit"] == "Hz"
    assert [path.read_bytes() for path in copies] == before


def test_one_is_kept(home, run):
    code, out, _ = run("1", "latest", "--keep", "1", "--as", "Besser", "--json")
    assert code == 1 and json.loads(out)["preset"] == {"from": 1, "name": "Besser"}
    found = Presets(home).find("besser")
    assert (found.model, found.settings["controls"]) == ("rain", {"brightness": 4.0})


def test_without_copies_there_are_the_tables(home, run):
    code, out, _ = run("1", "3")
    assert code == 1 and "no copies to listen to: " in out and "silent (under -70 LUFS)" in out and "seed" in out
    (home.audio / "rain_seed2.wav").unlink()
    code, out, _ = run("2", "1", "--json")
    assert code == 1 and json.loads(out)["copies"] is None
    assert json.loads(out)["reason"] == f"{home.audio}/rain_seed2.wav of entry 2: it is gone"
    assert not (home.audio / "compare").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("1", "01"), "entry 1 cannot be compared with itself"),
        (("1", "9"), "there is no entry 9"),
        (("1",), "required: ID"),
        (("1", "2", "--keep", "1"), "--keep ID and --as NAME go together"),
        (("1", "2", "--as", "x"), "--keep ID and --as NAME go together"),
        (("1", "2", "--keep", "3", "--as", "x"), "--keep 3 must be one of the two, 1 or 2"),
        (("1", "2", "--keep", "1", "--as", ""), "has 0 letters"),
    ],
)
def test_what_cannot_be(home, run, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and words in err and "Traceback" not in err
    assert Presets(home).all() == [] and not (home.audio / "compare").exists()


def test_it_asks_at_a_terminal_which_is_kept(home):
    code = "import sys; from distillgan.cli.commands.sound_commands import compare_main; compare_main(sys.argv[1:])"
    for answer, kept in (("neither\n", []), ("b\nBesser\n", ["Besser"])):
        master, slave = pty.openpty()
        command = [sys.executable, "-c", code, "1", "2", "--home", home.root]
        process = subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, text=True)
        os.write(master, answer.encode())
        out, _ = process.communicate(timeout=120)
        os.close(master)
        os.close(slave)
        assert process.returncode == 0 and "Keep one as a preset? [A/B/neither]" in out
        assert [preset.name for preset in Presets(home).all()] == kept
    assert Presets(home).find("Besser").settings["seed"] == 2
