"""The `distillgan` command: verbs, flags, exit codes, and messages instead of tracebacks."""

import subprocess
import sys

import pytest
from cli_runner import distillgan
from omegaconf import OmegaConf

from distillgan.cli import main


def test_help_and_version():
    for arguments in ((), ("--help",), ("help",)):
        done = distillgan(*arguments)
        assert done.returncode == 0 and "train-vocoder" in done.stdout
    assert distillgan("--version").stdout.startswith("distillgan ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "no verb 'frobnicate'"),
        (["train-vocoder"], "wants the model's name"),
        (["train-vocoder", "nosuch"], "no run nosuch"),
        (["generate", "--model", "nosuch"], "no such model"),
        (["generate", "junk"], "'junk' is neither a flag"),
        (["train", "data=folder"], "add data.dir=PATH"),
        (["train", "--name"], "--name wants a value"),
    ],
)
def test_mistakes_are_told_in_words_with_exit_code_2(tmp_path, arguments, words):
    done = distillgan(*arguments, DISTILLGAN_HOME=tmp_path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_train_vocoder_finds_the_recordings_of_its_model(trained, recordings, tmp_path):
    done = distillgan(
        *("train", "--experiment", "tiny", "--data.dir", recordings, "--name", "own"), DISTILLGAN_HOME=tmp_path
    )
    assert done.returncode == 0, done.stderr
    done = distillgan("train-vocoder", "own", "--experiment", "tiny", DISTILLGAN_HOME=tmp_path)
    assert done.returncode == 0, done.stderr
    done = distillgan("generate", "--model", "own", "--duration", "0.3", DISTILLGAN_HOME=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "audio" / "own_seed1.wav").exists()


@pytest.mark.parametrize(
    ("noted", "kind"),
    [
        ("hifigan", "hifigan"),
        ("harmonic", "harmonic"),
        ("vocos", "harmonic"),
        ("bigvgan", "harmonic"),
        (None, "harmonic"),
    ],
)
def test_train_vocoder_goes_on_with_the_kind_that_the_run_has(tmp_path, noted, kind):
    (tmp_path / "runs" / "rain").mkdir(parents=True)
    note = {"data": {"dir": "/my rain"}, "vocoder": {"name": noted}}
    if noted in ("hifigan", "harmonic", "vocos"):
        note["vocoder"]["module"] = {"seed": 1}
    OmegaConf.save(OmegaConf.create(note), tmp_path / "runs" / "rain" / "config.yaml")
    overrides = main._vocoder_overrides(["rain", f"paths.home={tmp_path}"])
    assert f"vocoder={kind}" in overrides and "data.dir='/my rain'" in overrides
    assert not any(item.startswith("data.channels") for item in overrides)  # of a run from before there was a choice
    note["data"]["channels"] = "left"
    OmegaConf.save(OmegaConf.create(note), tmp_path / "runs" / "rain" / "config.yaml")
    assert "data.channels=left" in main._vocoder_overrides(["rain", f"paths.home={tmp_path}"])
    asked = main._vocoder_overrides(["rain", "--vocoder", "hifigan", f"paths.home={tmp_path}"])
    assert [item for item in asked if item.startswith("vocoder=")] == ["vocoder=hifigan"]


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_stop_a_training(recordings, tmp_path):
    command = [sys.executable, "-m", "distillgan.train", "experiment=tiny", f"data.dir={recordings}", "name=piped"]
    process = subprocess.Popen([*command, f"paths.home={tmp_path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(120) == 0, process.stderr.read()
    assert (tmp_path / "models" / "piped.distillgan").exists()


def test_a_folder_of_the_packages_name_in_the_current_one_is_not_taken_for_it(tmp_path):
    """A clone called distillgan, in the folder that one works in."""
    (tmp_path / "distillgan").mkdir()
    command = [sys.executable, "-c", "import distillgan; print(distillgan.load.__name__)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "load\n", done.stderr


def test_help_of_a_vocoders_training_is_that_of_a_training():
    done = distillgan("train-vocoder", "--help")
    assert done.returncode == 0 and "vocoder" in done.stdout
