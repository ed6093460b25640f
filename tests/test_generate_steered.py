"""`generate` with sliders, paths and blends, on models made by hand: what is written beside the sound, and refusals."""

import json

import numpy as np
import pytest
import soundfile
from crafted import RATE, write_crafted
from hub import write_pin
from support import requested

from distillgan.errors import UserError
from distillgan.synthesis.generation import generate


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_crafted(folder, "wind", seed=1, stride=4, sliders=("density",), halves=("reverb",))
    write_crafted(folder, "rain", sliders=("brightness", "density"))
    return folder


@pytest.fixture
def home(models, tmp_path):
    (tmp_path / "models").symlink_to(models)
    return tmp_path


def made(home, *overrides) -> tuple[np.ndarray, dict]:
    """What one call of generate wrote: the sound and the account of it."""
    before = set((home / "audio").glob("*"))
    generate(requested(home, *overrides))
    new = {path.suffix: path for path in set((home / "audio").glob("*")) - before}
    assert set(new) == {".wav", ".png", ".json"} and len({path.stem for path in new.values()}) == 1
    return soundfile.read(new[".wav"])[0], json.loads(new[".json"].read_text())


def test_controls_reach_the_model_and_the_account(home, capsys):
    still, plain = made(home, "model.name=rain", "vocoder=hifigan", "duration=2")
    moved, account = made(
        home, "model.name=rain", "vocoder=hifigan", "duration=2", "++controls.brightness=7", "++controls.axis1=-40"
    )
    assert np.abs(moved - still).max() > 0.05
    assert plain["models"][0]["controls"] == {}
    assert account["models"] == [{**plain["models"][0], "controls": {"brightness": 7, "axis1": -12}}]
    printed = capsys.readouterr().out
    assert "warning: controls.axis1=-40 is clamped to -12 … 12: rain goes no further" in printed
    assert printed.count("clamped") == 1


def test_the_account_is_enough_to_make_the_sound_again(home):
    """The keys that are asked for, read back from the account of another call."""
    asked = ["model.name=rain", "vocoder=hifigan", "duration=1.2345", "seed=77", "path=chunk", "evolution=0.25"]
    wave, account = made(home, *asked, "source=prior", "++controls.density='0:-5 1:7'")
    assert account["duration"] == pytest.approx(1.2345, abs=1e-4) and account["seconds"] == len(wave) / RATE
    assert not account["interrupted"] and account["vocoder"] == "hifigan" and account["sample_rate"] == RATE
    assert set(account["versions"]) == {"distillgan", "torch"} and len(account["models"][0]["fingerprint"]) > 10
    (model,) = account["models"]
    again = [f"{key}={account[key]}" for key in ("seed", "path", "evolution", "source", "duration", "vocoder")]
    again += [f"model.name={model['name']}", *(f"++controls.{name}='{at}'" for name, at in model["controls"].items())]
    assert np.array_equal(made(home, *again)[0], wave)


def test_the_check_of_the_sound_is_in_the_account_and_printed(home, capsys):
    wave, account = made(home, "model.name=rain", "vocoder=hifigan", "duration=3")
    check = account["check"]
    assert check["finite"] and check["peak_db"] == pytest.approx(20 * np.log10(np.abs(wave).max()), abs=1.1)
    assert check["descriptors"]["brightness"] > 500
    assert check["outside"], "a random network sounds like no recordings"
    printed = capsys.readouterr().out
    for name, words in check["outside"].items():
        assert f"  outside of the recordings: {name}, {words}\n" in printed
    for words in check["warnings"]:
        assert f"  warning: {words}\n" in printed


def test_count_gives_each_seed_its_account(home):
    generate(requested(home, "model.name=wind", "vocoder=hifigan", "duration=0.3", "seed=5", "count=3"))
    names = sorted(path.name for path in (home / "audio").glob("*.json"))
    assert names == ["wind_seed5.json", "wind_seed6.json", "wind_seed7.json"]
    assert [json.loads((home / "audio" / name).read_text())["seed"] for name in names] == [5, 6, 7]


