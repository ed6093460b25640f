"""Which vocoder plays: explicit choices are kept or refused, `auto` says why, and nothing is built twice."""

import re

import pytest
import torch
from hub import CHECKPOINT, small_release, write_pin
from huggingface_hub import constants

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.vocoders import registry as selecting
from distillgan.models.vocoders.bigvgan import BigVGANVocoder
from distillgan.models.vocoders.harmonic import HarmonicVocoder
from distillgan.models.vocoders.hifigan import HiFiGANGenerator, HiFiGANVocoder
from distillgan.models.vocoders.registry import Selected, select
from distillgan.paths import Home

SPEC = MelSpec()


@pytest.fixture(scope="module")
def own() -> HiFiGANVocoder:
    return HiFiGANVocoder(HiFiGANGenerator(upsample_initial_channel=32), SPEC)


@pytest.fixture(autouse=True)
def nothing_built_before():
    selecting._bigvgan.cache_clear()
    selecting._universal.cache_clear()


def chosen(tmp_path, name, own=None, spec=SPEC, weights_dir=None) -> Selected:
    pin = write_pin(tmp_path / "PIN", small_release())
    settings = {"name": name, "pin": str(pin), "weights_dir": weights_dir}
    return select(settings, "rain", own, spec, Home(tmp_path), torch.device("cpu"))


@pytest.mark.parametrize("name", ["auto", "hifigan"])
def test_the_models_own_comes_first_and_no_weights_are_sought(hub, tmp_path, own, name):
    selected = chosen(tmp_path, name, own)
    assert selected.vocoder is own and selected.name == "hifigan"
    assert selected.reason == ("the model's own" if name == "auto" else "as asked for")
    assert not hub.requests


def test_an_explicit_choice_is_kept(hub, tmp_path, own):
    selected = chosen(tmp_path, "bigvgan", own)
    assert isinstance(selected.vocoder, BigVGANVocoder)
    assert (selected.name, selected.reason) == ("bigvgan", "as asked for")


def test_auto_without_an_own_one_fetches_the_universal_one_and_says_so(hub, tmp_path):
    first = chosen(tmp_path, "auto")
    assert isinstance(first.vocoder, BigVGANVocoder)
    assert first.reason == "model rain has no vocoder of its own, and BigVGAN's weights were fetched"
    asked = len(hub.requests)
    assert chosen(tmp_path, "auto").reason == "model rain has no vocoder of its own, and BigVGAN's weights are here"
    assert len(hub.requests) == asked


def test_built_once_a_process(hub, tmp_path, monkeypatch):
    first = chosen(tmp_path, "bigvgan")
    monkeypatch.setattr(BigVGANVocoder, "from_files", None)
    assert chosen(tmp_path, "bigvgan").vocoder is first.vocoder
    assert chosen(tmp_path, "auto").vocoder is first.vocoder


def test_no_own_one_is_no_reason_to_take_another(hub, tmp_path):
    with pytest.raises(UserError, match=r"rain has no vocoder of its own yet: .*distillgan train-vocoder rain"):
        chosen(tmp_path, "hifigan")
    assert not hub.requests


def test_where_bigvgan_cannot_be_had_the_small_universal_one_plays_and_says_why(hub, tmp_path, own, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    selected = chosen(tmp_path, "auto")
    assert isinstance(selected.vocoder, HarmonicVocoder) and selected.name == "universal"
    assert re.fullmatch(
        r"model rain has no vocoder of its own, and BigVGAN cannot play: config.json could not be fetched: "
        r"HF_HUB_OFFLINE is set.*",
        selected.reason,
    )
    assert chosen(tmp_path, "auto").vocoder is selected.vocoder, "built once a process"
    with pytest.raises(UserError, match=r"(?s)^config.json could not be fetched"):
        chosen(tmp_path, "bigvgan", own)
    assert chosen(tmp_path, "auto", own).vocoder is own


def test_another_own_one_is_not_taken(hub, tmp_path, own):
    with pytest.raises(UserError, match=r"has hifigan of its own, not harmonic: train one .*vocoder=harmonic"):
        chosen(tmp_path, "harmonic", own)


def test_the_universal_one_by_name(hub, tmp_path, own):
    selected = chosen(tmp_path, "universal", own)
    assert (selected.name, selected.reason) == ("universal", "as asked for") and not hub.requests
    with pytest.raises(UserError, match="the mel of the model and of the universal vocoder differ"):
        chosen(tmp_path, "universal", spec=MelSpec(f_max=16000))


def test_a_folder_that_lacks_a_file(hub, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    assert f"weights_dir={folder}: there is no config.json" in chosen(tmp_path, "auto", weights_dir=str(folder)).reason
    (folder / "config.json").write_bytes(small_release()["config.json"])
    with pytest.raises(UserError, match=rf"there is no {CHECKPOINT}"):
        chosen(tmp_path, "bigvgan", weights_dir=str(folder))


@pytest.mark.parametrize("value", ["", " ", True, [1], "a\0b", "~nosuchuser/x", 1.5])
@pytest.mark.parametrize("key", ["pin", "weights_dir"])
def test_paths_that_are_none(tmp_path, key, value):
    settings = {"name": "bigvgan", "pin": None, "weights_dir": None, key: value}
    with pytest.raises(UserError, match=f"vocoder.{key}="):
        select(settings, "rain", None, SPEC, Home(tmp_path), torch.device("cpu"))


@pytest.mark.parametrize("name", [None, "griffinlim", "Auto", "experiments.yardsticks:griffin_lim"])
def test_other_names(tmp_path, own, name):
    with pytest.raises(UserError, match=re.escape(f"vocoder={name or 'none'} cannot play: choose one of auto, ")):
        chosen(tmp_path, name, own)


def test_a_release_for_another_mel(hub, tmp_path):
    with pytest.raises(UserError, match="was made for another mel"):
        chosen(tmp_path, "bigvgan", spec=MelSpec(f_max=16000))
