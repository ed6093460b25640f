"""What others may read of a training: valid at any moment, right at the end, and cheap."""

import json
import time
from types import SimpleNamespace

import pytest
import soundfile as sf
import torch
from processes import start, wait_for
from support import composed, tiny

from distillgan.errors import UserError
from distillgan.training.callbacks import BEST, Status, Timer, load_checkpoint
from distillgan.training.pipeline import train


def curves(home, stage="vae"):
    return [json.loads(line) for line in (home / "runs" / "tiny" / stage / "curves.jsonl").read_text().splitlines()]


def status(home, stage="vae"):
    return json.loads((home / "runs" / "tiny" / stage / "status.json").read_text())


@pytest.mark.parametrize(("stage", "monitor"), [("vae", "val/mel_error_db"), ("hifigan", "val/mel_error")])
def test_a_finished_stage_says_so_and_has_its_curves(trained, stage, monitor):
    home, _ = trained
    values = status(home, stage)
    assert (values["stage"], values["step"], values["steps"], values["share"]) == (stage, 4, 4, 1.0)
    assert values["ended"] and values["seconds"] > 0 and values["seconds_left"] == 0
    assert values["monitor"] == monitor and all(key.startswith("train/") for key in values["losses"])
    lines = curves(home, stage)
    assert [line["step"] for line in lines if any(key.startswith("train/") for key in line)] == [1, 2, 3, 4]
    judged = {line["step"]: line[monitor] for line in lines if monitor in line}
    assert {2, 4} <= judged.keys() and judged[4] == values["judged"][monitor]
    assert min(judged.values()) == pytest.approx(load_checkpoint(home / "runs" / "tiny" / stage / BEST)["best_error"])


def test_what_is_heard_is_there_as_files(trained):
    home, _ = trained
    for stage, names in (("vae", ["recording", "reconstruction_heard"]), ("hifigan", ["target", "generated"])):
        for name in names:
            wave, rate = sf.read(home / "runs" / "tiny" / stage / f"preview_0_{name}.wav")
            assert rate == 44100 and len(wave) > 10000 and abs(wave).max() > 0


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_its_curves_and_forgets_what_came_after_its_checkpoint(tmp_path, recordings):
    train(tiny(tmp_path, recordings))
    path = tmp_path / "runs" / "tiny" / "vae" / "curves.jsonl"
    whole = path.read_text()
    path.write_text(whole + json.dumps({"step": 5, "train/loss": 1.0}) + '\n{"step": 6, "tra')
    train(tiny(tmp_path, recordings, "model.max_steps=6"))
    assert path.read_text().startswith(whole)
    steps = [line["step"] for line in curves(tmp_path) if "train/loss" in line]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert len([line for line in curves(tmp_path) if "val/mel_error_db" in line and line["step"] == 4]) == 1
    assert status(tmp_path)["step"] == 6


@pytest.mark.slow
def test_a_killed_training_leaves_whole_lines_and_tells_what_is_left(tmp_path, recordings):
    process, trace = start(tmp_path, recordings, "vae", 5)
    wait_for(process, tmp_path, trace, "vae", 60)
    time.sleep(1.2)
    wait_for(process, tmp_path, trace, "vae", len(trace.read_text().splitlines()) + 5)
    process.kill()
    process.wait()
    values, reached = status(tmp_path), int(trace.read_text().split()[-1])
    assert not values["ended"] and 0 < values["step"] <= reached and values["steps"] == 100000
    left = (values["steps"] - values["step"]) / values["step"] * values["seconds"]
    assert values["seconds_left"] == pytest.approx(left, rel=0.01)
    steps = [line["step"] for line in curves(tmp_path) if "train/loss" in line]
    assert steps == list(range(1, len(steps) + 1)) and reached - 1 <= len(steps) <= reached


def test_a_loss_that_is_no_number_is_none_in_the_file(tmp_path):
    module = SimpleNamespace(steps_done=1, max_steps=2)
    metrics = {"train/loss": torch.tensor(torch.nan), "val/error": torch.tensor(2.0)}
    trainer = SimpleNamespace(is_global_zero=True, callback_metrics=metrics)
    status = Status(1)
    status.timer, status.folder, status.monitor = Timer(None), tmp_path, "val/error"
    status.on_train_start(trainer, module)
    status.on_train_batch_end(trainer, module, None, None, 0)
    text = (tmp_path / "curves.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"step": 1, "train/loss": None}


@pytest.mark.parametrize("every", [0, 1.5, "often"])
def test_an_interval_that_is_none_is_refused(tmp_path, recordings, every):
    with pytest.raises(UserError, match=r"callbacks\.status\.every"):
        train(
            composed("train", tmp_path, "experiment=tiny", f"data.dir={recordings}", f"callbacks.status.every={every}")
        )
