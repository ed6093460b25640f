"""Loudness on every way to a file: command, Python, blends, recordings, presets, and what is older than it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from cli_runner import distillgan
from crafted import write_crafted
from recorded import said
from support import requested

import distillgan as dg
from distillgan.api import Clip
from distillgan.audio.formats import Wav
from distillgan.audio.loudness import DUAL_MONO_LU, measure
from distillgan.audio.tags import Tags, read_comment
from distillgan.cli.commands import history_commands as history_command
from distillgan.cli.serialization import arguments_of, with_overrides
from distillgan.errors import UserError
from distillgan.generate import with_preset
from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.store.presets import Presets
from distillgan.synthesis.generation import generate
from distillgan.synthesis.reproduce import Original
from distillgan.synthesis.request import ExportRequest, RenderRequest
from distillgan.ui.sound_panels import check
from distillgan.ui.sound_settings import export_of, values_of


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """rain's and wind's recordings were so loud; nobody knows how loud the old one's were."""
    folder = tmp_path_factory.mktemp("home")
    for number, (name, lufs) in enumerate((("rain", -22.5), ("wind", -32.5), ("old", None))):
        write_crafted(folder / "models", name, seed=number, sliders=("brightness",), source_lufs=lufs)
    return folder


def made(home, *overrides):
    vocoder = "universal" if any(word.startswith("blend") for word in overrides) else "hifigan"
    return generate(requested(home, f"vocoder={vocoder}", "duration=1.5", *overrides))[0]


def again(home, original, *given):
    request, _ = original.request(Home(home))
    return generate(with_overrides(request, given) if given else request)[0]


