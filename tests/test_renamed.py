"""A kind of vocoder by the name that it had: every way in takes it, and what was made with it goes on."""

import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from cli_runner import call, distillgan
from rich.console import Console
from safetensors import safe_open
from support import copy_of, tiny

import distillgan as dg
from distillgan.cli import hydra_app
from distillgan.errors import UserError
from distillgan.evaluation.tasks import EvaluateRequest
from distillgan.evaluation.vocoders import vocoder_adapters
from distillgan.models.header import read_header
from distillgan.models.vocoders.registry import packaged, read_weights
from distillgan.paths import RENAMED, Home, conf_dir, stage_folder
from distillgan.store.comparison import differences
from distillgan.store.history import History
from distillgan.synthesis.renderer import Model
from distillgan.synthesis.reproduce import Original
from distillgan.training.callbacks import load_checkpoint
from distillgan.training.pipeline import train
from distillgan.ui.library_tab import curves
from distillgan.ui.runs import RunKey, Supervisor
from distillgan.ui.sound_settings import values_of

OLD, NEW = "vocos", "harmonic"
MADE = Path(__file__).parent / "compat" / "0.1.0"
SOUND = "frames_seed5.ogg"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    folder = tmp_path_factory.mktemp("old") / "home"
    shutil.copytree(MADE, folder)
    return Home(folder)


def test_the_files_of_the_old_name_are_gone():
    assert RENAMED == {OLD: NEW} and packaged(OLD) is None
    assert not (conf_dir() / "vocoder" / f"{OLD}.yaml").exists() and (conf_dir() / "vocoder" / f"{NEW}.yaml").exists()


def test_weights_and_models_of_then_are_of_the_kind_of_now(home):
    with safe_open(packaged(NEW), "pt") as file:
        assert json.loads(file.metadata()["distillgan"])["name"] == OLD, "the very file that it was"
    assert read_weights(packaged(NEW)).name == NEW
    path = home.model("frames")
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["distillgan"])["vocoder"]["name"] == OLD
    header, made = read_header(path), json.loads((home.audio / SOUND).with_suffix(".json").read_text())
    assert header.vocoder["name"] == read_weights(path).name == NEW
    assert header.fingerprint == made["models"][0]["fingerprint"]


@pytest.mark.parametrize("word", ["vocoder=vocos", "--vocoder=vocos"])
def test_the_command_line_takes_it(home, word):
    words = [f"paths.home={home.root}", "model=frames", "device=cpu", "duration=0.3", "seed=8", "export.overwrite=true"]
    done = call("distillgan.generate", *words, word)
    assert done.returncode == 0 and "vocoder harmonic: as asked for" in done.stdout, done.stderr
    assert json.loads((home.audio / "frames_seed8.json").read_text())["vocoder"] == NEW


def test_what_is_wrong_beside_it_is_what_is_said(tmp_path):
    hydra_app.check("train", ["vocoder=vocos,hifigan", "vocoder.channels=32"])
    with pytest.raises(UserError, match=r"vocoder=vocs: there are auto, bigvgan, harmonic, hifigan, none, universal$"):
        hydra_app.check("train", ["vocoder=vocos,vocs"])
    with pytest.raises(UserError, match="there is no model=vocos"):
        hydra_app.check("train", ["model=vocos"])
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /vocoder: vocos\nvocoder:\n  channels: 40\n"
    )
    done = call("distillgan.train", "--config-dir", tmp_path, "experiment=mine", "--cfg", "job", "-p", "vocoder")
    assert "name: harmonic" in done.stdout and "channels: 40" in done.stdout, done.stderr


def test_evaluations_take_it(home):
    model = Model.load(home.model("frames"), torch.device("cpu"))
    for words in (["vocoders=[vocos,harmonic]"], ["vocoder=vocos"], ["vocoder.name=vocos"]):
        request = EvaluateRequest.from_config(hydra_app.composed("evaluate", hydra_app.to_overrides(words)))
        names = request.vocoders or (request.vocoder.name,)
        found = vocoder_adapters(names, request.vocoder, model, home, torch.device("cpu"), Console(quiet=True))
        assert [adapter.name for adapter in found] == [NEW]


def test_the_api_takes_it(home):
    model = dg.load("frames", home=home.root, device="cpu")
    asked, now = (model.render(0.3, seed=5, vocoder=name) for name in (OLD, NEW))
    assert np.array_equal(asked.wave, now.wave) and abs(now.wave).max() > 0
    assert asked.origin["vocoder"] == asked.origin["settings"]["vocoder"] == NEW


def test_a_card_takes_it(home):
    done = distillgan("card", "frames", "--vocoder", OLD, "--examples", 1, f"paths.home={home.root}")
    assert done.returncode == 0, done.stderr
    assert "played by the vocoder harmonic" in next((home.root / "cards").rglob("*.md")).read_text()


