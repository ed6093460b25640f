"""Where a vocoder's training starts, and which vocoder a model keeps."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import copy_of, tiny

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.modelfile import read_model, write_model
from distillgan.models.vocoders.harmonic import HarmonicGenerator
from distillgan.models.vocoders.hifigan import HiFiGANGenerator
from distillgan.models.vocoders.registry import packaged, read_weights
from distillgan.training.callbacks import load_checkpoint
from distillgan.training.pipeline import train

pytestmark = pytest.mark.slow

GENERATORS = {"hifigan": HiFiGANGenerator(upsample_initial_channel=32), "harmonic": HarmonicGenerator(channels=32)}


VOCODER = "stages=[vocoder]"


@pytest.fixture(scope="module")
def vae(tmp_path_factory, recordings):
    """A home with a model that has no vocoder yet."""
    home = tmp_path_factory.mktemp("vae")
    train(tiny(home, recordings))
    return home


@pytest.fixture
def home(vae, tmp_path):
    return copy_of(vae, tmp_path)


@pytest.fixture
def weights(tmp_path):
    """A file of weights for each kind, of the sizes that a tiny training has."""
    torch.manual_seed(3)
    for name, generator in GENERATORS.items():
        state = {key: torch.randn_like(value) * 0.05 for key, value in generator.export_state().items()}
        about = json.dumps({"name": name, "generator": generator.args, "mel": MelSpec().to_dict()})
        save_file(state, tmp_path / f"{name}.safetensors", metadata={"distillgan": about})
    return tmp_path


def vocoder_of(home) -> dict[str, torch.Tensor]:
    _, tensors = read_model(home / "models" / "tiny.distillgan", "vocoder.")
    return {key.removeprefix("vocoder."): value for key, value in tensors.items()}


@pytest.mark.parametrize("name", GENERATORS)
def test_it_starts_from_the_weights_of_a_file_at_a_lower_rate(home, weights, recordings, name, capsys):
    path = weights / f"{name}.safetensors"
    still = ["vocoder.init_rate=0", "vocoder.module.discriminator_learning_rate=0"]
    train(tiny(home, recordings, VOCODER, f"vocoder={name}", f"vocoder.init={path}", *still))
    assert f"M parameters, from {path}" in capsys.readouterr().out
    state = GENERATORS[name].export_state()
    for key, value in vocoder_of(weights).items():
        # At no rate at all the weights stay; weight norm splits and joins them on the way.
        assert (value - load_file(path)[key]).abs().max() < 1e-6, key
    assert vocoder_of(weights).keys() == state.keys()
    assert load_checkpoint(weights / "runs" / "tiny" / name / "last.ckpt")["rate"] == 0


def test_a_resumed_run_keeps_its_rate(home, weights, recordings, capsys):
    path = weights / "harmonic.safetensors"
    options = [VOCODER, "vocoder=harmonic"]
    train(tiny(home, recordings, *options, f"vocoder.init={path}", "vocoder.init_rate=0.25"))
    train(tiny(home, recordings, *options, "vocoder.max_steps=6"))
    assert "on from its last checkpoint" in capsys.readouterr().out
    checkpoint = load_checkpoint(weights / "runs" / "tiny" / "harmonic" / "last.ckpt")
    assert (checkpoint["rate"], checkpoint["steps_done"]) == (0.25, 6)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["vocoder=harmonic", "vocoder.init={folder}/harmonic.safetensors", "vocoder.channels=16"],
            "channels=32 there, 16 here",
        ),
        (["vocoder=hifigan", "vocoder.init=universal"], "there are none for hifigan: use vocoder.init=scratch"),
        (["vocoder=harmonic", "vocoder.init=universal"], "channels=256 there, 32 here"),
        (["vocoder=harmonic", "vocoder.init=nosuch.safetensors"], "nosuch.safetensors: there is no such file"),
        (["vocoder=harmonic", "vocoder.init={folder}/hifigan.safetensors"], "are those of another network: hifigan"),
        (
            ["vocoder=harmonic", "vocoder.init={folder}/harmonic.safetensors", "vocoder.init_rate=-1"],
            "vocoder.init_rate=-1",
        ),
        (
            ["vocoder=harmonic", "vocoder.init={folder}/harmonic.safetensors", "mel.f_max=16000"],
            "f_max=22050.0 there, 16000.0 here",
        ),
        (
            ["vocoder=hifigan", "vocoder.init={folder}/hifigan.safetensors", "mel.f_max=16000"],
            "the mel of the configuration",
        ),
    ],
)
def test_weights_that_do_not_belong_are_refused(home, weights, recordings, overrides, words):
    overrides = [override.format(folder=weights) for override in overrides]
    if "mel.f_max=16000" in overrides:  # a model of another mel
        overrides.append("resume=never")
    else:
        overrides.append(VOCODER)
    with pytest.raises(UserError, match=re.escape(words)):
        train(tiny(home, recordings, *overrides))


def test_without_a_word_about_it_the_start_is_told(home, recordings, capsys):
    train(tiny(home, recordings, VOCODER, "vocoder=harmonic"))
    said = "from scratch (the universal weights are those of another network: channels=256 there, 32 here"
    assert said in capsys.readouterr().out
    train(tiny(home, recordings, VOCODER, "vocoder=hifigan"))
    assert "from scratch (there are no universal weights for hifigan)" in capsys.readouterr().out


def test_by_itself_a_harmonic_starts_from_the_universal_weights(home, recordings, capsys):
    still = ["vocoder.channels=256", "vocoder.init_rate=0", "vocoder.module.discriminator_learning_rate=0"]
    train(tiny(home, recordings, VOCODER, "vocoder=harmonic", *still))
    assert "M parameters, from the universal weights" in capsys.readouterr().out
    expected = read_weights(packaged("harmonic")).tensors
    assert all(torch.equal(value, expected[key]) for key, value in vocoder_of(home).items())


def test_a_model_lends_its_vocoder(trained, home, tmp_path, recordings, capsys):
    model = trained[0] / "models" / "tiny.distillgan"
    still = ["vocoder.init_rate=0", "vocoder.module.discriminator_learning_rate=0"]
    train(tiny(home, recordings, VOCODER, "vocoder=hifigan", f"vocoder.init={model}", *still))
    lent = vocoder_of(trained[0])
    assert all((value - lent[key]).abs().max() < 1e-6 for key, value in vocoder_of(home).items())
    mute = tmp_path / "mute.distillgan"
    header, tensors = read_model(model, ("vae.", "latent."))
    write_model(mute, replace(header, vocoder=None, training=header.training | {"vocoder": None}), tensors)
    with pytest.raises(UserError, match="has no vocoder of its own to start from"):
        train(tiny(home, recordings, VOCODER, "vocoder=hifigan", f"vocoder.init={mute}", "resume=never"))


def test_a_better_vocoder_stays_unless_it_is_to_be_replaced(home, recordings, capsys):
    good = train(tiny(home, recordings, VOCODER, "vocoder=harmonic", "vocoder.max_steps=12"))
    kept = vocoder_of(home)
    worse = train(tiny(home, recordings, VOCODER, "vocoder=hifigan", "vocoder.max_steps=1"))
    assert worse > good
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"the model keeps its harmonic vocoder, whose error is {good:.3f}: vocoder.replace=true puts" in said
    after = vocoder_of(home)
    assert kept.keys() == after.keys() and all(torch.equal(kept[key], after[key]) for key in kept)
    train(tiny(home, recordings, VOCODER, "vocoder=hifigan", "vocoder.max_steps=1", "vocoder.replace=true"))
    header, _ = read_model(home / "models" / "tiny.distillgan")
    assert header.vocoder["name"] == "hifigan"
    assert train(tiny(home, recordings, VOCODER, "vocoder=harmonic", "vocoder.max_steps=12")) == good
    header, _ = read_model(home / "models" / "tiny.distillgan")
    assert header.vocoder["name"] == "harmonic"  # the better one needs no word


def test_weights_that_are_better_than_what_becomes_of_them_are_what_is_packed(home, recordings, capsys):
    spoil = ["vocoder.module.warm_learning_rate=0.5", "vocoder.init_rate=1", "vocoder.adversarial_from_step=99"]
    train(tiny(home, recordings, VOCODER, "vocoder=harmonic", "vocoder.channels=256", *spoil))
    assert "(of step 0)" in capsys.readouterr().out
    expected = read_weights(packaged("harmonic")).tensors
    assert all(torch.equal(value, expected[key]) for key, value in vocoder_of(home).items())


def test_the_vocoder_alone_begins_anew_and_the_model_stays(home, tmp_path, recordings, capsys):
    train(tiny(home, recordings, VOCODER, "vocoder=harmonic"))
    model = tmp_path / "models" / "tiny.distillgan"
    anew = ["vocoder=harmonic", "stages=[vocoder]", "resume=never"]
    with pytest.raises(UserError, match="segment_size=999424 must be a whole number from 1 to"):
        train(tiny(tmp_path, recordings, *anew, "vocoder.module.segment_size=999424"))
    assert model.exists() and not list((tmp_path / "runs").glob("*/*.old-*")), "refused before anything is moved"
    train(tiny(tmp_path, recordings, *anew, "vocoder.init=scratch"))
    assert "so far is kept as" in capsys.readouterr().out
    assert model.exists() and (tmp_path / "runs" / "tiny" / "harmonic.old-1" / "last.ckpt").exists()
    train(
        tiny(tmp_path, recordings, "vocoder=harmonic", "stages=[vocoder]", "vocoder.init=tiny", "vocoder.max_steps=5")
    )
    said = capsys.readouterr().out.replace("\n", " ")
    assert "(vocoder.init=tiny was for the beginning: resume=never begins anew)" in said
    train(tiny(tmp_path, recordings, *anew, "vocoder.init=tiny"))
    assert f"M parameters, from {model}" in capsys.readouterr().out.replace("\n", " ")
