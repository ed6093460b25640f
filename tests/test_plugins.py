"""A latent model and a vocoder from another package: a wheel, built and installed here, that distillgan finds.

The package is the example of docs/plugins.md. Where it is not installed, a model of its kinds is refused in words.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
import soundfile
import torch
from cli_runner import distillgan
from omegaconf import OmegaConf
from support import copy_of

from distillgan.control.trajectory import decode, encode
from distillgan.errors import UserError
from distillgan.models import plugins
from distillgan.models.base import LatentModel, Vocoder
from distillgan.models.header import copy_model, read_header
from distillgan.models.modelfile import read_model, replace_vocoder
from distillgan.models.plugins import LATENT_MODELS, VOCODERS
from distillgan.paths import Home
from distillgan.synthesis.renderer import Model
from distillgan.ui import slider_panel, train_tab, training_form
from distillgan.ui.page import Page
from distillgan.ui.renderings import Renderings

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "example_package"
WROTE = {"distribution": "distillgan-example", "version": "1.2.3"}
CPU = torch.device("cpu")
# A foreign network has sizes of its own, so that those of experiment=tiny for the VAE's are left out.
MINI = OmegaConf.load(ROOT / "conf" / "experiment" / "tiny.yaml")
MINI.model.module = {"network": {"stride": 4}}


def run(*command: object, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which the example's wheel is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source", folder=folder)
    (wheel,) = folder.glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel, folder=folder)
    return folder / "site"


@pytest.fixture
def installed(site, monkeypatch) -> Path:
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture(scope="module")
def conf(tmp_path_factory) -> Path:
    """A folder for `--config-dir` with small sizes."""
    folder = tmp_path_factory.mktemp("conf")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mini.yaml").write_text("# @package _global_\n" + OmegaConf.to_yaml(MINI))
    return folder


@pytest.fixture(scope="module")
def home(site, conf, recordings, tmp_path_factory) -> Path:
    """A home in which a process that has the wheel on its PYTHONPATH has trained both."""
    home = tmp_path_factory.mktemp("home")
    words = ["model=linear", "vocoder=frames", "experiment=mini", f"data.dir={recordings}", "name=tiny", "device=cpu"]
    command = (sys.executable, "-m", "distillgan.train", "--config-dir", conf, *words, "~callbacks.preview")
    run(*command, folder=conf, PYTHONPATH=f"{ROOT}{os.pathsep}{site}", DISTILLGAN_HOME=str(home))
    return home


@pytest.fixture
def model(home) -> Path:
    return home / "models" / "tiny.distillgan"


def test_each_class_of_the_example_is_short():
    for path in (EXAMPLE / "distillgan_example").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name


def test_the_file_names_kinds_and_who_wrote_them(model):
    header, tensors = read_model(model)
    assert header.latent_model == {"name": "linear", **WROTE}
    assert header.vae == {"n_mels": 128, "latent_dim": 4, "stride": 4}
    generator = {"num_mels": 128, "hop_length": 512, "channels": 32}
    assert header.vocoder == {"name": "frames", **WROTE, "generator": generator}
    assert tensors["vae.encoder.weight"].shape == (8, 128, 4) and tensors["vocoder.hidden.weight"].shape == (32, 128, 3)
    assert "_example" not in header.to_json(), "a name of a package and names of kinds, but no class path"


def test_a_file_of_a_vae_says_nothing_of_kinds(trained):
    text = read_header(trained[0] / "models" / "tiny.distillgan").to_json()
    assert '"latent_model"' not in text and '"distribution"' not in text


def test_it_plays_and_blocks_equal_the_whole(installed, model):
    loaded = Model.load(model, CPU)
    assert (type(loaded.network).__name__, type(loaded.vocoder).__name__) == ("LinearModel", "FramesVocoder")
    x = torch.rand(128, 2100)
    z = encode(loaded.network, x)
    torch.testing.assert_close(z, loaded.network.encode(x[None])[0][0])
    torch.testing.assert_close(decode(loaded.network, z, 2100), loaded.network.decode(z[None], 2100))
    mel = torch.rand(1, 128, 60) * 4 - 8
    torch.testing.assert_close(loaded.vocoder.render(mel, 16), loaded.vocoder(mel), atol=1e-6, rtol=0)


def test_it_generates_and_the_sound_is_made_again_from_its_tags(installed, home, tmp_path):
    copy_of(home, tmp_path)
    words = ["model=tiny", "vocoder=frames", "duration=1", "seed=3", "device=cpu"]
    made = distillgan("generate", *words, DISTILLGAN_HOME=tmp_path)
    assert made.returncode == 0, made.stderr
    again = distillgan("reproduce", tmp_path / "audio" / "tiny_seed3.wav", "device=cpu", DISTILLGAN_HOME=tmp_path)
    assert again.returncode == 0, again.stderr
    first, second = (soundfile.read(tmp_path / "audio" / f"tiny_seed3{more}.wav")[0] for more in ("", "-2"))
    assert len(first) == 44100 and first.any() and (first == second).all()


def test_it_is_listed_and_described_with_or_without_its_package(home):
    (line,) = json.loads(distillgan("models", "list", "--json", DISTILLGAN_HOME=home).stdout)
    assert (line["latent_model"], line["vocoder"], line["fault"]) == ("linear", "frames", None)
    said = " ".join(distillgan("models", "info", "tiny", DISTILLGAN_HOME=home).stdout.split())
    written = "distribution distillgan-example, name linear, version 1.2.3"
    assert written in said and "frames, 0.03 M parameters, distribution distillgan-example" in said


def test_the_page_offers_it(installed, home):
    settings = {"device": {"name": "cpu"}, "vocoder": {"name": "auto", "weights_dir": None, "pin": None}}
    page = Page(Home(home), OmegaConf.create(settings), None, Renderings(Home(home)))
    with gr.Blocks() as blocks:
        train_tab.build(page)
    offered = [[value for _, value in part.choices] for part in blocks.blocks.values() if isinstance(part, gr.Radio)]
    assert ["vae", "linear"] in offered and ["harmonic", "hifigan", "frames"] in offered
    assert ("This model's own (frames)", "frames") in slider_panel.choices(page, ["tiny"])


def test_the_form_trains_it(installed, tmp_path):
    corpora, empty = training_form.Corpora(Home(tmp_path)), [""] * len(training_form.MODEL_FIELDS)
    asked = (corpora, training_form.DEMO, "linear", "medium", False, False, 5, None, "cpu", "", *empty)
    assert training_form.model_overrides(*asked) == ["model=linear", "device=cpu", "model.max_steps=5"]
    with pytest.raises(UserError, match="large is a size of the vae: take medium"):
        training_form.model_overrides(*asked[:3], "large", *asked[4:])


def test_help_and_the_table_of_the_docs_have_it(installed):
    shown = distillgan("train", "--help").stdout
    assert re.search(r"^model: _trained, linear, vae$", shown, re.M) and "frames, harmonic, hifigan" in shown
    spec = importlib.util.spec_from_file_location("config_table", ROOT / "docs" / "config_table.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    table = script.table(installed / "distillgan_example" / "conf")
    assert "| `model` | `linear` | A linear latent model" in table and "| `vocoder` | `frames` |" in table


def test_settings_of_another_network_are_refused(installed, tmp_path, recordings):
    words = ["model=linear", "experiment=tiny", f"data.dir={recordings}", "name=no", "device=cpu"]
    done = distillgan("train", *words, DISTILLGAN_HOME=tmp_path)
    assert done.returncode == 2
    assert "model.module.network: the arguments ['blocks', 'channels', 'fine_channels'] are" in done.stderr


def test_it_grows_as_the_kind_that_it_is(installed, home, conf, recordings, tmp_path):
    copy_of(home, tmp_path)
    more = tmp_path / "more"
    more.mkdir()
    wave, rate = soundfile.read(recordings / "take1.wav")
    soundfile.write(more / "new.wav", wave[::-1], rate)
    words = ["experiment=mini", "extend=true", f"data.dir={more}", "name=tiny", "device=cpu", "model.module.lr=0"]
    done = distillgan("train", "--config-dir", conf, *words, "~callbacks.preview", DISTILLGAN_HOME=tmp_path)
    assert done.returncode == 0, done.stderr
    header = read_header(tmp_path / "models" / "tiny.distillgan")
    assert header.latent_model == {"name": "linear", **WROTE} and header.corpus["files"] == 7
    assert header.training["vae"]["extends"] == read_header(home / "models" / "tiny.distillgan").fingerprint


# --- without the package ----------------------------------------------------------------------------------------------


def test_a_model_of_a_kind_that_is_not_installed_is_refused_and_the_wheel_is_named(home, model):
    with pytest.raises(UserError) as refusal:
        Model.load(model, CPU)
    assert str(refusal.value) == (
        f"{model}: its latent model 'linear' was written with the package distillgan-example 1.2.3, which is not "
        "installed here: install it, if you trust its author"
    )
    done = distillgan("generate", "model=tiny", "duration=1", DISTILLGAN_HOME=home)
    assert done.returncode == 2 and "the package distillgan-example 1.2.3, which is not installed" in done.stderr
    done = distillgan("train", "model=linear", DISTILLGAN_HOME=home)
    assert done.returncode == 2 and "there is no model=linear" in done.stderr


def test_so_is_a_vocoder_of_such_a_kind_in_a_model_of_ours(trained, model, tmp_path):
    header, tensors = read_model(model, "vocoder.")
    mine = tmp_path / "mine.distillgan"
    copy_model(trained[0] / "models" / "tiny.distillgan", mine)
    replace_vocoder(mine, header.vocoder, header.training["vocoder"], tensors)
    with pytest.raises(
        UserError, match=r"mine.distillgan: its vocoder 'frames' was written with the package distillga"
    ):
        Model.load(mine, CPU)


def test_a_file_chooses_a_name_and_no_class(installed, model, tmp_path):
    odd = tmp_path / "odd.distillgan"
    for name in ("distillgan_example.linear:LinearModel", "json.tool", "this"):
        copy_model(model, odd, lambda header, name=name: replace(header, latent_model={"name": name}))
        with pytest.raises(UserError, match=re.escape(f"its latent model {name!r} is none that this version knows")):
            Model.load(odd, CPU)
    assert "this" not in sys.modules
    copy_model(model, odd, lambda header: replace(header, latent_model={"name": "linear", "distribution": "other"}))
    with pytest.raises(
        UserError, match="written with the package other; the one that is installed here comes from dis"
    ):
        Model.load(odd, CPU)


# --- what a package may claim -----------------------------------------------------------------------------------------


def declare(site: Path, package: str, group: str, *points: str) -> None:
    """The metadata of an installed package with these entry points."""
    folder = site / f"{package.replace('-', '_')}-0.1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(points) + "\n")


@pytest.mark.parametrize("name", ["hifigan", "vocos", "auto", "vae"])
def test_a_name_of_ours_is_kept(name, tmp_path, monkeypatch):
    declare(tmp_path, "distillgan-thief", VOCODERS, f"{name} = thief:Vocoder")
    monkeypatch.syspath_prepend(tmp_path)
    words = f"the package distillgan-thief brings a vocoder {name!r}, a name that distillgan keeps for itself"
    with pytest.raises(UserError, match=words):
        plugins.kinds(VOCODERS)
    done = distillgan("train", "vocoder=hifigan", f"paths.home={tmp_path}")
    assert done.returncode == 2 and words in done.stderr and "pip uninstall distillgan-thief" in done.stderr


def test_two_packages_with_one_name_and_names_that_no_folder_has(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    declare(tmp_path, "first", LATENT_MODELS, "choir = choir:Model")
    assert plugins.kinds(LATENT_MODELS) == ["vae", "choir"]
    declare(tmp_path / "other", "second", LATENT_MODELS, "choir = choir:Model")
    monkeypatch.syspath_prepend(tmp_path / "other")
    with pytest.raises(UserError, match=r"brings a latent model 'choir', and so does (first|second): uninstall one of"):
        plugins.kinds(LATENT_MODELS)
    declare(tmp_path / "odd", "third", VOCODERS, "../up = up:Vocoder")
    monkeypatch.syspath_prepend(tmp_path / "odd")
    with pytest.raises(UserError, match=r"package third brings a vocoder '\.\./up': a name has at most 40 letters"):
        plugins.kinds(VOCODERS)


def test_what_cannot_be_imported_or_is_something_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "broken_kind.py").write_text("import no_such_module_anywhere\n")
    points = ("gone = broken_kind:X", "path = pathlib:Path", "base = distillgan.models.base:Vocoder")
    declare(tmp_path, "odd", VOCODERS, *points)
    monkeypatch.syspath_prepend(tmp_path)
    for name, words in (
        ("gone", "the vocoder 'gone' of the package odd 0.1 cannot be imported: ModuleNotFoundError: No module named"),
        ("path", "pathlib:Path of the package odd is no vocoder of the name 'path': it must be a subclass of"),
        ("base", "of the package odd is no vocoder of the name 'base': it must be"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            plugins.load(VOCODERS, plugins.describe(VOCODERS, name), Vocoder)
    with pytest.raises(
        UserError, match=r"there is no vocoder 'choir'.* an entry point of the group distillgan.vocoders"
    ):
        plugins.describe(VOCODERS, "choir")


def test_the_built_in_kinds_are_declared_as_those_of_others_are():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert declared == plugins.BUILT_IN
    for group, contract in ((LATENT_MODELS, LatentModel), (VOCODERS, Vocoder)):
        for name in plugins.BUILT_IN[group]:
            assert plugins.load(group, plugins.describe(group, name), contract).name == name