def test_the_history_and_the_page_take_it(home):
    entry = next(item for item in History(home).find() if item.path.name == SOUND)
    assert entry.metadata["settings"]["vocoder"] == OLD
    request, notes = Original.of_history(entry).request(home)
    assert request.vocoder.name == NEW and not notes
    values, _ = values_of(request)
    assert values["vocoder"] == NEW, "a choice that the page has"
    now = {**entry.metadata, "vocoder": NEW, "settings": {**entry.metadata["settings"], "vocoder": NEW}}
    assert not differences(entry.metadata, now), "only its name has changed"
    with_own = {**now, "vocoder": "universal", "settings": {**now["settings"], "vocoder": "universal"}}
    assert [(item.key, item.first) for item in differences(entry.metadata, with_own)] == [("vocoder", NEW)]


def test_a_sound_of_then_is_made_again(home):
    done = distillgan("reproduce", home.audio / SOUND, f"paths.home={home.root}", "--json")
    made = json.loads(done.stdout)
    before, now = soundfile.read(home.audio / SOUND)[0], soundfile.read(made["path"])[0]
    assert History(home).get(made["id"]).metadata["vocoder"] == NEW
    assert before.shape == now.shape and abs(before).max() > 0.1
    np.testing.assert_allclose(now, before, atol=5e-3)  # Vorbis adds noise of its own, see test_compat


def as_then(run: Path) -> Path:
    """The run as an older version would have left it: its stage, its notes and the class that it names."""
    stage = (run / NEW).rename(run / OLD)
    for path in (run / "config.yaml", stage / "signature.json", stage / "settings.json", stage / "status.json"):
        text = path.read_text().replace("distillgan.models.vocoders.harmonic.HarmonicGenerator", "distillgan.vocoder.V")
        path.write_text(text.replace(NEW, OLD))
    return stage


def test_a_run_of_then_is_found_and_goes_on(trained, tmp_path, recordings, capsys):
    home = Home(copy_of(trained[0], tmp_path, "hifigan"))
    begin = ["vocoder=harmonic", "stages=[vocoder]", "vocoder.channels=32", "trainer.log_every=1"]
    train(tiny(home.root, recordings, *begin, "vocoder.max_steps=3"))
    run = home.run("tiny")
    drawn = curves(run)[NEW]
    stage = as_then(run)
    assert stage_folder(run, NEW) == stage and curves(run)[NEW] == drawn != {}

    capsys.readouterr()
    more = {"experiment": "tiny", "device": "cpu", "stages": ["vocoder"], "vocoder__max_steps": 5}
    more |= {"vocoder__channels": 32, "trainer__log_every": 1}
    model = dg.train(recordings, name="tiny", home=home.root, vocoder=OLD, **more)
    assert "on from its last checkpoint" in capsys.readouterr().out.replace("\n", " ")
    assert load_checkpoint(stage / "last.ckpt")["steps_done"] == 5 and not (run / NEW).exists()
    assert [line["step"] for line in lines(stage) if "train/loss_mel" in line] == [1, 2, 3, 4, 5]
    assert model.header.vocoder["name"] == NEW

    state = Supervisor(home).state(RunKey("tiny", "vocoder"))
    assert (state.phase, state.status.stage, state.status.folder) == ("done", NEW, stage)
    # While an older version trains it:
    begun = {"pid": os.getpid(), "host": socket.gethostname(), "device": "cpu", "started": state.status.written - 0.5}
    home.process("tiny").write_text(json.dumps({**begun, "stages": [OLD]}))
    state = Supervisor(home).state(RunKey("tiny", "vocoder"))
    assert (state.phase, state.status and state.status.stage) == ("running", NEW)
    home.process("tiny").unlink()

    train(tiny(home.root, recordings, *begin, "vocoder.max_steps=1", "resume=never"))
    assert (run / f"{NEW}.old-1" / "last.ckpt").exists() and not stage.exists() and (run / NEW).exists()


def lines(stage: Path) -> list[dict]:
    return [json.loads(line) for line in (stage / "curves.jsonl").read_text().splitlines()]


def test_sweeps_take_it(tmp_path, recordings):
    words = ["experiment=tiny", "device=cpu", "model.max_steps=2", "vocoder.max_steps=2", "~callbacks.preview"]
    words += [f"data.dir={recordings}", f"paths.home={tmp_path}", "name=swept", "-m", "vocoder=vocos,none"]
    done = call("distillgan.train", *words, OMP_NUM_THREADS=1, TTY_COMPATIBLE=0)
    assert done.returncode == 0, done.stderr
    headers = [read_header(path) for path in Home(tmp_path).models.iterdir()]
    kinds = {"vocoder-vocos" in header.name: (header.vocoder or {}).get("name") for header in headers}
    assert len(headers) == 2 and kinds == {True: NEW, False: None}, "a job's name is what was asked for"
