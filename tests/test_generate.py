"""`generate`: what it writes, that a seed is a sound, and what it refuses."""

import re

import numpy as np
import pytest
import soundfile
from hub import write_pin
from support import composed, requested

from distillgan.errors import UserError
from distillgan.synthesis.generation import generate
from distillgan.training.pipeline import train


def made(home):
    return sorted(path.name for path in (home / "audio").glob("*.wav"))


@pytest.fixture
def home(trained, tmp_path):
    """A home of its own with the trained model in it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.distillgan").write_bytes((trained[0] / "models" / "tiny.distillgan").read_bytes())
    return tmp_path


def test_writes_each_variation_with_its_picture_and_prints_where(home, capsys):
    generate(requested(home, "duration=0.7", "seed=4", "count=2"))
    assert made(home) == ["tiny_seed4.wav", "tiny_seed5.wav"]
    printed = capsys.readouterr().out
    for name in made(home):
        info = soundfile.info(home / "audio" / name)
        assert (info.samplerate, info.subtype, info.channels, info.frames) == (44100, "PCM_24", 1, 30870)
        assert (home / "audio" / name).with_suffix(".png").stat().st_size > 1000
        for suffix in (".wav", ".png", ".json"):
            assert f"  {(home / 'audio' / name).with_suffix(suffix)}\n" in printed
    assert len(re.findall(r"times real time", printed)) == 2


def test_same_seed_same_samples_other_seed_others(home):
    for seed in (1, 1, 2):
        generate(requested(home, "duration=0.5", f"seed={seed}"))
    names = ("tiny_seed1.wav", "tiny_seed1-2.wav", "tiny_seed2.wav")
    first, again, other = (soundfile.read(home / "audio" / name)[0] for name in names)
    assert (first == again).all() and (first != other).any()


def test_48_kilohertz_keeps_the_duration(home):
    generate(requested(home, "duration=0.5", "export.sample_rate=48000"))
    info = soundfile.info(home / "audio" / "tiny_seed1.wav")
    assert (info.samplerate, info.frames) == (48000, 24000)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.name=nosuch"], "nosuch.*tiny"),
        (["count=0"], "count=0"),
        (["seed=-1"], "seed=-1"),
        (["duration=0"], "duration=0"),
        (["duration=1e9"], "duration"),
        (["export.sample_rate=22050"], "22050"),
        (["export.overwrite=maybe"], "export.overwrite=maybe must be true or false"),
        (["export=_file"], "export= must be one of wav, flac, ogg, mp3"),
        (["spatial=stereo", "spatial.width=2"], "spatial.width=2 must be a number from 0 to 1.5"),
        (["export.file='{nosuch}'"], "there is no field {nosuch}"),
        (["vocoder=none"], "vocoder=none cannot play: choose one of auto, bigvgan, universal, hifigan, harmonic"),
        (["recording=nosuch.wav"], "nosuch.wav: unreadable: no such file"),
        (["recording=a.wav", "duration=3"], "leave out duration and count"),
        (["recording=a.wav", "count=2"], "leave out duration and count"),
    ],
)
def test_bad_values_get_their_message_and_leave_nothing(home, overrides, words):
    with pytest.raises(UserError, match=words):
        generate(requested(home, *overrides))
    assert not (home / "audio").exists()


def test_a_recording_through_the_model(home, recordings, capsys):
    source = recordings / "take3.wav"
    generate(requested(home, f"recording={source}"))
    assert made(home) == ["tiny_take3.wav"]
    assert soundfile.info(home / "audio" / "tiny_take3.wav").frames == soundfile.info(source).frames
    printed = capsys.readouterr().out
    assert "vocoder hifigan: the model's own" in printed and "times real time" in printed


def test_a_recording_at_another_rate_keeps_its_duration(home, tmp_path):
    wave = 0.1 * np.random.default_rng(1).standard_normal((30000, 2))
    soundfile.write(tmp_path / "été 1.flac", wave, 22050)
    generate(requested(home, f"recording='{tmp_path}/été 1.flac'"))
    assert made(home) == ["tiny_été_1.wav"]
    assert soundfile.info(home / "audio" / "tiny_été_1.wav").frames == 60000


def test_a_recording_that_cannot_be_used(home, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(44100), 44100)
    (tmp_path / "text.wav").write_text("hello")
    for name, words in (("silent.wav", "silent: its peak"), ("text.wav", "unreadable"), ("", "unreadable")):
        with pytest.raises(UserError, match=words):
            generate(requested(home, f"recording={tmp_path / name}"))
    assert not (home / "audio").exists()


@pytest.fixture
def mute(tmp_path, recordings):
    """A home with a model that has no vocoder of its own, trained while no network call could succeed."""
    train(composed("train", tmp_path, "experiment=tiny", f"data.dir={recordings}", "name=mute"))
    return tmp_path


def test_model_without_a_vocoder_says_how_to_train_one(mute):
    with pytest.raises(UserError, match="distillgan train-vocoder mute"):
        generate(requested(mute, "vocoder=hifigan"))


def test_a_model_without_a_vocoder_plays_through_the_universal_one(mute, hub, capsys):
    pin = write_pin(mute / "PIN", hub.files)
    for _ in range(2):
        generate(requested(mute, "duration=0.4", f"vocoder.pin={pin}", "count=2"))
    printed = capsys.readouterr().out
    assert "vocoder bigvgan: model mute has no vocoder of its own, and BigVGAN's weights were fetched" in printed
    assert "vocoder bigvgan: model mute has no vocoder of its own, and BigVGAN's weights are here" in printed
    assert "fetching bigvgan_generator.pt, 1.3 MB" in printed
    first, again = (soundfile.read(mute / "audio" / name)[0] for name in ("mute_seed1.wav", "mute_seed1-2.wav"))
    assert (first == again).all() and first.std() > 0
    assert sum(path.endswith(".pt") for path, _ in hub.gets()) == 1