def samples(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def without_loudness(settings):
    """As builds wrote them that knew of none."""
    export = {key: value for key, value in settings["export"].items() if key not in ("loudness", "peak")}
    return {**settings, "export": export}


def test_by_default_it_is_as_loud_as_the_recordings_are_heard(home, capsys):
    mono, stereo = made(home, "model.name=rain"), made(home, "model.name=rain", "spatial=stereo")
    for sound in (mono, stereo):  # one channel from both loudspeakers, or two
        assert measure(sound.path).lufs == pytest.approx(-22.5, abs=0.02)
        assert json.loads(sound.path.with_suffix(".json").read_text())["level"] == sound.metadata["level"]
        assert json.loads(read_comment(sound.path))["level"] == sound.metadata["level"]
    level = mono.metadata["level"]
    assert level["lufs"] == level["asked_lufs"] == mono.metadata["settings"]["export"]["loudness"] == -25.51
    assert level["short_lu"] == 0 and level["true_peak_db"] < -1
    assert f"  -25.5 LUFS, peak {level['true_peak_db']:.1f} dBTP, turned " in capsys.readouterr().out
    code, shown, _ = said(capsys, history_command.history_main, "show", mono.id, "--home", home)
    assert code == 0 and "level.lufs: -25.51" in shown
    card = check(mono.metadata)
    assert "<td>loudness</td><td>-25.5 LUFS</td>" in card and "to -25.51 LUFS" in card and "true peak" in card


def test_a_number_a_ceiling_and_what_falls_short_is_told(home, capsys):
    sound = made(home, "model.name=rain", "export.loudness=-1", "export.peak=-3", "export.sample_rate=48000")
    level = sound.metadata["level"]
    assert level["true_peak_db"] == pytest.approx(-3, abs=0.01) and level["short_lu"] > 3
    assert level["lufs"] == pytest.approx(measure(sound.path).lufs - DUAL_MONO_LU, abs=0.02)
    told = f"{level['short_lu']:.1f} LU under -1 LUFS, where its peaks reach the ceiling"
    assert told in capsys.readouterr().out
    assert f"{level['short_lu']:.1f} LU under that" in check(sound.metadata)


def test_what_nobody_knows_is_told_and_left_as_it_is(home, capsys):
    sound = made(home, "model.name=old")
    assert sound.metadata["settings"]["export"]["loudness"] == "off" and sound.metadata["level"]["asked_lufs"] is None
    assert sound.metadata["gain_db"] == 0
    note = "nothing is known of how loud its recordings were: it stays as loud as it is rendered"
    assert note in capsys.readouterr().out and note in check(sound.metadata)
    blend = made(home, "blend.models=['rain:1','old:1']")
    assert blend.metadata["settings"]["export"]["loudness"] == "off" and note in blend.metadata["level"]["note"]


@pytest.mark.parametrize(
    ("weights", "mode", "expected"),
    [
        (("1", "1"), "mel", -27.5),
        (("3", "1"), "mel", -25.0),
        (("0:1 1.5:0", "0:0 1.5:1"), "mel", -27.5),
        (("1", "1"), "audio", -22.5 + 10 * np.log10(0.55)),
    ],
)
def test_a_blend_is_as_loud_as_its_models_recordings_by_their_weights(home, weights, mode, expected):
    words = ",".join(f"'{name}:{weight}'" for name, weight in zip(("rain", "wind"), weights, strict=True))
    sound = made(home, f"blend.models=[{words}]", f"blend.mode={mode}")
    assert measure(sound.path).lufs == pytest.approx(expected, abs=0.03)


def test_a_recording_through_the_model_is_as_loud_as_it_is_itself(home, tmp_path):
    wave = 0.02 * np.random.default_rng(1).standard_normal((60000, 2))
    for channels in (1, 2):
        soundfile.write(tmp_path / f"{channels}.wav", wave[:, :channels], 44100)
        source = measure(tmp_path / f"{channels}.wav").lufs
        config = requested(home, "vocoder=hifigan", "model.name=rain", f"recording={tmp_path}/{channels}.wav")
        assert measure(generate(config)[0].path).lufs == pytest.approx(source, abs=0.02)


@pytest.mark.parametrize("level", [["export.loudness=source"], ["export.loudness=-16", "export.peak=-2"]])
def test_it_is_made_again_whatever_the_model_says_by_then(home, level):
    sound = made(home, "model.name=wind", *level)
    for original in (Original.of_file(sound.path), Original.of_history(History(Home(home)).get(sound.id))):
        copy = again(home, original)
        assert original.verdict(copy).same and np.array_equal(samples(sound.path), samples(copy.path))
    # The same weights, of which it is known now how loud the recordings were, or no more.
    write_crafted(home / "models", "wind", seed=1, sliders=("brightness",), source_lufs=-12.0)
    assert np.array_equal(samples(again(home, Original.of_file(sound.path)).path), samples(sound.path))
    write_crafted(home / "models", "wind", seed=1, sliders=("brightness",), source_lufs=-32.5)


def test_what_was_made_before_there_was_loudness_is_made_as_before(home, tmp_path, capsys):
    """From a file, the history and a preset that say nothing of it: no gain, but for samples over -1 dBFS."""
    sound = made(home, "model.name=rain", "export.loudness=off", "export.peak=null")
    clip = dg.load("rain", home=home, device="cpu").render(1.5, vocoder="hifigan")
    was = np.float32(min(1.0, 10 ** (-1 / 20) / float(np.abs(clip.wave).max())))
    Wav(44100).write(tmp_path / "was.wav", [was * clip.wave], clip.wave.shape, Tags())
    assert np.array_equal(samples(sound.path), samples(tmp_path / "was.wav"))

    told = json.loads(read_comment(sound.path))
    told["settings"] = without_loudness(told["settings"])
    old = tmp_path / "old.wav"
    Wav(44100).write(old, [samples(sound.path)], clip.wave.shape, Tags(comment=json.dumps(told)))
    original = Original.of_file(old)
    copy = again(home, original)
    assert original.verdict(copy).same and copy.metadata["settings"]["export"]["loudness"] == "off"
    assert again(home, original, "export=flac").metadata["gain_db"] == copy.metadata["gain_db"]
    assert again(home, original, "export.loudness=-30").metadata["level"]["lufs"] == -30

    account = {**sound.metadata, "settings": without_loudness(sound.metadata["settings"])}
    history = History(Home(home))
    entry = history.get(history.record(account, old, b""))
    assert np.array_equal(samples(again(home, Original.of_history(entry)).path), samples(sound.path))
    Presets(Home(home)).keep(entry, "as it was")
    overrides = with_preset([f"paths.home={home}", "preset='as it was'"])
    assert {"export.loudness='off'", "export.peak=null"} <= set(overrides)
    values, _ = values_of(RenderRequest.from_dict(entry.metadata["settings"]))
    assert (values["loudness"], values["peak"]) == ("off", None), "so it stands in the page's controls"
    export = export_of(values)
    assert (export.loudness, export.peak) == ("off", None)


def test_settings_of_no_file_at_all_have_no_loudness_either():
    assert "export.loudness='off'" in arguments_of({"seed": 1})
    assert RenderRequest(seed=1).export.loudness == "source", "what is asked for now has the default"
    kept = {"export": {"name": "wav", "loudness": -23, "depth": 16}}
    assert RenderRequest.from_dict(kept).export == ExportRequest(Wav(depth=16), loudness=-23)
    kept["export"]["peak"] = -2
    assert arguments_of(kept, ["export=flac"]) == ["export.loudness=-23", "export.peak=-2"], (
        "it is of the sound, not of the format"
    )


def test_the_page_takes_a_number_that_is_typed():
    values, _ = values_of(RenderRequest(export=ExportRequest(loudness=-25.51, peak=-2.0)))
    assert (values["loudness"], values["peak"]) == ("-25.51", -2.0)
    assert export_of(values).loudness == -25.51
    assert export_of({**values, "loudness": " -14 "}).loudness == -14
    assert export_of({**values, "loudness": "source"}).loudness == "source"


def test_from_python(home, tmp_path):
    clip = dg.load("rain", home=home, device="cpu").render(1.5, vocoder="hifigan")
    command = made(home, "model.name=rain")
    assert np.array_equal(samples(clip.save(tmp_path / "a.wav")), samples(command.path))
    assert measure(clip.save(tmp_path / "b.flac", loudness=-18)).lufs == pytest.approx(-18 + DUAL_MONO_LU, abs=0.02)
    assert json.loads(read_comment(tmp_path / "b.flac"))["settings"]["export"]["loudness"] == -18
    quiet = replace(clip, wave=clip.wave / 4)
    assert np.array_equal(samples(quiet.save(tmp_path / "c.wav", depth="32f", loudness="off")), quiet.wave)
    with pytest.warns(UserWarning, match=r"d\.wav: .* LU under -1 LUFS, where its peaks reach the ceiling"):
        clip.save(tmp_path / "d.wav", loudness=-1)
    with pytest.warns(UserWarning, match=r"e\.wav: nothing is known of how loud"):
        Clip(clip.wave, clip.sample_rate, None).save(tmp_path / "e.wav")
    with pytest.raises(UserError, match=r"export\.loudness=loud must be source, off, or LUFS such as -23"):
        clip.save(tmp_path / "f.wav", loudness="loud")
    assert not (tmp_path / "f.wav").exists()


@pytest.mark.parametrize("override", ["export.loudness=loud", "export.loudness=3", "export.peak=1"])
def test_it_is_refused_before_anything_is_rendered(home, override):
    before = set((home / "audio").iterdir()) if (home / "audio").exists() else set()
    with pytest.raises(UserError, match=override):
        made(home, "model.name=rain", override)
    assert (set((home / "audio").iterdir()) if (home / "audio").exists() else set()) == before


def test_loudness_in_numbers_on_the_command_line_and_from_a_preset(tmp_path):
    write_crafted(tmp_path / "models", "rain")
    home = f"paths.home={tmp_path}"
    words = ["model=rain", "duration=0.5", "vocoder=universal", "device=cpu", home]
    done = distillgan("generate", *words, "export.loudness=-31", "seed=3")
    assert done.returncode == 0 and "-31.0 LUFS" in done.stdout, done.stderr
    done = distillgan("presets", "save", "Soft", "--from", "latest", DISTILLGAN_HOME=tmp_path)
    assert done.returncode == 0, done.stderr
    done = distillgan("generate", "preset=Soft", "seed=4", "duration=0.5", "vocoder=universal", home)
    assert done.returncode == 0 and "-31.0 LUFS" in done.stdout, done.stderr
    refused = distillgan("generate", *words, "export.loudness=loud")
    assert refused.returncode == 2 and "must be source, off, or LUFS such as -23" in refused.stderr
