"""`distillgan adopt`: generated sounds into a folder of recordings."""

import json

import pytest
from recorded import account, recorded, said

from distillgan.cli.commands.sound_commands import adopt_main
from distillgan.paths import Home
from distillgan.store.history import History


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    for seed in (1, 2):
        recorded(History(home), home.audio / f"{seed}.wav", account(seed=seed))
    (tmp_path / "in").mkdir()
    return home


def test_adopting(home, tmp_path, capsys):
    corpus = tmp_path / "in"
    code, out, _ = said(capsys, adopt_main, "1", "latest", "--into", corpus, "--home", home.root)
    assert (code, out) == (0, f"entry 1 → {corpus}/1.wav\nentry 2 → {corpus}/2.wav\n")
    assert (corpus / "1.wav").read_bytes() == (home.audio / "1.wav").read_bytes()
    code, out, _ = said(capsys, adopt_main, "2", "--into", corpus, "--home", home.root, "--json")
    assert code == 0
    assert json.loads(out) == [{"id": 2, "path": f"{corpus}/2.wav", "notes": ["it was there already"]}]
    assert sorted(path.name for path in corpus.iterdir()) == ["1.wav", "2.wav"]


def test_what_cannot_be(home, tmp_path, capsys):
    (home.audio / "2.wav").unlink()
    for arguments, words in (
        (("1", "2", "--into", tmp_path / "in"), "entry 2 cannot be adopted: it is gone"),
        (("1", "--into", tmp_path / "nowhere"), "is no folder: name the one that holds your recordings"),
        (("1",), "required: --into"),
        (("3", "--into", tmp_path / "in"), "there is no entry 3"),
    ):
        code, out, err = said(capsys, adopt_main, *arguments, "--home", home.root)
        assert (code, out) == (2, "") and words in err
    assert not list((tmp_path / "in").iterdir())
