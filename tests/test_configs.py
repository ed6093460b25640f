"""Every file of conf/ composes, and what it describes is built and run tiny."""

import json
import subprocess
import sys

import hydra
import pytest
from omegaconf import OmegaConf
from support import composed, tiny

from distillgan.audio.mel import MelSpec
from distillgan.paths import conf_dir
from distillgan.train import train

GROUPS = {folder.name for folder in conf_dir().iterdir() if folder.is_dir()}
OPTIONS = sorted((group, path.stem) for group in GROUPS for path in (conf_dir() / group).glob("[!_]*.yaml"))
ELSEWHERE = {("trainer", "gpu"), ("trainer", "mps")}  # run where such a device is
TRAIN_GROUPS = {"data", "mel", "model", "vocoder", "trainer", "device", "callbacks", "logger", "experiment"}


def test_every_group_is_known_to_these_tests():
    assert TRAIN_GROUPS | {"export", "spatial", "paths", "hydra"} == GROUPS


@pytest.mark.parametrize("name", sorted(path.stem for path in conf_dir().glob("*.yaml")))
def test_each_entry_composes(name, tmp_path):
    assert OmegaConf.to_container(composed(name, tmp_path), resolve=True)


@pytest.mark.parametrize(
    ("group", "option"), [o for o in OPTIONS if o[0] in TRAIN_GROUPS - {"device"} and o not in ELSEWHERE]
)
def test_each_option_of_a_training_runs_tiny(group, option, tmp_path, recordings):
    overrides = [f"{group}={option}"]
    if group == "vocoder":
        overrides.append("vocoder.max_steps=2")
    train(tiny(tmp_path, recordings, "model.max_steps=2", *overrides))
    assert (tmp_path / "models" / "tiny.distillgan").exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in (conf_dir() / "device").glob("*.yaml")))
def test_each_device_is_one_that_the_code_knows(name, tmp_path):
    assert composed("train", tmp_path, f"device={name}").device.name == name
    assert name in ("auto", "cpu", "cuda", "mps")


@pytest.mark.parametrize(("option", "device"), [("cpu", "cpu"), ("gpu", "cuda"), ("mps", "mps")])
def test_trainers_of_a_device_choose_it_and_it_may_be_said_again(option, device, tmp_path):
    for said in ([], [f"device={device}"]):
        with hydra.initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
            config = hydra.compose("train", overrides=[f"trainer={option}", *said])
        assert config.device.name == config.trainer.device == device
        assert config.trainer.validate_every == composed("train", tmp_path).trainer.validate_every


def test_mel_defaults_are_those_of_the_configuration(tmp_path):
    assert MelSpec(**composed("train", tmp_path).mel) == MelSpec()


def test_default_networks_have_the_sizes_promised(tmp_path):
    config = composed("train", tmp_path, "vocoder=hifigan", "model.max_steps=1", "data.batch_size=1")
    config.vocoder.max_steps = 1
    vae = hydra.utils.instantiate(config.model.module, spec=MelSpec().to_dict(), _convert_="all")
    assert 5.5e6 < sum(p.numel() for p in vae.network.parameters()) < 6.6e6
    generator = hydra.utils.instantiate(config.vocoder.generator, _convert_="all")
    assert 0.95e6 < sum(p.numel() for p in generator.parameters()) < 0.99e6


def test_misspelt_key_is_refused(tmp_path):
    with pytest.raises(hydra.errors.ConfigCompositionException):
        composed("train", tmp_path, "model.latent_dims=3")


def test_a_sweep_makes_a_model_a_job_and_a_table(tmp_path, recordings):
    """A job that fails is a row and ends nothing; the same command again runs only what is missing."""
    command = [
        *(sys.executable, "-m", "distillgan.train", "-m", "experiment=tiny", "model.latent_dim=4,-1,6", "name=grid"),
        *("--device", "cpu", f"--data.dir={recordings}", "--paths.home", str(tmp_path), "model.max_steps=2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "2 done, 1 failed" in done.stdout, done.stdout + done.stderr
    models = sorted(path.stem for path in (tmp_path / "models").glob("*.distillgan"))
    assert len(models) == 2 and all(name.startswith("grid_") for name in models)
    assert any("latent_dim-4" in name for name in models) and any("latent_dim-6" in name for name in models)
    (folder,) = (tmp_path / "sweeps").iterdir()
    rows = json.loads((folder / "table.json").read_text())
    assert {row["model"] for row in rows[:2]} == set(models) and rows[0]["error"] <= rows[1]["error"]
    assert rows[2]["model.latent_dim"] == "-1" and "must be a whole number" in rows[2]["reason"]
    assert all(row["seconds"] > 0 and row["peak_mb"] > 100 and row["kl_nats"] > 0 for row in rows[:2])
    assert {"table.md", "table.csv", "table.png"} <= {path.name for path in folder.iterdir()}
    assert (folder / "table.md").read_text().startswith("| model.latent_dim | error |"), "what is the same is left out"
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.stdout.count("done already") == 2 and again.returncode == 1
    assert [*(tmp_path / "sweeps").iterdir()] == [folder]
