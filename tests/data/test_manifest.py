"""A manifest is whole or old, round-trips, and a damaged one names file and fault."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from distillgan.data.manifest import Entry, Manifest
from distillgan.data.scan import scan
from distillgan.errors import UserError


@pytest.fixture
def manifest(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        sf.write(folder / f"é{i}.wav", np.random.default_rng(i).uniform(-0.3, 0.3, 12000), 44100 if i % 2 else 48000)
    os.rename(folder / "é5.wav", os.path.join(folder, os.fsdecode(b"\xff5.wav")))
    (folder / "bad.wav").write_bytes(b"no audio")
    (folder / "a.txt").write_text("x")
    return scan(folder, tmp_path / "cache")


def test_round_trip(manifest, tmp_path):
    path = tmp_path / "run" / "manifest.json"
    manifest.save(path)
    assert Manifest.load(path) == manifest
    assert Manifest.load(path).clips(tmp_path / "cache", "train") == manifest.clips(tmp_path / "cache", "train")
    text = path.read_text("utf-8")
    assert "é0.wav" in text and r"\udcff5.wav" in text


def test_what_it_says(manifest, tmp_path):
    manifest.save(tmp_path / "m.json")
    values = json.loads((tmp_path / "m.json").read_text("utf-8"))
    assert values["minutes"] == pytest.approx((3 * 12000 / 44100 + 3 * 12000 / 48000) / 60)
    assert values["fingerprint"] == manifest.fingerprint and len(manifest.fingerprint) == 64
    assert (values["other_files"], values["folder"]) == (1, str(tmp_path / "in"))
    assert [e["status"] for e in values["entries"]].count("used") == 6
    (bad,) = [e for e in values["entries"] if e["status"] == "skipped"]
    assert bad["path"] == "bad.wav" and bad["reason"].startswith("unreadable") and bad["peak_dbfs"] is None
    assert [e["split"] for e in values["entries"]].count("held_out") == 1


def test_clips_of_a_split(manifest, tmp_path):
    train, held_out = (manifest.clips(tmp_path / "cache", split) for split in ("train", "held_out"))
    assert (len(train), len(held_out)) == (5, 1)
    assert {clip.name for clip in manifest.clips(tmp_path / "cache")} == {clip.name for clip in train + held_out}
    used = {entry.path: entry for entry in manifest.used}
    for clip in train:
        entry = used[clip.name]
        assert (clip.length, clip.gain) == (entry.frames, pytest.approx(10 ** (entry.gain_db / 20)))


def test_a_failed_save_leaves_the_old_file(manifest, tmp_path):
    path = tmp_path / "m.json"
    manifest.save(path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        replace(manifest, folder=object()).save(path)
    assert path.read_bytes() == before
    assert [name for name in os.listdir(tmp_path) if "m.json" in name] == ["m.json"]


def break_entry(name, value, index=0):
    def change(values):
        values["entries"][index][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("entries"), "manifest: entries is missing"),
        (lambda v: v.update(format="else"), "its format is not"),
        (lambda v: v.update(sample_rate="44100"), "manifest: sample_rate is '44100', not of type int"),
        (lambda v: v.update(sample_rate=0), "sample_rate is 0"),
        (lambda v: v.update(entries={}), r"manifest: entries is \{\}, not of type list"),
        (lambda v: v["entries"].append(3), "entry 7 is not an object"),
        (lambda v: v["entries"].pop(1), "its fingerprint does not match"),
        (lambda v: v["entries"][2].pop("gain_db"), "entry 2: gain_db is missing"),
        (break_entry("gain_db", "loud", 1), "entry 1: gain_db is 'loud', not of type float"),
        (break_entry("gain_db", float("inf"), 1), "entry 1: gain_db is inf"),
        (break_entry("peak_dbfs", True, 1), "entry 1: peak_dbfs is True"),
        (break_entry("channels", None, 1), "entry 1: channels is None"),
        (break_entry("frames", -4, 1), "entry 1: .*negative"),
        (break_entry("frames", 0, 1), "entry 1: frames, audio_hash or cache_key is missing"),
        (break_entry("split", "test", 1), "entry 1: split is 'test'"),
        (break_entry("status", "skipped", 1), "entry 1: status is 'skipped'"),
        (break_entry("audio_hash", "0", 1), "its fingerprint does not match"),
    ],
)
def test_a_damaged_manifest_names_file_and_fault(manifest, tmp_path, change, words):
    path = tmp_path / "m.json"
    manifest.save(path)
    values = json.loads(path.read_text("utf-8"))
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=rf"m\.json: not a usable manifest \({words}"):
        Manifest.load(path)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\0", b"[]", b"3", b'{"format": ', b"[" * 100000])
def test_no_manifest_at_all(tmp_path, data):
    path = tmp_path / "m.json"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"m\.json: not a usable manifest"):
        Manifest.load(path)
    with pytest.raises(UserError, match=r"none\.json: not a usable manifest \(No such file"):
        Manifest.load(tmp_path / "none.json")


def test_the_fingerprint_does_not_depend_on_order():
    entries = [Entry(f"{i}", audio_hash=f"{i}") for i in range(4)]
    skipped = Entry("x", reason="silent", audio_hash="9")
    assert Manifest("", 1, entries).fingerprint == Manifest("elsewhere", 1, [skipped, *entries[::-1]]).fingerprint
    assert Manifest("", 1, entries[1:]).fingerprint != Manifest("", 1, entries).fingerprint
