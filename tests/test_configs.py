"""Every file of conf/ is composed, and what it describes is built and run tiny; a file that nothing runs is found."""

import functools
import json

import hydra
import pytest
import torch
import yaml
from cli_runner import call
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from served import Server
from support import composed, evaluation, requested, tiny

from distillgan.audio.mel import MelSpec
from distillgan.cli.commands.engine_commands import controls, export, weights
from distillgan.errors import UserError
from distillgan.evaluation.tasks import evaluate
from distillgan.models.modelfile import read_model
from distillgan.paths import conf_dir
from distillgan.synthesis.generation import generate
from distillgan.training.pipeline import train

CONF = conf_dir()
FILES = {path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.rglob("*.yaml")}

# Each is a run. Of an experiment the sizes alone are those of `tiny`; the device is the CPU.
TRAININGS = (
    "experiment=tiny data=demo",
    "experiment=[drums,tiny] data=folder vocoder=harmonic trainer=cpu",
    "experiment=[textures,tiny] vocoder=universal",
    "experiment=[instrument,tiny] vocoder=auto",
    "experiment=[handful,tiny] vocoder=bigvgan",
    "experiment=[laptop,tiny] vocoder=none",
    "experiment=[large,tiny] trainer=ddp",
    "experiment=[gpu,tiny] vocoder=hifigan trainer=default",
)
GENERATIONS = (
    "export=wav spatial=mono vocoder=auto",
    "export=flac spatial=stereo vocoder=hifigan",
    "export=ogg spatial=binaural vocoder=universal",
    "export=mp3 spatial=mono",
)
# Run where such a device is, and refused in words elsewhere.
DEVICES = {"device=cuda": "cuda", "device=mps": "mps", "trainer=gpu": "cuda", "trainer=mps": "mps"}
DEVICES |= {"experiment=[gpu,tiny]": "cuda"}
ENTRIES = {"train", "generate", "evaluate", "controls", "export_vocoder", "weights", "ui"}  # the tests below


def chosen(runs: dict[str, tuple[str, ...]]) -> set[str]:
    """The files of conf/ that the runs choose: group/option, and with it the files of its own defaults list."""
    found = set()
    for entry, lines in runs.items():
        for line in lines:
            with hydra.initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
                config = hydra.compose(entry, line.split(), return_hydra_config=True)
            found |= {f"{group}/{option}" for group, option in config.hydra.runtime.choices.items()}
            parsed = OverridesParser.create().parse_overrides(line.split())
            found |= {f"{item.key_or_group}/{one}" for item in parsed for one in _each(item.value())}
    for name in sorted(found & FILES):
        listed = yaml.safe_load((CONF / f"{name}.yaml").read_text()).get("defaults", [])
        found |= {f"{name.rpartition('/')[0]}/{item.partition('@')[0]}" for item in listed if isinstance(item, str)}
    return found


def _each(value: object) -> list:
    return value if isinstance(value, list) else [value]


@functools.cache
def covered() -> set[str]:
    return ENTRIES | chosen({"train": (*TRAININGS, *DEVICES), "generate": GENERATIONS, "weights": ("",)})


def uncovered(files: set[str]) -> list[str]:
    """The files that no run of this file chooses, and no other test names as an override, group=option."""
    tests = "".join(path.read_text("utf-8") for path in (CONF.parent / "tests").rglob("test_*.py"))
    left = files - covered()
    return sorted(name for name in left if "/" not in name or "=".join(name.rsplit("/", 1)) not in tests)


def test_every_file_of_conf_is_run_by_a_test():
    assert uncovered(FILES) == [], "add a run to TRAININGS or GENERATIONS, or a test of an entry to ENTRIES"


def test_a_file_that_no_test_runs_is_found():
    new = {"sing", "export/opus", "data/_new", "hydra/launcher/abacus", "choir/large"}
    assert uncovered(FILES | new) == sorted(new)


