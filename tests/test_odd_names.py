"""A folder and a name that mean something to Hydra, OmegaConf or a shell, through training, playing and back."""

import json
import shutil

import pytest
from cli_runner import call

from distillgan import api
from distillgan.cli import hydra_app
from distillgan.cli import main as cli
from distillgan.cli.overrides import to_overrides
from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.synthesis.generation import generate
from distillgan.synthesis.reproduce import Original
from distillgan.synthesis.request import RenderRequest
from distillgan.training.pipeline import train
from distillgan.ui.training_form import _recordings_of

FOLDER = "${oc.env:HOME} 808_909, [ö]"
TINY = ["experiment=tiny", "device=cpu", "model.max_steps=2", "vocoder=none"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, recordings):
    """A home with a model of the name 雨 that was trained on such a folder."""
    root = tmp_path_factory.mktemp("odd")
    folder = root / FOLDER
    shutil.copytree(recordings, folder)
    arguments = [*TINY, f"data.dir={folder}", "name=雨", f"paths.home={root / 'home'}", "note=${x}"]
    train(hydra_app.composed("train", to_overrides(arguments)))
    return Home(root / "home"), folder, arguments


def test_the_run_knows_its_folder_and_the_same_command_goes_on(made):
    home, folder, arguments = made
    assert read_header(home.model("雨")).note == "${x}"
    assert list(hydra_app.composed("train", _recordings_of(home, "雨")).data.dir) == [str(folder)]
    train(hydra_app.composed("train", to_overrides([*arguments, "model.max_steps=3"])))
    assert read_header(home.model("雨")).training["vae"]["steps"] == 3
    overrides = cli._vocoder_overrides(["雨", f"paths.home={home.root}"])
    config = hydra_app.composed("train", to_overrides(overrides))
    assert (config.name, config.data.dir, list(config.stages)) == ("雨", str(folder), ["vocoder"])


def requested(*arguments):
    return RenderRequest.from_config(hydra_app.composed("generate", to_overrides(list(arguments))))


def test_it_plays_and_is_made_again_and_from_python(made):
    home, folder, _ = made
    given = ["model.name=雨", "duration=0.3", "vocoder=universal", f"paths.home={home.root}", "device=cpu"]
    (sound,) = generate(requested(*given, "export.title=808_909"))
    assert sound.path.name == "雨_seed1.wav"
    kept = History(home).get(sound.id)
    assert kept.metadata["settings"]["export"]["title"] == "808_909"
    original = Original.of_file(sound.path)
    request, _ = original.request(home)
    assert request.model == "雨" and request.export.title == "808_909"
    (again,) = generate(request)
    assert original.verdict(again).same
    assert api.load("雨", home=home.root).name == "雨"
    given = [f"recording={folder}/take1.wav", "model.name=雨", "vocoder=universal", f"paths.home={home.root}"]
    (sound,) = generate(requested(*given))
    assert json.loads(sound.path.with_suffix(".json").read_text())["path"] == "reconstruct"


@pytest.mark.parametrize("seed", ["0.5", "-1", "true", "x", "1e3", "5000000000"])
def test_a_seed_is_a_whole_number(made, seed):
    with pytest.raises(UserError, match=r"seed=.* must be a whole number from 0 to 4294967295"):
        train(hydra_app.composed("train", to_overrides([*made[2], f"seed={seed}", "name=other"])))


@pytest.mark.slow
def test_a_sweep_over_such_folders_makes_a_model_of_each(made, tmp_path):
    places = []
    for name in ("鳥", "${x}", "1e3"):
        shutil.copytree(made[1], tmp_path / name)
        places.append(str(tmp_path / name))
    done = call(
        "distillgan.train", "-m", *TINY, "data.dir=鳥,${x},1e3", "paths.home=home", "resume=never", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "home" / "models").glob("*.distillgan"))) == 3
