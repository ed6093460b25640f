"""The recipe of the corpora of the studies: all of one or none, no other recordings, words where it cannot be had."""

import hashlib
import importlib
import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def corpora(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("corpora")


@pytest.fixture
def content(tmp_path, corpora, monkeypatch) -> Path:
    """An unpacked package of four recordings, two of them wanted, and a list of these."""
    for name in ("ambi_a", "ambi_b", "drum_c", "loop_d"):
        path = tmp_path / "content" / "usr" / "share" / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()}  ambient/{name}.flac\n" for name in ("ambi_a", "ambi_b")]
    (tmp_path / "corpora.sha256").write_text("".join(lines))
    monkeypatch.setattr(corpora, "HERE", tmp_path)
    return tmp_path / "content"


def run(corpora, monkeypatch, *words: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["corpora.py", *map(str, words)])
    corpora.main()


def test_each_corpus_is_of_twenty_recordings_and_git_ignores_them(corpora):
    assert [len(corpora.wanted(name)) for name in corpora.NAMES] == [20, 20]
    assert "/outputs/" in (FOLDER.parent / ".gitignore").read_text().splitlines()


def test_a_corpus_is_built_once_and_then_there(corpora, content, tmp_path, monkeypatch, capsys):
    corpora.build("ambient", content, tmp_path / "out" / "ambient")
    assert sorted(os.listdir(tmp_path / "out")) == ["ambient"]
    assert sorted(os.listdir(tmp_path / "out" / "ambient")) == ["ambi_a.flac", "ambi_b.flac"]
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing that could be run
    run(corpora, monkeypatch, "ambient", "--out", tmp_path / "out")
    assert capsys.readouterr().out.endswith("ambient: 2 recordings, there already\n")


def test_other_recordings_are_refused_and_leave_nothing(corpora, content, tmp_path):
    for spoil in (lambda path: path.write_bytes(b"another"), Path.unlink):
        spoil(next(content.rglob("ambi_b.flac")))
        with pytest.raises(corpora.Missing, match="other recordings than those of ambient"):
            corpora.build("ambient", content, tmp_path / "out" / "ambient")
        assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_is_something_else_is_kept(corpora, content, tmp_path):
    mine = tmp_path / "out" / "ambient" / "mine.wav"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert not corpora.whole(mine.parent, corpora.wanted("ambient"))
    with pytest.raises(corpora.Missing, match=r"ambient is there, and is not this corpus: move it away"):
        corpora.build("ambient", content, mine.parent)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize("there", [True, False])
def test_where_the_package_cannot_be_had_it_is_said(corpora, there, tmp_path, monkeypatch, capsys):
    """Without apt-get, and with an apt-get that has no list of packages."""
    said = "the client 'apt-get' is not installed"
    if not there:
        monkeypatch.setenv("PATH", str(tmp_path))
    elif shutil.which("apt-get"):
        (tmp_path / "apt.conf").write_text(
            f'Dir::State::lists "{tmp_path}"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";'
        )
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
        said = "debian says: E: Unable to locate package sonic-pi-samples"
    with pytest.raises(SystemExit) as left:
        run(corpora, monkeypatch, "all", "--out", tmp_path / "out")
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert said in told and "apt-get update" in told and "corpora.sha256" in told
    assert not (tmp_path / "out").exists()
