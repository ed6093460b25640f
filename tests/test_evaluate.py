"""`evaluate`: the report, and that its numbers are what they say."""

import json

import numpy as np
import pytest
import soundfile
import torch
from support import evaluation

from distillgan.audio.mel import MelSpec, MelSpectrogram, from_log1p, to_log1p
from distillgan.data.manifest import Manifest
from distillgan.errors import UserError
from distillgan.evaluation.tasks import evaluate
from distillgan.synthesis.renderer import Model


@pytest.fixture(scope="module")
def report(trained, recordings):
    home, _ = trained
    return evaluate(evaluation(home, "model.name=tiny", f"data.dir={recordings}")), home


def test_each_file_is_in_its_part(report):
    result, home = report
    manifest = Manifest.load(home / "runs" / "tiny" / "manifest.json")
    splits = {entry.path: entry.split for entry in manifest.used}
    assert len(result["files"]) == 6
    for file in result["files"]:
        assert file["part"] == {"train": "training", "held_out": "held out"}[splits[file["path"]]]
    assert result["parts"]["training"]["files"] == 5 and result["parts"]["held out"]["files"] == 1


def test_error_is_the_one_measured_by_hand(report):
    result, home = report
    model = Model.load(home / "models" / "tiny.distillgan", torch.device("cpu"))
    clips = Manifest.load(home / "runs" / "tiny" / "manifest.json").clips(home / "cache" / "audio")
    clip = next(clip for clip in clips if clip.name == "take3.wav")
    frames = -(-clip.length // 512)
    with torch.no_grad():
        mel = MelSpectrogram(MelSpec())(torch.from_numpy(clip.read(0, frames * 512))[None])
        mean, _ = model.network.encode(to_log1p(mel, model.spec))
        made = from_log1p(model.network.decode(mean, frames), model.spec)
    mel, made = mel.numpy(), made.numpy()
    floor = mel.max() / 1000
    expected = np.abs(20 * np.log10(np.maximum(mel, floor) / np.maximum(made, floor))).mean()
    (shown,) = (file["error_db"] for file in result["files"] if file["path"] == "take3.wav")
    assert shown == pytest.approx(float(expected), abs=1e-3)


def test_report_is_written_and_the_held_out_error_is_the_one_of_the_training(report, trained):
    result, home = report
    written = json.loads((home / "evaluations" / "tiny.json").read_text())
    assert written == json.loads(json.dumps(result))
    levels = result["drawn_levels"]
    assert levels["low_db"] < levels["high_db"] and 0 <= levels["walked"] <= 1


def test_strange_recordings_are_all_held_out(trained, tmp_path):
    rng = np.random.default_rng(1)

    soundfile.write(tmp_path / "new.wav", 0.1 * rng.standard_normal(22050), 22050)
    result = evaluate(evaluation(trained[0], "model.name=tiny", f"data.dir={tmp_path}"))
    assert result["parts"]["training"] is None and result["parts"]["held out"]["files"] == 1


def test_bad_floor_is_refused(trained):
    with pytest.raises(UserError, match="floor_db=0"):
        evaluate(evaluation(trained[0], "floor_db=0"))


def test_without_a_folder_it_takes_the_one_of_the_models_run(trained):
    result = evaluate(evaluation(trained[0], "model.name=tiny"))
    assert result["parts"]["training"]["files"] == 5
