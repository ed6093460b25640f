"""replace_file: the new file whole, or the old one untouched, and nothing left beside it."""

import os
import re
import time

import pytest
from limits import file_size_limit, without_root

from distillgan.atomic import replace_file
from distillgan.errors import UserError


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "a.wav"
    for data in (b"first", b"second"):
        with replace_file(path) as temporary:
            assert temporary.parent == path.parent and temporary.name.startswith(".") and temporary.suffix == ".wav"
            temporary.write_bytes(data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with replace_file(tmp_path / "replaced") as temporary:
        temporary.write_bytes(b"")
    assert (tmp_path / "replaced").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, UserError])
def test_any_exception_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(error), replace_file(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_follows_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with replace_file(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_full_disk(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    words = re.escape(str(path)) + " could not be written: .*larger than the system allows"
    with file_size_limit(50_000), pytest.raises(UserError, match=words), replace_file(path) as temporary:
        temporary.write_bytes(bytes(100_000))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_no_permission(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    path = folder / "a.bin"
    path.write_bytes(b"old")
    folder.chmod(0o555)
    with without_root(), pytest.raises(UserError, match="no permission"), replace_file(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"old" and list(folder.iterdir()) == [path]


def test_impossible_places(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    for name, words in {
        "file/a": "part of the path is a file|File exists",
        "folder": "a folder of that name",
        "x" * 250: "too long",
        "circle/a": "choose another folder",
    }.items():
        with pytest.raises(UserError, match=words), replace_file(tmp_path / name) as temporary:
            temporary.write_bytes(b"new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["circle", "file", "folder"]


def test_leftovers_of_killed_writers_go_after_an_hour(tmp_path):
    path = tmp_path / "a.bin"
    names = (".a.bin.0123abcd.bin", ".a.bin.4567abcd.bin", ".b.bin.0123abcd.bin")
    old, fresh, other = (tmp_path / name for name in names)
    for file in (old, fresh, other):
        file.write_bytes(b"half")
    for file in (old, other):
        os.utime(file, (time.time() - 4000,) * 2)
    with replace_file(path) as temporary:
        temporary.write_bytes(b"new")
    assert set(tmp_path.iterdir()) == {path, fresh, other}