def test_a_blend_by_its_own_name_through_one_vocoder(home, capsys):
    wave, account = made(home, "blend.models=['rain:60','wind:0:0 1:40']", "duration=2", "++controls.brightness=5")
    assert len(wave) == 2 * RATE and wave.std() > 1e-3
    assert [(m["name"], m["weight"]) for m in account["models"]] == [("rain", 60), ("wind", "0:0 1:40")]
    assert account["blend_mode"] == "mel" and account["vocoder"] != "hifigan" and account["check"]["outside"] == {}
    assert (home / "audio" / "rain_wind_seed1.wav").exists()
    printed = capsys.readouterr().out
    assert "warning: controls.brightness: inactive in model wind" in printed and "model rain + wind on" in printed


def test_a_blend_of_long_names_gets_a_file(home, models, tmp_path):
    names = [letter * 79 for letter in "abcd"]
    (tmp_path / "more").mkdir()
    words = [f"{write_crafted(tmp_path / 'more', name, seed=n, own=False)}:1" for n, name in enumerate(names)]
    wave, account = made(home, f"blend.models={words}", "duration=0.2", "blend.mode=audio")
    assert len(wave) == round(0.2 * RATE) and [m["name"] for m in account["models"]] == names
    assert account["blend_mode"] == "audio"


def test_a_recording_is_accounted_for(home, recordings):
    for form in ([], ["path=reconstruct"]):
        recording = recordings / "take2.wav"
        wave, account = made(home, "model.name=rain", f"recording={recording}", "++controls.density=-8", *form)
        assert len(wave) == soundfile.info(recording).frames
        assert (account["path"], account["recording"], account["seed"]) == ("reconstruct", "take2.wav", None)
        assert account["models"][0]["controls"] == {"density": -8}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["++controls.loudness=3"],
            "loudness: model rain has no such slider. Its active ones are brightness, density",
        ),
        (
            ["++controls.warmth=3"],
            "warmth: inactive in model rain: moved from -10 to 10 .*are brightness, density",
        ),
        (["++controls.brightness=loud"], "controls.brightness=loud must be a number, or breakpoints"),
        (["++controls.brightness='8:1 0:2'"], "the seconds of its breakpoints must begin at 0 or later, and rise"),
        (["++controls.brightness=[1,2]"], "controls.brightness=.1, 2. must be a number, or breakpoints"),
        (["++controls=3"], "controls=3 must name its sliders"),
        (["path=zigzag"], "path=zigzag is no path: choose one of chunk, crossfade, interpolate, reconstruct"),
        (["path=reconstruct"], "path=reconstruct wants to know what: recording=FILE"),
        (["recording=a.wav", "path=chunk"], "recording=FILE is for path=reconstruct, not path=chunk"),
        (["evolution=1.1"], "evolution=1.1 must be a number from 0 to 1"),
        (["evolution=fast"], "evolution=fast must be a number from 0 to 1"),
        (["source=moon"], "source=moon is nothing to draw from: choose one of corpus, prior"),
        (["blend.mode=mix"], "blend.mode=mix must be one of mel, audio"),
        (["blend.models=[rain:1,wind:1]"], "blend lists the models: leave out model"),
        (["model.name=null", "blend.models=[rain:1]"], "must list 2 to 4 models"),
        (["model.name=null", "blend.models=[rain:1,snow:1]"], "snow: no such model or file"),
        (["model.name=null", "blend.models=[rain:1,wind:1]", "recording=a.wav"], "leave out blend"),
        (["duration=90000"], "duration=90000 must be a number from 0.1 to 86400"),
        (["count=1001"], "count=1001 must be a whole number from 1 to 1000"),
    ],
)
def test_bad_values_get_their_message_and_leave_nothing(home, overrides, words):
    with pytest.raises(UserError, match=words):
        generate(requested(home, "model.name=rain", *overrides))
    assert not (home / "audio").exists()


@pytest.mark.parametrize("override", ["path=zigzag", "evolution=2", "source=moon", "++controls.loudness=3"])
def test_a_bad_value_is_told_before_a_vocoder_is_fetched(home, hub, override):
    asked = ["model.name=rain", "vocoder=bigvgan", f"vocoder.pin={write_pin(home / 'PIN', hub.files)}"]
    with pytest.raises(UserError):
        generate(requested(home, *asked, override))
    assert hub.gets() == []


def test_no_sliders_at_all_is_said_as_null_too(home):
    assert made(home, "model.name=rain", "vocoder=hifigan", "duration=0.2", "controls=null")[1]["models"]
