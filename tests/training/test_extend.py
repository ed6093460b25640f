"""A model that grows: what it knew is replayed and judged, nothing is lost whatever dies, and bad wishes are told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from crafted import CPU
from support import composed, tiny

from distillgan.audio.augment import Augment
from distillgan.data.datamodule import Segments
from distillgan.data.manifest import TRAIN, Entry, Manifest
from distillgan.data.scan import scan
from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.models.modelfile import read_model
from distillgan.paths import Home
from distillgan.synthesis.renderer import Model
from distillgan.training import extend
from distillgan.training.pipeline import train
from distillgan.training.run_status import Run

MORE = ("extend=true", "stages=[vae]")


@pytest.fixture(scope="module")
def more(tmp_path_factory) -> Path:
    """Six other recordings."""
    folder = tmp_path_factory.mktemp("more")
    rng = np.random.default_rng(9)
    for number in range(6):
        soundfile.write(folder / f"new{number}.wav", 0.1 * rng.standard_normal(22050 + 1000 * number), 44100)
    return folder


@pytest.fixture
def home(trained, tmp_path) -> Path:
    shutil.copytree(trained[0], tmp_path / "home")
    return tmp_path / "home"


def model_of(home: Path) -> Path:
    return home / "models" / "tiny.distillgan"


@pytest.mark.slow
def test_what_it_knew_and_what_is_new(home, more, recordings, capsys):
    before, vocoder = read_model(model_of(home), "vocoder.")
    train(tiny(home, more, *MORE))
    after, kept = read_model(model_of(home), "vocoder.")
    assert after.corpus["files"] == before.corpus["files"] + 6
    for split in ("train", "held_out"):
        assert set(before.corpus[split]) < set(after.corpus[split]), "old recordings stay on their side"
    noted = after.training["vae"]
    assert noted["extends"] == before.fingerprint
    assert noted["old_error_db"] <= extend.MOST_FORGOTTEN * noted["old_error_before_db"]
    assert kept.keys() == vocoder.keys() and all(torch.equal(kept[name], vocoder[name]) for name in kept)
    assert read_header(home / "models" / "tiny.old-1.distillgan").fingerprint == before.fingerprint
    assert (home / "runs" / "tiny.old-1" / "vae" / "last.ckpt").exists()
    printed = capsys.readouterr().out
    assert "tiny is extended, from" in printed and "old recordings:" in printed
    assert Model.load(model_of(home), CPU).corpus.chunks == 12
    # What comes later knows all of them: the vocoder's training, on the splits that the VAE had.
    train(tiny(home, more, "stages=[vocoder]", "vocoder=hifigan", f"data.dir=[{recordings},{more}]"))
    manifest = Manifest.load(home / "runs" / "tiny" / "manifest.json")
    assert {entry.audio_hash for entry in manifest.used if entry.split == TRAIN} == set(after.corpus["train"])


def test_it_starts_from_the_weights_that_were_there(home, more):
    """No step at all: the same network, its latents those of all recordings."""
    before = read_model(model_of(home), "vae.")[1]
    config = tiny(home, more, *MORE, "model.module.lr=0")
    train(config)
    after = read_model(model_of(home), "vae.")[1]
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in before)


@pytest.mark.slow
def test_the_same_command_again_goes_on_and_then_has_nothing_to_do(home, more, capsys):
    train(tiny(home, more, *MORE, "model.max_steps=2"))
    first = read_header(model_of(home))
    capsys.readouterr()
    train(tiny(home, more, *MORE, "model.max_steps=6"))
    second = read_header(model_of(home))
    assert "it goes on" in capsys.readouterr().out
    assert (first.training["vae"]["steps"], second.training["vae"]["steps"]) == (2, 6)
    assert second.training["vae"]["extends"] == first.training["vae"]["extends"]
    assert not (home / "models" / "tiny.old-2.distillgan").exists()


@pytest.mark.slow
def test_a_copy_of_an_old_recording_among_the_new_ones_is_skipped(home, more, recordings, tmp_path):
    shutil.copytree(more, tmp_path / "mixed")
    shutil.copy(recordings / "take1.wav", tmp_path / "mixed" / "copy.wav")
    for _ in range(2):
        train(tiny(home, tmp_path / "mixed", *MORE))
    assert read_header(model_of(home)).corpus["files"] == 12
    manifest = Manifest.load(home / "runs" / "tiny" / "manifest.json")
    assert [entry.split for entry in manifest.skipped] == [""]


@pytest.mark.slow
def test_from_another_working_directory(recordings, more, tmp_path, monkeypatch):
    monkeypatch.chdir(recordings.parent)
    train(tiny(tmp_path / "home", recordings, f"data.dir={recordings.name}"))
    monkeypatch.chdir("/")
    train(tiny(tmp_path / "home", more, *MORE))
    assert read_header(tmp_path / "home" / "models" / "tiny.distillgan").corpus["files"] == 12


@pytest.mark.slow
def test_twice(home, more, tmp_path):
    train(tiny(home, more, *MORE))
    soundfile.write(tmp_path / "third.wav", 0.1 * np.random.default_rng(77).standard_normal(30000), 44100)
    (tmp_path / "third").mkdir()
    (tmp_path / "third.wav").rename(tmp_path / "third" / "a.wav")
    train(tiny(home, tmp_path / "third", *MORE))
    assert read_header(model_of(home)).corpus["files"] == 13
    assert read_header(home / "models" / "tiny.old-2.distillgan").corpus["files"] == 12


def test_what_is_forgotten_is_not_packed(home, more, monkeypatch, recordings):
    old = model_of(home).read_bytes()
    monkeypatch.setattr(extend, "MOST_FORGOTTEN", 0.01)
    with pytest.raises(UserError, match=r"forgotten: .* dB before, .* dB now, at most .* are taken"):
        train(tiny(home, more, *MORE))
    assert model_of(home).read_bytes() == old
    monkeypatch.undo()
    train(tiny(home, more, *MORE))
    assert read_header(model_of(home)).corpus["files"] == 12


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["copy", "note", "rename", "begin"])
def test_a_kill_while_it_begins_loses_nothing(home, more, monkeypatch, broken):
    """Wherever it dies: the model plays, and the same command does it all."""

    class Killed(BaseException):
        pass

    def die(*_, **__):
        raise Killed

    old = model_of(home).read_bytes()
    if broken == "rename":
        rename, calls = Path.rename, []

        def once(self, target):
            if self.name == ".tiny.extending":
                die()
            calls.append(self)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", once)
    else:
        target, name = {
            "copy": (extend, "error_on"),
            "note": (extend, "_begin"),
            "begin": (Run, "begin"),
        }[broken]
        monkeypatch.setattr(target, name, die)
    with pytest.raises(Killed):
        train(tiny(home, more, *MORE))
    assert model_of(home).read_bytes() == old
    monkeypatch.undo()
    train(tiny(home, more, *MORE))
    after = read_header(model_of(home))
    assert after.corpus["files"] == 12 and after.training["vae"]["extends"]


def corpus(**frames: int) -> Manifest:
    entries = [
        Entry(f"{name}.wav", frames=n, audio_hash=name, cache_key=name, split=TRAIN) for name, n in frames.items()
    ]
    return Manifest("/", 44100, entries)


def test_old_recordings_are_at_least_half_of_what_is_heard():
    extension = extend.Extension("x", "x", [], ["old"], [], 1.0)
    assert extension.weights(corpus(old=1000, a=8000, b=1000)) == [9.0, 1.0, 1.0]
    assert extension.weights(corpus(old=5000, a=1000)) == [1.0, 1.0]


def test_weighted_clips_are_drawn_so_often(recordings):
    manifest = scan(recordings, recordings.parent / "weights-cache")
    clips = manifest.clips(recordings.parent / "weights-cache")[:3]
    segments = Segments(clips, 4096, Augment(0, 0, [1, 1], 0, 0, [20, 50], 0), 1, [6.0, 0.0, 1.0])
    shares = np.diff(segments.cumulative, prepend=0)
    lengths = np.array([clip.length for clip in clips])
    assert shares == pytest.approx(lengths * [6, 0, 1] / (lengths * [6, 0, 1]).sum())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["extend=true", "name=nosuch"], "extend=true: there is no model nosuch"),
        (["extend=true", "data.dir=null"], "extend=true wants more recordings: add data.dir=PATH"),
        (["extend=true", "resume=never"], "leave one of them out"),
        (["extend=maybe"], "extend=maybe must be true or false"),
        (["extend=true", "mel.n_mels=80"], "n_mels"),
    ],
)
def test_wishes_that_cannot_be(home, more, overrides, words):
    old = model_of(home).read_bytes()
    with pytest.raises(UserError, match=words):
        train(tiny(home, more, "stages=[vae]", *overrides))
    assert model_of(home).read_bytes() == old


@pytest.mark.slow
def test_nothing_new_and_something_gone(home, recordings, more, tmp_path):
    with pytest.raises(UserError, match="hold no recording that tiny has not learnt already"):
        train(tiny(home, recordings, *MORE))
    few = tmp_path / "few"
    shutil.copytree(recordings, few)
    config = composed("train", home, "experiment=tiny", f"data.dir={few}", "name=other")
    train(config)
    (few / "take3.wav").unlink()
    with pytest.raises(UserError, match=r"1 of the recordings that other has learnt are not in(.|\n)*take3.wav"):
        train(composed("train", home, "experiment=tiny", f"data.dir={more}", "name=other", *MORE))
    assert extend.noted(Run(Home(home), "other")) is None


def test_a_damaged_note_is_told(home, more):
    (home / "runs" / "tiny" / "extends.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(UserError, match=r"extends.json is damaged .*resume=never"):
        train(tiny(home, more, *MORE))
