"""`distillgan board`: TensorBoard itself, asked over HTTP as its page asks it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

from recorded import said

from distillgan.cli.commands.tensorboard_command import board_main as main


@contextmanager
def served(home, *arguments):
    """The standard output of TensorBoard as a process of its own. It is to end by Ctrl-C, without a word."""
    command = [sys.executable, "-m", "distillgan.cli.main", "board", "--no-open", "--port", "0", "--home", str(home)]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}  # the address is to be told at once all the same
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process.stdout
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def ask(address, path):
    with urllib.request.urlopen(address + path, timeout=60) as answer:
        return json.loads(answer.read())


def test_all_runs_with_their_stages_results_layout_and_corpus(trained):
    with served(trained[0]) as output:
        line = output.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
        assert str(trained[0] / "runs") in line and "Ctrl-C" in line
        limit = time.monotonic() + 60
        while set(runs := ask(address, "data/runs")) != {"tiny/vae", "tiny/hifigan", "tiny/results"}:
            assert time.monotonic() < limit, runs  # it reads them in the background
            time.sleep(0.1)
        layout = ask(address, "data/plugin/custom_scalars/layout")
        assert layout["category"][0]["title"] == "Held-out recordings"
        assert ask(address, "data/plugin/projector/runs") == ["tiny/results"]
        port = int(address.rpartition(":")[2].strip("/"))
        with socket.socket() as client:
            client.settimeout(5)
            elsewhere = "127.0.0.2"  # another address of this machine
            assert client.connect_ex((elsewhere, port)) != 0


def test_one_run_by_the_beginning_of_its_name_as_json(trained):
    with served(trained[0], "ti", "--json") as output:
        found = json.loads("".join(iter(output.readline, "}\n")) + "}")
        assert found["folder"] == str(trained[0] / "runs" / "tiny")
        assert "<title>TensorBoard</title>" in urllib.request.urlopen(found["address"], timeout=60).read().decode()


def test_what_cannot_be(tmp_path, capsys):
    code, _, errors = said(capsys, main, "--home", tmp_path)
    assert code == 2 and "no run in" in errors and "train a model first" in errors
    for name in ("rain", "rain-2", "rail"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, words in (
            (("drone",), "no run 'drone' in"),
            (("",), "no run '' in"),
            (("../runs",), "no run '../runs' in"),
            (("rai",), "several runs begin with 'rai': rail, rain, rain-2"),
            (("rain", "--port", port), f"--port={port} is taken: give another one"),
            (("rain", "--port", 70000), "--port=70000 must be a whole number from 0 to 65535"),
            (("rain", "--port", "web"), "invalid int value: 'web'"),
        ):
            code, out, errors = said(capsys, main, *arguments, "--no-open", "--home", tmp_path)
            assert (code, out) == (2, "") and words in errors, arguments


def test_the_verb_costs_the_others_nothing():
    module = "distillgan.cli.commands.tensorboard_command"
    code = f"import sys, {module}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "rich" in loaded and not {"tensorboard", "torch", "google"} & set(loaded)
