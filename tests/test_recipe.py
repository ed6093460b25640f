"""What `generate` was told can be told again, and what a stranger's file says is never more than text."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from support import composed, requested

from distillgan.audio.tags import read_comment
from distillgan.cli import hydra_app
from distillgan.cli.serialization import arguments_of, with_overrides
from distillgan.errors import UserError
from distillgan.paths import RENAMED
from distillgan.synthesis.request import FORMATS, SPATIAL, ExportRequest, RenderRequest

TOLD = [
    ["model.name=rain", "duration=2.5", "seed=7", "path=chunk", "evolution=0.25", "source=prior", "vocoder=universal"],
    ["blend.models=['rain:60','wind:0:100 8:0']", "blend.mode=audio", "++controls.density='0:-5 8:7'"],
    ["spatial=stereo", "spatial.width=0.7", "export=flac", "export.depth=16", "export.artist='Zoë, \"ß\"'"],
    ["spatial=binaural", "spatial.azimuth=-45", "export=mp3", "export.mode=vbr", "export.quality=3"],
    ["recording='/a b/$x,[1]''s.wav'".replace("''", "\\'"), "export.file='{model} {seed:03}'", "preset='soft: rain'"],
]


@pytest.mark.parametrize("told", TOLD)
def test_settings_tell_the_same_again(tmp_path, told):
    request = requested(tmp_path, *told)
    settings = request.to_dict()
    again = hydra_app.composed("generate", [f"paths.home={tmp_path}", *arguments_of(settings)])
    assert RenderRequest.from_config(again) == request == replace(RenderRequest.from_dict(settings), home=request.home)
    assert with_overrides(request, []) == request


def test_what_is_given_goes_before():
    settings = {"seed": 3, "path": "chunk", "model": {"name": "rain"}, "controls": {"density": 2, "axis1": 1}}
    settings |= {"spatial": {"name": "stereo", "width": 0.5}, "export": {"name": "flac", "depth": 16}}
    given = ["seed=9", "++controls.density=-4", "spatial=binaural", "export.depth=24", "blend.models=['a:1','b:1']"]
    found = arguments_of(settings, given)
    of_flac = ["export.loudness='off'", "export.peak=null", "export.file=null", "export.overwrite=false"]
    of_flac += ["export.title=null", "export.artist=null", "export.album=null", "export.sample_rate=44100"]
    assert arguments_of({"controls": {"name": 1}})[0] == "++controls.name=1", "a slider, and no group's option"
    assert found == ["path='chunk'", "++controls.axis1=1", "export='flac'", *of_flac]


@pytest.mark.parametrize(
    "settings",
    [
        {"model": {"name": "${oc.env:HOME}"}},
        {"recording": "${oc.env:HOME}"},
        {"preset": "chunk,prior"},
        {"blend": {"models": ["${x}:1", "b'];seed=4:1"], "mode": "mel"}},
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
        ({"export": {"name": "wav", "_target_": "os.system"}}, "export._target_ is no setting of a sound"),
        ({"export": {"name": "wav", "format": {"_target_": "os.system"}}}, "export.format is no setting of a sound"),
        ({"export": {"name": "wav", "depth": {"_target_": "os.system"}}}, "is of no kind that can be set"),
        ({"export": {"name": "wav", "dept": 16}}, "export.dept is no setting of a sound: did you mean export.depth?"),
        ({"export": {"name": "wav", "quality": 3}}, "export.quality is no setting of a sound"),
        ({"export": {"name": "../wav"}}, "export='../wav' is no choice of export"),
        ({"spatial": {"name": ["stereo"]}}, "is no choice of spatial"),
        ({"spatial": "stereo"}, "spatial='stereo' must be a table"),
        ({"vocoder": "universal vocoder.pin=/x"}, "is no choice of vocoder"),
        ({"controls": {"a b": 1}}, "'a b' is no name of a setting"),
        ({"controls": {"a.b": 1}}, "'a.b' is no name of a setting"),
        ({"controls": {"density": "${oc.env:HOME}"}}, "controls.density=${oc.env:HOME} must be a number"),
        ({"path": "chunk,prior"}, "path=chunk,prior is no path: choose one of"),
        ({"controls": [1]}, "controls=[1] must name its sliders"),
        ({"seed": {"_target_": "os.system"}}, "seed={'_target_': 'os.system'} must be a whole number"),
        ({"blend": {"models": [{"_target_": "x"}]}}, "must list 2 to 4 models"),
        ({"blend": {"models": [{"_target_": "x"}, "b:1"]}}, "must be a model and its weight"),
        ({"device": "cpu hydra.run.dir=/x"}, "device='cpu hydra.run.dir=/x' must be one of"),
        ({"evolution": "much"}, "evolution=much must be a number from 0 to 1"),
        ({"model": {"name": 5}}, "model=5 must be a text"),
        ({"recording": ["a.wav"]}, "recording=['a.wav'] must be a text"),
        ({"durations": 3}, "durations is no setting of a sound: did you mean duration?"),
    ],
)
def test_what_is_no_setting_is_refused(settings, words):
    with pytest.raises(UserError) as refusal:
        RenderRequest.from_dict(settings)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"duration": 0}, "duration=0 must be a number from 0.1"),
        ({"count": 0}, "count=0 must be a whole number"),
        ({"seed": 1.5}, "seed=1.5 must be a whole number"),
        ({"spatial": "stereo"}, "spatial='stereo' must be of the class SpatialRequest"),
        ({"vocoder": "universal"}, "vocoder='universal' must be of the class VocoderRequest"),
        ({"export": {"name": "wav"}}, "export={'name': 'wav'} must be of the class ExportRequest"),
        ({"controls": {"density": True}}, "controls.density=True must be a number"),
    ],
)
def test_a_value_of_a_wrong_kind_is_refused_from_python_too(values, words):
    with pytest.raises(UserError) as refusal:
        RenderRequest(**values)
    assert words in str(refusal.value)


def test_a_file_name_of_unknown_fields_is_refused_before_anything_is_rendered():
    with pytest.raises(UserError, match=r"there is no field \{nosuch\}"):
        ExportRequest(file="{nosuch}")


def test_a_setting_that_hydra_does_not_know_is_refused_by_its_name(tmp_path):
    with pytest.raises(UserError, match="nosuch is no setting of a sound"):
        requested(tmp_path, "+nosuch=1")
    with pytest.raises(UserError, match=r"spatial\.colour is no setting of a sound"):
        requested(tmp_path, "+spatial.colour=1")


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("form", FORMATS)
def test_the_configuration_shows_the_defaults_of_the_requests(tmp_path, form, spatial):
    shown = RenderRequest.from_config(composed("generate", tmp_path, f"export={form}", f"spatial={spatial}"))
    meant = RenderRequest(export=ExportRequest(FORMATS[form]()), spatial=SPATIAL[spatial](), device="cpu")
    assert shown == replace(meant, home=shown.home)


OLD = Path(__file__).parent / "compat" / "0.1.0"


def kept() -> list[dict]:
    """What each preset, history entry and tag of the compatibility set says."""
    with closing(sqlite3.connect(f"file:{OLD / 'library.sqlite'}?immutable=1", uri=True)) as database:
        found = [json.loads(row[0]) for row in database.execute("SELECT settings FROM presets")]
        found += [json.loads(row[0])["settings"] for row in database.execute("SELECT account FROM generations")]
    sounds = [path for path in (OLD / "audio").iterdir() if path.suffix != ".json"]
    return found + [json.loads(read_comment(path))["settings"] for path in sounds]


def test_what_older_builds_kept_is_read_and_told_in_the_same_words():
    found = kept()
    assert len(found) >= 9
    for settings in found:
        told = RenderRequest.from_dict(settings).to_dict()
        assert RenderRequest.from_dict(told).to_dict() == told
        level = {"loudness": "off", "peak": None}  # there was none then
        expected = {**settings, "export": {**level, **settings["export"]}}
        if "vocoder" in settings:  # whole: in the same order, too
            expected["vocoder"] = RENAMED.get(settings["vocoder"], settings["vocoder"])
            assert json.dumps({**told, "export": None}) == json.dumps({**expected, "export": None})
        for key, value in expected.items():
            assert told[key] == ({**told[key], **value} if key == "export" else value)
