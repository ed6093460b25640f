"""`distillgan runs`: what each run does, has come to, or broke off for, as the page says it."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from cli_runner import distillgan

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.training.run_status import KILLED, Run, StageStatus, note_process, noted_process

NUMBERS = {"steps": 1000, "seconds": 30.0, "seconds_left": 3723.0, "losses": {}, "judged": {}}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def status(home, name, step, **values):
    there = {"monitor": "val/mel_error_db", "state": "running", "ended": False, "pid": os.getpid(), **NUMBERS, **values}
    return StageStatus(stage="vae", step=step, share=step / 1000, folder=home.run(name) / "vae", **there)


def listed(home, *arguments):
    done = distillgan("runs", "--home", home.root, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_runs_what_has_failed_and_what_was_killed(home):
    with pytest.raises(UserError), Run(home, "full").noted("cpu", ["vae"]):
        note_process(home, "full", replace(noted_process(home, "full"), stage="vae"))
        status(home, "full", 7).write()
        raise UserError("/disk is full: free some space\nand go on")
    status(home, "killed", 12).write()
    status(home, "done", 1000, ended=True, state="ended").write()
    with Run(home, "rain").noted("cpu", ["vae"]):
        note_process(home, "rain", replace(noted_process(home, "rain"), stage="vae"))
        status(home, "rain", 250).write()
        rows = json.loads(listed(home, "--json"))
        shown = listed(home, "rain").splitlines()
    assert [(row["run"], row["state"], row["step"], row["left"], row["error"]) for row in rows] == [
        ("done", "done", 1000, None, None),
        ("full", "failed", 7, None, "/disk is full: free some space\nand go on"),
        ("killed", "failed", 12, None, KILLED),
        ("rain", "running", 250, 3723.0, None),
    ]
    assert shown[1].split() == ["rain", "vae", "running", "250", "1000", "1:02:03"] and len(shown) == 2
    assert "failed  7     1000        /disk is full: free some space\n" in listed(home, "full")
    assert "rain  vae    stopped  250" in listed(home, "rain")  # its process has left it


def test_what_there_is_not_is_said(home):
    assert "no run in" in distillgan("runs", "--home", home.root).stderr
    status(home, "rain", 1).write()
    assert "no run 'wind'" in distillgan("runs", "wind", "--home", home.root).stderr


def test_it_starts_without_torch(home):
    status(home, "rain", 1).write()
    code = "import sys; from distillgan.cli.commands.tensorboard_command import runs_main\n"
    code += "try: runs_main(sys.argv[1:])\n"
    code += "finally: print('torch' in sys.modules, 'lightning' in sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "--home", str(home.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["False", "False"] and "rain" in done.stdout