@pytest.mark.parametrize("name", sorted(name for name in FILES if "/" not in name))
def test_each_entry_composes(name, tmp_path):
    assert OmegaConf.to_container(composed(name, tmp_path), resolve=True)


@pytest.mark.parametrize("line", TRAININGS)
def test_each_training_runs_tiny(line, tmp_path, recordings):
    steps = ["model.max_steps=2"] + ["vocoder.max_steps=2"] * ("harmonic" in line or "hifigan" in line)
    assert train(tiny(tmp_path, recordings, *line.split(), *steps)) > 0
    header, _ = read_model(tmp_path / "models" / "tiny.distillgan", "vae.")
    config = OmegaConf.load(tmp_path / "runs" / "tiny" / "config.yaml")
    assert header.vae["stride"] == config.model.module.network.stride == (4 if "drums" in line else 8)
    assert (header.vocoder or {}).get("name") == next((own for own in ("harmonic", "hifigan") if own in line), None)


@pytest.mark.parametrize("line", GENERATIONS)
def test_each_generation_runs_tiny(line, home):
    (made,) = generate(requested(home, "duration=0.2", *line.split()))
    assert made.path.suffix == f".{line.partition(' ')[0].partition('=')[2]}" and made.path.stat().st_size > 1000


@pytest.mark.parametrize(("line", "kind"), DEVICES.items())
def test_a_device_is_taken_where_it_is_and_else_refused_in_words(line, kind, tmp_path, recordings):
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[kind]
    overrides = [f"paths.home={tmp_path}", f"data.dir={recordings}", "name=tiny", "experiment=tiny", line]
    with hydra.initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        config = hydra.compose("train", overrides)
    assert config.device.name == kind
    if there:
        assert train(config) > 0
    else:
        remedy = "use another trainer=, or none" if config.trainer.device else "use device=auto or device=cpu"
        with pytest.raises(UserError, match=f"device={kind} was asked for, but PyTorch .* sees none .*: {remedy}"):
            train(config)


@pytest.fixture
def home(trained, tmp_path):
    """A home of its own with the trained model in it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.distillgan").write_bytes((trained[0] / "models" / "tiny.distillgan").read_bytes())
    return tmp_path


def test_bigvgan_without_its_weights_says_the_remedy(home):
    (home / "none").mkdir()
    with pytest.raises(UserError, match=r"there is no config\.json of [\s\S]*weights_dir=PATH"):
        generate(requested(home, "vocoder=bigvgan", f"vocoder.weights_dir={home / 'none'}"))


def test_no_vocoder_cannot_play(home):
    with pytest.raises(UserError, match="vocoder=none cannot play: choose one of auto"):
        generate(requested(home, "vocoder=none"))


def test_evaluate_controls_export_and_weights_run_tiny(home, recordings, hub, capsys):
    assert evaluate(evaluation(home, f"data.dir={recordings}"))["files"]
    assert controls(composed("controls", home))
    assert export(composed("export_vocoder", home, "format=torchscript")).stat().st_size > 1000
    capsys.readouterr()
    weights(composed("weights", home))
    assert "not here" in capsys.readouterr().out and not hub.requests


@pytest.mark.slow
def test_the_page_answers(tmp_path):
    pytest.importorskip("gradio")
    server = Server(tmp_path)
    assert server.ask("/")[0] == 200
    assert server.stop() == 143


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


@pytest.mark.slow
def test_a_sweep_makes_a_model_a_job_and_a_table(tmp_path, recordings):
    """A job that fails is a row and ends nothing; the same command again runs only what is missing."""
    command = ["distillgan.train", "-m", "experiment=tiny", "model.latent_dim=4,-1,6", "name=grid", "--device", "cpu"]
    command += [f"--data.dir={recordings}", "--paths.home", tmp_path, "model.max_steps=2", "~callbacks.preview"]
    done = call(*command)
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
    again = call(*command)
    assert again.stdout.count("done already") == 2 and again.returncode == 1
    assert [*(tmp_path / "sweeps").iterdir()] == [folder]
