"""Generated sound in a corpus: the same bytes, over no other file, known as generated and never held out."""

import json

import pytest
import soundfile as sf
from limits import file_size_limit
from recorded import RATE, account, recorded, tone

from distillgan.audio.formats import Mp3
from distillgan.cli.commands.sound_commands import add_to_dataset
from distillgan.data.scan import scan
from distillgan.errors import UserError


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_an_added_sound_is_known_as_generated(home, history, corpus):
    entries = [
        history.get(recorded(history, home.audio / f"{seed}.wav", account(seed=seed), tone(frequency=100 * seed)))
        for seed in (1, 2)
    ]
    sf.write(corpus / "mine.wav", tone(frequency=770)[0], RATE)
    added = add_to_dataset(entries, corpus)
    assert [(one.id, one.path, one.notes) for one in added] == [(1, corpus / "1.wav", []), (2, corpus / "2.wav", [])]
    assert all(one.path.read_bytes() == entry.path.read_bytes() for one, entry in zip(added, entries, strict=True))
    manifest = scan(corpus, home.decoded)
    assert {entry.path: entry.generated for entry in manifest.entries} == {
        "1.wav": True, "2.wav": True, "mine.wav": False,
    }  # fmt: skip


def test_never_over_another_file_and_never_twice(home, history, corpus):
    entry = history.get(recorded(history, home.audio / "a.wav", account()))
    (corpus / "a.wav").write_bytes(b"precious")
    (corpus / "a-2.wav").mkdir()
    first, second = add_to_dataset([entry], corpus), add_to_dataset([entry], corpus)
    assert [one.path.name for one in first + second] == ["a-3.wav", "a-3.wav"]
    assert (first[0].notes, second[0].notes) == ([], ["it was there already"])
    assert (corpus / "a.wav").read_bytes() == b"precious" and len(list(corpus.iterdir())) == 3


def test_what_its_owner_may_want_to_know(home, history, corpus):
    told = account() | {"interrupted": True}
    entry = history.get(recorded(history, home.audio / "a.mp3", told, form=Mp3(RATE)))
    (one,) = add_to_dataset([entry], corpus)
    assert one.notes[0].startswith("it is lossy (MP3)") and one.notes[1:] == ["it was broken off while it was rendered"]
    assert scan(corpus, home.decoded).entries[0].generated


def test_all_are_looked_at_before_one_is_copied(home, history, corpus, tmp_path):
    good, gone, bare = (
        history.get(recorded(history, home.audio / f"{seed}.wav", account(seed=seed))) for seed in (1, 2, 3)
    )
    gone.path.unlink()
    sf.write(bare.path, tone()[0], RATE)
    for entries, words in (
        ([good, gone], "entry 2 cannot be adopted: it is gone"),
        ([good, bare], "distillgan again 3"),
    ):
        with pytest.raises(UserError, match=words):
            add_to_dataset(entries, corpus)
    with pytest.raises(UserError, match="nowhere is no folder"):
        add_to_dataset([good], tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no folder"):
        add_to_dataset([good], good.path)
    assert not list(corpus.iterdir())


def test_a_disk_that_refuses_leaves_nothing(home, history, corpus):
    entry = history.get(recorded(history, home.audio / "a.wav", account()))
    with file_size_limit(50_000), pytest.raises(UserError, match=r"a\.wav could not be written"):
        add_to_dataset([entry], corpus)
    assert not list(corpus.iterdir())
    assert json.loads(entry.path.with_suffix(".json").read_text()) == entry.metadata
