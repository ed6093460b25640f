"""What version 0.1.0 made keeps working: models load, sounds are the same, a run goes on, the library is listed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import composed

from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.store.presets import Presets
from distillgan.synthesis.generation import generate
from distillgan.synthesis.reproduce import Original
from distillgan.training.pipeline import train

MADE = Path(__file__).parent / "compat" / "0.1.0"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old") / "home"
    shutil.copytree(MADE, folder)
    return folder


# Processors round differently; MP3 and Ogg encode what differs so little within their own noise.
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("alone_seed3.wav", 1e-4),
        ("hifi_seed4.flac", 1e-4),
        ("frames_seed5.ogg", 1.5e-3),
        ("alone_frames_seed6.mp3", 1e-3),
    ],
)
def test_a_file_reproduces_as_it_was(home, name, tolerance):
    path = home / "audio" / name
    request, _ = Original.of_file(path).request(Home(home))
    again = generate(replace(request, device="cpu"))[0]
    before, now = soundfile.read(path)[0], soundfile.read(again.path)[0]
    assert before.shape == now.shape
    assert abs(before).max() > 0.01
    np.testing.assert_allclose(now, before, atol=tolerance)


def test_history_and_presets_are_listed(home):
    history = History(Home(home))
    assert [(item.id, item.path.name, item.starred) for item in history.find()][-4:] == [
        (4, "alone_frames_seed6.mp3", False),
        (3, "frames_seed5.ogg", False),
        (2, "hifi_seed4.flac", True),
        (1, "alone_seed3.wav", False),
    ]
    preset = Presets(Home(home)).all()[0]
    assert (preset.name, preset.settings["seed"], preset.settings["export"]["name"]) == ("Soft", 6, "mp3")


def test_a_run_goes_on_where_it_was(home):
    overrides = ["experiment=tiny", "name=begun", f"data.dir={home / 'recordings'}", "model.max_steps=4"]
    train(composed("train", home, *overrides))
    lines = [json.loads(line) for line in (home / "runs/begun/vae/curves.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}
    assert list(losses) == [1, 2, 3, 4]
    assert [losses[3], losses[4]] == pytest.approx([3.2739, 3.5817], rel=1e-3)
