"""What `generate` was told can be told again, and what a stranger's file says is never more than text."""

import pytest
from omegaconf import OmegaConf
from support import composed

from distillgan.cli import hydra_app
from distillgan.cli.serialization import arguments_of
from distillgan.errors import UserError
from distillgan.synthesis.generation import settings_of

TOLD = [
    ["model.name=rain", "duration=2.5", "seed=7", "path=chunk", "evolution=0.25", "source=prior", "vocoder=universal"],
    ["blend.models=['rain:60','wind:0:100 8:0']", "blend.mode=audio", "++controls.density='0:-5 8:7'"],
    ["spatial=stereo", "spatial.width=0.7", "export=flac", "export.depth=16", "export.artist='Zoë, \"ß\"'"],
    ["spatial=binaural", "spatial.azimuth=-45", "export=mp3", "export.mode=vbr", "export.quality=3"],
    ["recording='/a b/$x,[1]''s.wav'".replace("''", "\\'"), "export.file='{model} {seed:03}'", "preset='soft: rain'"],
]


@pytest.mark.parametrize("told", TOLD)
def test_settings_tell_the_same_again(tmp_path, told):
    config = composed("generate", tmp_path, *told)
    settings = settings_of(config)
    again = hydra_app.composed("generate", [f"paths.home={tmp_path}", *arguments_of(settings)])
    assert again == config and settings_of(again) == settings


def test_what_is_given_goes_before():
    settings = {"seed": 3, "path": "chunk", "model": {"name": "rain"}, "controls": {"density": 2, "axis1": 1}}
    settings |= {"spatial": {"name": "stereo", "width": 0.5}, "export": {"name": "flac", "depth": 16}}
    given = ["seed=9", "++controls.density=-4", "spatial=binaural", "export.depth=24", "blend.models=['a:1','b:1']"]
    found = arguments_of(settings, given)
    assert found == ["path='chunk'", "export=flac", "++controls.axis1=1"]


@pytest.mark.parametrize(
    "settings",
    [
        {"model": {"name": "${oc.env:HOME}"}},
        {"recording": "${oc.env:HOME}"},
        {"path": "chunk,prior"},
        {"blend": {"models": ["${oc.env:HOME}:1", "b'];seed=4:1"], "mode": "mel"}},
        {"controls": {"density": "${oc.env:HOME}"}},
        {"export": {"name": "wav", "artist": 'a\' b="c" ${x} \\'}},
    ],
)
def test_texts_stay_texts(tmp_path, settings):
    config = hydra_app.composed("generate", [f"paths.home={tmp_path}", *arguments_of(settings)])
    plain = OmegaConf.to_container(config, resolve=True)
    for key, value in settings.items():
        assert plain[key] == ({**plain[key], **value} if isinstance(value, dict) else value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"export": {"name": "wav", "_target_": "os.system"}}, "'_target_' is no name of a setting"),
        ({"export": {"name": "wav", "format": {"_target_": "os.system"}}}, "is of no kind that can be set"),
        ({"export": {"name": "../wav"}}, "export='../wav' is no choice of export"),
        ({"spatial": {"name": ["stereo"]}}, "is no choice of spatial"),
        ({"spatial": "stereo"}, "spatial='stereo' must be a table"),
        ({"vocoder": "universal vocoder.pin=/x"}, "is no choice of vocoder"),
        ({"controls": {"a b": 1}}, "'a b' is no name of a setting"),
        ({"controls": {"a.b": 1}}, "'a.b' is no name of a setting"),
        ({"seed": {"_target_": "os.system"}}, "is of no kind that can be set"),
        ({"blend": {"models": [{"_target_": "x"}]}}, "is of no kind that can be set"),
        ({"device": "cpu hydra.run.dir=/x"}, "device='cpu hydra.run.dir=/x' must be one of"),
    ],
)
def test_what_is_no_setting_is_refused(settings, words):
    with pytest.raises(UserError) as refusal:
        arguments_of(settings)
    assert words in str(refusal.value)


def test_a_setting_that_does_not_exist_is_refused_by_its_name(tmp_path):
    with pytest.raises(UserError, match="nosuch"):
        hydra_app.composed("generate", arguments_of({"export": {"name": "wav", "nosuch": 1}}))
