"""The server is closed while a training runs that it has started: nothing is lost, and the next server goes on."""

import json
import signal

import pytest
import torch
from followed import TINY, ended, steps, wait
from served import Server

from distillgan.models.modelfile import read_model
from distillgan.paths import Home
from distillgan.synthesis.renderer import Model
from distillgan.ui.runs import RunKey, Supervisor

MORE = "\n".join(item for item in TINY if not item.startswith("device=")) + "\nmodel.max_steps=100000"
KEY = RunKey("lasting")


def closed(server: Server, how: signal.Signals, code: int, home: Home) -> int:
    """Close the server; the steps of the model that its training has left, whole and fit to play."""
    assert server.stop(how) == code
    # It has waited for the training; one that is slower ends by itself.
    state = wait(Supervisor(home), KEY, ended)
    assert state.phase == "stopped" and state.status.ended and home.run(KEY.name).joinpath("vae/last.ckpt").exists()
    header, _ = read_model(home.model(KEY.name))  # every tensor is as it was written
    Model.load(home.model(KEY.name), torch.device("cpu"))
    assert header.training["vae"]["steps"] == state.status.step
    return header.training["vae"]["steps"]


@pytest.mark.slow
def test_a_closed_page_leaves_a_model_and_the_next_one_goes_on(tmp_path, recordings):
    home = Home(tmp_path / "home")
    (home.root / "corpora").mkdir()
    (home.root / "corpora" / "takes.json").write_text(json.dumps({"folder": str(recordings)}))
    server = Server(home.root, OMP_NUM_THREADS="1")
    form = {"train_corpus": "takes", "train_name": KEY.name, "train_more": MORE}
    server.visitor().does("train-start", "click", **form)
    wait(Supervisor(home), KEY, lambda _: steps(home, KEY.name) >= 5)
    reached = closed(server, signal.SIGINT, 0, home)
    assert 5 <= reached < 100000

    server = Server(home.root, OMP_NUM_THREADS="1")
    visitor = server.visitor()
    shown = visitor.waits("run-status")
    assert shown["trainings"]["value"] == str(KEY) and "Resume goes on from here" in shown["run-status"]
    visitor.does("train-resume", "click", trainings=str(KEY))
    wait(Supervisor(home), KEY, lambda _: steps(home, KEY.name) > reached)
    assert reached < closed(server, signal.SIGTERM, 143, home) < 100000
