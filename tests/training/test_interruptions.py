"""Ctrl-C, SIGTERM and kill -9 on real processes: what is left, and that it can be gone on from."""

import signal
import time

import pytest
import torch
from processes import FOLDERS, start, wait_for
from support import composed, tiny

from distillgan.cli.commands.engine_commands import controls
from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.models.vocoders.registry import UNIVERSAL, read_packaged
from distillgan.synthesis.renderer import Model, render
from distillgan.training.callbacks import load_checkpoint
from distillgan.training.pipeline import train
from distillgan.ui.library_tab import sliders_and_map

EVERY = 5
VOCODER = ("vocoder", signal.SIGTERM, 143)


@pytest.mark.parametrize("stage", ["vae", pytest.param("vocoder", marks=pytest.mark.slow)])
def test_kill_9_loses_one_interval_at_most_and_the_same_command_goes_on(tmp_path, recordings, stage):
    process, trace = start(tmp_path, recordings, stage, EVERY)
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


@pytest.mark.parametrize(
    ("stage", "signum", "code"), [("vae", signal.SIGINT, 130), pytest.param(*VOCODER, marks=pytest.mark.slow)]
)
def test_signal_keeps_packs_and_leaves_with_its_code(tmp_path, recordings, stage, signum, code):
    process, trace = start(tmp_path, recordings, stage, EVERY)
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
        model = Model.load(path, torch.device("cpu"))
        assert render(model, model.vocoder, 0.5, 1).shape == (1, 22050)


@pytest.mark.slow
def test_kill_9_in_the_analysis_loses_no_model_and_the_same_command_measures_alone(tmp_path, recordings, capsys):
    long = ("model.max_steps=4", "vocoder=none", "analysis.seeds=100", "analysis.seconds=20")
    process, trace = start(tmp_path, recordings, "vae", EVERY, *long)
    path, limit = tmp_path / "models" / "tiny.distillgan", time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None and time.monotonic() < limit, (tmp_path / "log").read_text()
        time.sleep(0.02)
    time.sleep(0.5)  # well within the analysis, which takes minutes
    assert process.poll() is None
    process.kill()
    process.wait()
    header = read_header(path)
    assert header.sliders_pending and header.training["vae"]["steps"] == 4
    model = Model.load(path, torch.device("cpu"))
    assert model.analysis is None and render(model, read_packaged(UNIVERSAL).vocoder(), 0.5, 1).shape == (1, 22050)
    with pytest.raises(UserError, match=r"sliders pending: .*the same command measures them"):
        controls(composed("controls", tmp_path, "model.name=tiny"))
    assert "Sliders pending" in sliders_and_map(path)[0]

    before, steps = header.fingerprint, trace.read_text()
    train(tiny(tmp_path, recordings, "model.max_steps=4"))
    assert trace.read_text() == steps and "analysis: " in capsys.readouterr().out
    header, model = read_header(path), Model.load(path, torch.device("cpu"))
    assert not header.sliders_pending and header.training["vae"]["sliders"] == "measured"
    assert model.analysis is not None and header.fingerprint != before
