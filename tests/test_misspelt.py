"""Settings that Hydra refuses: the right one is named, in one line and with exit code 2."""

import pytest
from cli_runner import call

from distillgan.cli import hydra_app
from distillgan.errors import UserError


def words(name: str, *overrides: str) -> str:
    with pytest.raises(UserError) as refused:
        hydra_app.composed(name, list(overrides))
    text = str(refused.value)
    assert "\n" not in text and "http" not in text
    return text


@pytest.mark.parametrize(
    ("name", "override", "right"),
    [
        ("train", "model.latent_dims=3", "model.latent_dim"),
        ("train", "latent_dim=3", "model.latent_dim"),
        ("train", "batch_size=3", "data.batch_size"),
        ("train", "vocodr=hifigan", "vocoder"),
        ("train", "serach=vae", "search"),
        ("train", "experimnt=tiny", "experiment"),
        ("train", "hydra.swep.dir=x", "hydra.sweep.dir or hydra.sweep.subdir"),
        ("train", "~data.augment.gain", "data.augment.gain_db or data.augment"),
        ("generate", "durations=3", "duration"),
        ("generate", "modl=rain", "model"),
        ("evaluate", "modle.name=rain", "model.name"),
        ("ui", "port=1", "ui.port"),
        ("controls", "paths.hme=x", "paths.home"),
        ("weights", "vocoder.wights_dir=x", "vocoder.weights_dir"),
        ("export_vocoder", "formt=onnx", "format"),
    ],
)
def test_a_misspelt_setting_is_told_the_right_one(name, override, right):
    key = override.partition("=")[0].lstrip("~")
    verb = name.replace("_", "-")
    assert words(name, override) == f"{verb} has no setting {key}: did you mean {right}? --help lists all"


def test_what_is_like_nothing_is_pointed_to_the_list():
    assert words("generate", "xyzzy.foo=1") == "generate has no setting xyzzy.foo. --help lists all"
    assert words("generate", "trainer=cpu") == "generate has no setting trainer. --help lists all"


@pytest.mark.parametrize(
    ("name", "override", "told"),
    [
        (
            "train",
            "vocoder=hifgan",
            "did you mean hifigan? There are auto, bigvgan, harmonic, hifigan, none, universal",
        ),
        ("train", "experiment=tinny", "did you mean tiny? There are "),
        ("train", "data=null", "there are demo, folder"),
        ("generate", "spatial=binural", "did you mean binaural? There are binaural, mono, stereo"),
        ("generate", "export=aiff", "there are flac, mp3, ogg, wav"),
    ],
)
def test_a_misspelt_choice_is_told_which_there_are(name, override, told):
    assert words(name, override).startswith(f"there is no {override}: {told}")


@pytest.mark.parametrize(
    ("name", "key", "told"),
    [
        (
            "train",
            "vocoder.discriminators.width",
            "is a setting of vocoder=harmonic and vocoder=hifigan, and here is vocoder=none: add vocoder=harmonic",
        ),
        (
            "generate",
            "spatial.azimuth",
            "is a setting of spatial=binaural, and here is spatial=mono: add spatial=binaural",
        ),
        (
            "generate",
            "export.quality",
            "is a setting of export=mp3 and export=ogg, and here is export=wav: add export=mp3",
        ),
    ],
)
def test_a_setting_of_another_choice_is_told_which(name, key, told):
    assert words(name, f"{key}=1") == f"{key} {told}"


def test_misspelt_and_of_another_choice():
    assert "did you mean spatial.azimuth (with spatial=binaural)?" in words("generate", "spatial.azimut=3")
    assert "did you mean vocoder.discriminators.width?" in words(
        "train", "vocoder=hifigan", "seed=3", "vocoder.discriminator.width=1"
    )


def test_what_is_added_by_hydras_own_sign_stays_and_what_is_there_is_not_added():
    config = hydra_app.composed("train", ["+colour=blue", "++shade.of=grey"])
    assert config.colour == "blue" and config.shade.of == "grey"
    assert words("train", "+seed=3") == "+seed=3: seed is there already, leave out the +"
    assert words("train", "+experiment=tiny") == "+experiment=tiny: experiment is there already, leave out the +"


@pytest.mark.parametrize("override", ["data.dir='a", "model.latent_dim=[3", "spatial=stereo,mono,"])
def test_what_cannot_be_read_is_told(override):
    assert words("train", override).startswith(f"{override} cannot be read (")


@pytest.mark.parametrize(
    ("module", "arguments", "told"),
    [
        ("distillgan.generate", ["--durations", "3"], "generate has no setting durations: did you mean duration?"),
        ("distillgan.train", ["seed=1,2"], "seed=1,2"),
        ("distillgan.cli.main", ["weights", "--wher"], "weights has no setting wher: did you mean where?"),
    ],
)
def test_the_commands_say_so(tmp_path, module, arguments, told):
    done = call(module, *arguments, cwd=tmp_path, DISTILLGAN_HOME=tmp_path / "home")
    assert done.returncode == hydra_app.EXIT_USER_ERROR, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and told in done.stderr
    assert not (tmp_path / "home").exists(), "nothing was begun"
