"""Sound that distillgan made: known by its tag, trained on, never held out, and told in the summary."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import soundfile as sf
from rich.console import Console

from distillgan.audio.formats import Wav
from distillgan.audio.tags import Tags
from distillgan.data.corpus import summary_table
from distillgan.data.decode import is_generated
from distillgan.data.manifest import HELD_OUT, TRAIN, Manifest
from distillgan.data.scan import scan

RATE = 44100
MARK = '{"distillgan": "2.0"}'


def write(path, seed, comment=""):
    wave = np.random.default_rng(seed).uniform(-0.3, 0.3, (1, RATE // 4)).astype(np.float32)
    Wav(RATE).write(path, [wave], wave.shape, Tags(comment=comment))


@pytest.fixture
def corpus(tmp_path):
    """Six recordings and nine generated sounds."""
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(15):
        write(folder / f"{seed:02d}.wav", seed, MARK if seed >= 6 else "")
    return folder


@pytest.mark.parametrize(
    ("comment", "generated"),
    [
        (MARK, True),
        (json.dumps({"distillgan": None, "padding": "x" * 10_000}), True),
        ("", False),
        ("made with distillgan", False),
        ('{"other": 1}', False),
        ('["distillgan"]', False),
        ('"distillgan"', False),
        ("[" * 100_000, False),
    ],
)
def test_the_mark(tmp_path, comment, generated):
    write(tmp_path / "a.wav", 1, comment)
    assert is_generated(tmp_path / "a.wav") is generated


def test_it_is_never_held_out_and_counts_for_nothing(corpus, tmp_path):
    manifest = scan(corpus, tmp_path / "cache")
    assert [entry.generated for entry in manifest.entries] == [False] * 6 + [True] * 9
    held_out = {entry.path for entry in manifest.used if entry.split == HELD_OUT}
    assert {entry.split for entry in manifest.entries[6:]} == {TRAIN}
    for path in list(corpus.iterdir()):
        if int(path.stem) >= 6:
            path.unlink()
    alone = scan(corpus, tmp_path / "cache")
    assert {entry.path for entry in alone.used if entry.split == HELD_OUT} == held_out and len(held_out) == 1
    (corpus / "05.wav").unlink()
    (corpus / "04.wav").unlink()
    write(corpus / "20.wav", 20, MARK)
    assert {entry.split for entry in scan(corpus, tmp_path / "cache").entries} == {TRAIN}  # four and one are not five


def test_a_copy_that_lost_its_tag_is_known_by_its_twin(corpus, tmp_path):
    write(corpus / "00copy.wav", 7)
    manifest = scan(corpus, tmp_path / "cache")
    (copy, twin) = (entry for entry in manifest.entries if entry.path in ("00copy.wav", "07.wav"))
    assert copy.generated and copy.split == TRAIN and twin.reason.startswith("duplicate")


def test_the_summary_tells(corpus, tmp_path):
    def printed(manifest):
        console = Console(file=StringIO(), width=160)
        console.print(summary_table(manifest))
        return console.file.getvalue()

    manifest = scan(corpus, tmp_path / "cache")
    assert "9 of them generated, never held out" in printed(manifest)
    plain = replace(manifest, entries=[replace(entry, generated=False) for entry in manifest.entries])
    assert "generated" not in printed(plain)


def test_manifests_and_caches_from_before_the_mark(corpus, tmp_path):
    manifest = scan(corpus, tmp_path / "cache")
    manifest.save(tmp_path / "m.json")
    values = json.loads((tmp_path / "m.json").read_text())
    assert Manifest.load(tmp_path / "m.json") == manifest
    for entry in values["entries"]:
        del entry["generated"]
    (tmp_path / "m.json").write_text(json.dumps(values))
    loaded = Manifest.load(tmp_path / "m.json")
    assert loaded.entries == [replace(entry, generated=False) for entry in manifest.entries]
    for path in (tmp_path / "cache").glob("*.json"):
        entry = json.loads(path.read_text())
        if entry.pop("generated", None) is not None:
            path.write_text(json.dumps(entry))
    assert scan(corpus, tmp_path / "cache") == manifest


def test_every_format_can_carry_the_mark(tmp_path):
    for suffix, subtype in ((".flac", "PCM_24"), (".ogg", "VORBIS"), (".aiff", "PCM_16")):
        with sf.SoundFile(tmp_path / f"a{suffix}", "w", RATE, 1, subtype) as file:
            file.comment = MARK
            file.write(np.zeros(RATE))
        assert is_generated(tmp_path / f"a{suffix}")
