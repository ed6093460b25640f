"""Ctrl-C, SIGTERM and kill -9 on real processes: what is left, and that it can be gone on from."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import tiny

from distillgan.modelfile import read_header
from distillgan.render.engine import Model, render
from distillgan.train import train
from distillgan.training.checkpoint import load_checkpoint

EVERY = 5
FOLDERS = {"vae": "vae", "vocoder": "hifigan"}  # of the stages
TESTS = Path(__file__).parents[1]


def start(home: Path, recordings: Path, stage: str) -> tuple[subprocess.Popen, Path]:
    """A training process whose `stage` would go on for hours, and the file in which it notes its steps."""
    trace = home / "trace"
    home.mkdir(exist_ok=True)
    key = "model.max_steps" if stage == "vae" else "vocoder.max_steps"
    command = [
        *(sys.executable, "-m", "distillgan.train", "experiment=tiny", "vocoder=hifigan", "name=tiny", "device=cpu"),
        *(f"data.dir={recordings}", f"paths.home={home}", f"{key}=100000", f"callbacks.checkpoint.every={EVERY}"),
        *("trainer.validate_every=4", "callbacks.preview.every=1000"),
        f"+callbacks.trace={{_target_: support.StepTrace, path: {trace}}}",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    log = (home / "log").open("w")
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log), trace


def wait_for(process: subprocess.Popen, home: Path, trace: Path, stage: str, steps: int) -> None:
    limit = time.monotonic() + 120
    marker = home / "runs" / "tiny" / FOLDERS[stage] / "last.ckpt"
    while time.monotonic() < limit:
        assert process.poll() is None, (home / "log").read_text()
        if marker.exists() and trace.exists() and len(trace.read_text().split()) >= steps:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {steps} steps of the {stage} in 120 s:\n" + (home / "log").read_text())


@pytest.mark.parametrize("stage", ["vae", "vocoder"])
def test_kill_9_loses_one_interval_at_most_and_the_same_command_goes_on(tmp_path, recordings, stage):
    process, trace = start(tmp_path, recordings, stage)
    wait_for(process, tmp_path, trace, stage, 13)
    process.kill()
    process.wait()
    reached = int(trace.read_text().split()[-1])
    kept = load_checkpoint(tmp_path / "runs" / "tiny" / FOLDERS[stage] / "last.ckpt")["steps_done"]
    assert reached - EVERY <= kept <= reached
    if stage == "vocoder":
        assert read_header(tmp_path / "models" / "tiny.distillgan").training["vae"]["steps"] == 4
    key = "model.max_steps" if stage == "vae" else "vocoder.max_steps"
    train(tiny(tmp_path, recordings, "vocoder=hifigan", f"{key}={kept + 3}"))
    header = read_header(tmp_path / "models" / "tiny.distillgan")
    assert header.training[stage]["steps"] == kept + 3
    assert header.training["vocoder"] is not None


@pytest.mark.parametrize(("stage", "signum", "code"), [("vae", signal.SIGINT, 130), ("vocoder", signal.SIGTERM, 143)])
def test_signal_keeps_packs_and_leaves_with_its_code(tmp_path, recordings, stage, signum, code):
    process, trace = start(tmp_path, recordings, stage)
    wait_for(process, tmp_path, trace, stage, 7)
    process.send_signal(signum)
    assert process.wait(60) == code, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    reached = int(trace.read_text().split()[-1])
    assert load_checkpoint(tmp_path / "runs" / "tiny" / FOLDERS[stage] / "last.ckpt")["steps_done"] == reached
    path = tmp_path / "models" / "tiny.distillgan"
    header = read_header(path)
    assert header.training[stage]["steps"] == reached and header.training[stage]["finished"] is False
    if stage == "vae":
        assert header.vocoder is None
    else:
        import torch

        model = Model.load(path, torch.device("cpu"))
        assert render(model, model.vocoder, 0.5, 1).shape == (1, 22050)
