"""`generate`: what it writes, that a seed is a sound, and what it refuses."""

import re

import pytest
import soundfile
from support import composed

from distillgan.errors import UserError
from distillgan.generate import generate
from distillgan.train import train


def made(home):
    return sorted(path.name for path in (home / "audio").glob("*.wav"))


@pytest.fixture
def home(trained, tmp_path):
    """A home of its own with the trained model in it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.distillgan").write_bytes((trained[0] / "models" / "tiny.distillgan").read_bytes())
    return tmp_path


def test_writes_each_variation_with_its_picture_and_prints_where(home, capsys):
    generate(composed("generate", home, "duration=0.7", "seed=4", "count=2"))
    assert made(home) == ["tiny_seed4.wav", "tiny_seed5.wav"]
    printed = capsys.readouterr().out
    for name in made(home):
        info = soundfile.info(home / "audio" / name)
        assert (info.samplerate, info.subtype, info.channels, info.frames) == (44100, "PCM_24", 1, 30870)
        assert (home / "audio" / name).with_suffix(".png").stat().st_size > 1000
        assert str(home / "audio" / name) in printed.replace("\n", "")
    assert len(re.findall(r"times real time", printed)) == 2


def test_same_seed_same_samples_other_seed_others(home):
    for seed in (1, 1, 2):
        generate(composed("generate", home, "duration=0.5", f"seed={seed}"))
    names = ("tiny_seed1.wav", "tiny_seed1-2.wav", "tiny_seed2.wav")
    first, again, other = (soundfile.read(home / "audio" / name)[0] for name in names)
    assert (first == again).all() and (first != other).any()


def test_48_kilohertz_keeps_the_duration(home):
    generate(composed("generate", home, "duration=0.5", "export.sample_rate=48000"))
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
        (["vocoder=none"], "vocoder"),
    ],
)
def test_bad_values_get_their_message_and_leave_nothing(home, overrides, words):
    with pytest.raises(UserError, match=words):
        generate(composed("generate", home, *overrides))
    assert not (home / "audio").exists()


def test_model_without_a_vocoder_says_how_to_train_one(tmp_path, recordings):
    train(composed("train", tmp_path, "experiment=tiny", f"data.dir={recordings}", "name=mute"))
    with pytest.raises(UserError, match="distillgan train-vocoder mute"):
        generate(composed("generate", tmp_path))
