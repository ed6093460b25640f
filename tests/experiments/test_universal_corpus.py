"""The corpus of the universal vocoder: its table, its cutting, its packs and its own sounds. No network."""

import importlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

FOLDER = Path(__file__).parents[2] / "experiments" / "universal_hifigan"


@pytest.fixture
def load(monkeypatch):
    """Imports one of the experiment's modules by name."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def test_every_source_names_its_licence_and_its_split():
    sources = yaml.safe_load((FOLDER / "sources.yaml").read_text())
    assert {about["split"] for about in sources.values()} == {"train", "held_out"}
    for name, about in sources.items():
        assert about["licence"] and about["attribution"] and about["kind"] and about["minutes"] > 0, name
        assert sum(key in about for key in ("files", "soundfont", "own")) == 1, name
        if "own" not in about:
            assert set(about["package"]) == {"registry", "name", "version"}, name
            assert set(about["proof"]) == {"file", "says"}, name


def test_what_is_held_out_of_a_package_is_excluded_from_its_training_part():
    sources = yaml.safe_load((FOLDER / "sources.yaml").read_text())
    pairs = [name for name in sources if name.endswith("-held-out")]
    assert pairs
    for name in pairs:
        assert set(sources[name]["files"]) <= set(sources[name.removesuffix("-held-out")]["exclude"]), name


@pytest.mark.parametrize("seconds", [0.1, 19.99, 20.0, 20.01, 61.0])
def test_cutting_keeps_every_sample(load, seconds):
    pieces = load("pieces")
    sound = np.arange(round(seconds * pieces.SAMPLE_RATE), dtype=np.float32)
    parts = pieces.cut(sound)
    assert max(map(len, parts)) <= pieces.LONGEST_SECONDS * pieces.SAMPLE_RATE
    np.testing.assert_array_equal(np.concatenate(parts), sound)


def test_a_file_becomes_mono_at_its_pitch_without_silent_ends(load, tmp_path):
    pieces = load("pieces")
    t = np.arange(48000) / 48000
    tone = np.pad(0.5 * np.sin(2 * np.pi * 1000 * t), 24000)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, tone], axis=1), 48000, subtype="PCM_24")
    sound, subtype = pieces.load(tmp_path / "a.wav")
    assert subtype == "PCM_24"
    assert len(sound) == pytest.approx(44100, abs=300)  # the resampler's own ringing is not digital silence
    assert np.abs(np.fft.rfft(sound)).argmax() * 44100 / len(sound) == pytest.approx(1000, abs=1)


def test_the_synthesis_is_deterministic_and_finite(load, monkeypatch):
    synthesis = load("synthesised")
    monkeypatch.setattr(synthesis, "_seconds", lambda rng: 2.0)
    first, second = dict(synthesis.clips(1, takes=1)), dict(synthesis.clips(1, takes=1))
    assert len(first) == len(synthesis.RECIPES)
    for name, sound in first.items():
        np.testing.assert_array_equal(sound, second[name])
        assert sound.ndim == 1 and np.isfinite(sound).all() and 0.1 < np.abs(sound).max() < 1, name


def test_packs_are_below_the_limit_and_even_over_the_sources(load, tmp_path):
    pack, rng = load("pack"), np.random.default_rng(0)
    corpus, entries = tmp_path / "corpus", []
    for split, source, count in (("held_out", "h", 2), ("train", "a", 30), ("train", "b", 60)):
        for number in range(count):
            path = corpus / split / source / f"{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.bytes(50_000))
            entries.append({"file": path.relative_to(corpus).as_posix(), "source": source, "seconds": 1.0})
    (corpus / "manifest.json").write_text(json.dumps({"sources": {}, "pieces": entries}))
    pack.pack(corpus, tmp_path / "c.tar", 3.2e6, parts=2)
    listed = []
    for path in (tmp_path / "c.tar", tmp_path / "c.2.tar"):
        assert path.stat().st_size <= 3.2e6
        with tarfile.open(path) as archive:
            listed.append([name for name in archive.getnames() if name.endswith(".flac")])
    first = [name.split("/")[1] for name in listed[0]]
    assert first.count("h") == 2 and abs(first.count("a") - first.count("b")) <= 1
    assert len(set(listed[0] + listed[1])) == len(listed[0]) + len(listed[1])
