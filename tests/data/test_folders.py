"""Several folders as one corpus: everything once, under its own path."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from distillgan.data.corpus import folders, merged
from distillgan.data.scan import scan
from distillgan.errors import UserError


def noise(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(22050), 44100)


def test_one_folder_several_and_none():
    assert folders(None) is None and folders("~/rain") == ["~/rain"] and folders(7) == ["7"]
    assert folders(OmegaConf.create(["a", "b c"])) == ["a", "b c"]


@pytest.mark.parametrize("value", ["", " ", [], ["a", ""], {"a": 1}, [["a"]], [None]])
def test_what_is_no_folder(value):
    with pytest.raises(UserError, match=re.escape("must be the path of a folder, or a list of such")):
        folders(value)


def test_two_folders_are_one_corpus(tmp_path):
    for number in range(4):
        noise(tmp_path / "a" / f"{number}.wav", number)
        noise(tmp_path / "b" / "deep" / f"{number}.wav", 10 + number)
    noise(tmp_path / "b" / "again.wav", 2)  # sounds as a/2.wav
    one, other = (scan(tmp_path / name, tmp_path / "cache") for name in "ab")
    both = merged([one, other])
    assert both.folder == str(tmp_path)
    assert [entry.path for entry in both.used] == [f"a/{n}.wav" for n in range(4)] + [
        f"b/deep/{n}.wav" for n in range(4)
    ]
    assert [(entry.path, entry.reason) for entry in both.skipped] == [
        ("b/again.wav", "duplicate: sounds the same as a/2.wav")
    ]
    assert both.fingerprint == merged([other, one]).fingerprint
    assert sum(entry.split == "held_out" for entry in both.used) == 2  # a fifth of eight
    assert [len(clip.read(0, 100)) for clip in both.clips(tmp_path / "cache")] == [100] * 8


def test_a_folder_inside_another_counts_once(tmp_path):
    for number in range(3):
        noise(tmp_path / "a" / f"{number}.wav", number)
        noise(tmp_path / "a" / "in" / f"{number}.wav", 10 + number)
    outer, inner = scan(tmp_path / "a", tmp_path / "cache"), scan(tmp_path / "a" / "in", tmp_path / "cache")
    both = merged([outer, inner])
    assert both.fingerprint == outer.fingerprint and not both.skipped and len(both.used) == 6
