"""How threads wait and how many compute: said before torch is loaded, unless the person has said it."""

import os
import subprocess
import sys

import pytest

from distillgan import process as threads
from distillgan.errors import UserError

VARIABLES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT", "KMP_LIBRARY", "OMP_NUM_THREADS")
# Tells what is set at the moment when torch is looked for, whoever looks for it first.
WATCHED = """
import importlib.abc, os, runpy, sys
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            sys.meta_path.remove(self)
            print("torch comes:", os.environ.get("GOMP_SPINCOUNT"), os.environ.get("KMP_BLOCKTIME"))
sys.meta_path.insert(0, Watch())
sys.argv = ["distillgan", *sys.argv[1:]]
runpy.run_module("distillgan.cli.main", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """That of a process which has been told nothing, and is again afterwards."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_threads_turn_for_a_moment_and_wait():
    threads.settle()
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"]) == ("1000", "0")
    assert "OMP_NUM_THREADS" not in os.environ, "how many there are is torch's own choice"
    threads.settle()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"


@pytest.mark.parametrize("name", VARIABLES[:4])
def test_what_the_person_said_of_waiting_is_all_that_holds(monkeypatch, name):
    monkeypatch.setenv(name, "active")
    threads.settle()
    assert {key: os.environ[key] for key in VARIABLES if key in os.environ} == {name: "active"}


def test_it_is_said_before_torch_is_loaded():
    """Through the console command, with a verb whose entry is a module of `python -m`: both come by the package."""
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, "export-vocoder", "x", "--format=nothing"], capture_output=True, text=True
    )
    assert "torch comes: 1000 0" in run.stdout, run.stderr


def test_jobs_share_the_cores_unless_the_person_has_said(monkeypatch):
    threads.share_out(3, 8)
    assert os.environ["OMP_NUM_THREADS"] == "2"
    threads.share_out(1, 8)
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "two", True])
def test_a_wrong_number_is_refused(wrong):
    with pytest.raises(UserError, match="threads="):
        threads.checked(wrong)
    assert threads.checked(None) is None and threads.checked(3) == 3
