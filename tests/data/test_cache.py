"""The cache decodes each sound once, whatever its file is called, and survives damage and interruption."""

import os
import pickle
import shutil
import time

import numpy as np
import pytest
import soundfile as sf

import distillgan.data.cache as cache_module
from distillgan.audio.loudness import Meter
from distillgan.data.scan import scan
from distillgan.errors import UserError

RATE = 44100


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        sf.write(folder / f"{i}.flac", rng.uniform(-0.2, 0.2, (2 * RATE, 2)), 48000)
    (folder / "bad.wav").write_bytes(b"no audio" * 99)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files decoded so far."""
    names = []

    def spy(path, *rest):
        names.append(os.path.basename(path))
        return decode(path, *rest)

    decode = cache_module.decode
    monkeypatch.setattr(cache_module, "decode", spy)
    return names


def test_a_second_scan_decodes_nothing(corpus, cache, decoded):
    first = scan(corpus, cache)
    assert decoded == ["0.flac", "1.flac", "2.flac", "bad.wav"]
    assert scan(corpus, cache) == first
    assert len(decoded) == 4


def test_a_second_scan_is_ten_times_faster(corpus, cache):
    sf.write(corpus / "long.flac", np.random.default_rng(1).uniform(-0.2, 0.2, (60 * RATE, 2)), 48000)
    start = time.perf_counter()
    scan(corpus, cache)
    first = time.perf_counter() - start
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        scan(corpus, cache)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < first / 10


def test_moved_files_are_hashed_but_not_decoded(corpus, cache, decoded, tmp_path):
    first = scan(corpus, cache)
    shutil.copytree(corpus, tmp_path / "moved", copy_function=shutil.copyfile)
    decoded.clear()
    assert scan(tmp_path / "moved", cache).entries == first.entries
    assert decoded == []


def test_changed_content_under_the_same_name_is_seen(corpus, cache, decoded):
    first = scan(corpus, cache)
    stat = (corpus / "0.flac").stat()
    data = bytearray((corpus / "0.flac").read_bytes())
    sf.write(corpus / "0.flac", np.random.default_rng(9).uniform(-0.2, 0.2, (2 * RATE, 2)), 48000)
    # The same size and date, as a careless copy would leave them.
    (corpus / "0.flac").write_bytes((corpus / "0.flac").read_bytes()[: len(data)].ljust(len(data), b"\0"))
    os.utime(corpus / "0.flac", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    decoded.clear()
    second = scan(corpus, cache)
    assert decoded == ["0.flac"]
    assert second.entries[0].cache_key != first.entries[0].cache_key


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", ["shorter", "longer", "gone", "empty"])
def test_a_damaged_entry_is_redone(corpus, cache, decoded, suffix, damage):
    first = scan(corpus, cache)
    entry = first.used[1]
    target = cache / f"{entry.cache_key}{suffix}"
    good = target.read_bytes()
    if damage == "gone":
        target.unlink()
    else:
        target.write_bytes({"shorter": good[:-5], "longer": good + b"xxxx", "empty": b""}[damage])
    decoded.clear()
    assert scan(corpus, cache) == first
    assert decoded == [entry.path]
    assert target.read_bytes() == good


def test_a_damaged_index_is_no_harm(corpus, cache, decoded):
    first = scan(corpus, cache)
    decoded.clear()
    for text in ("", "[1, 2", "[]", '{"x": 3}'):
        (cache / "files.json").write_text(text)
        assert scan(corpus, cache) == first
    assert decoded == []


def test_an_interrupted_decode_leaves_nothing_half(corpus, cache, monkeypatch):
    written = []

    def interrupt(self, block):
        """The loudness is measured when the samples are written."""
        written.append(block.shape)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Meter, "add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            scan(corpus, cache)
    assert written
    assert os.listdir(cache) == ["files.json"]
    assert len(scan(corpus, cache).used) == 3


def test_a_file_that_changes_while_it_is_read_is_not_remembered(corpus, cache, monkeypatch):
    decode = cache_module.decode

    def meddle(path, *rest):
        sound = decode(path, *rest)
        if os.path.basename(path) == "1.flac":
            os.utime(path, ns=(1, 1))
        return sound

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "decode", meddle)
        manifest = scan(corpus, cache)
    (entry,) = [e for e in manifest.skipped if e.path == "1.flac"]
    assert entry.reason == "unreadable: it changed while it was read: scan again"
    assert len(scan(corpus, cache).used) == 3


def test_a_cache_that_cannot_be_written_ends_the_scan(corpus, tmp_path):
    (tmp_path / "occupied").write_text("x")
    with pytest.raises(UserError, match="occupied"):
        scan(corpus, tmp_path / "occupied")


def test_clips_read_any_piece(corpus, cache):
    manifest = scan(corpus, cache)
    clip = manifest.clips(cache)[0]
    whole = clip.read(0, clip.length)
    assert (whole.dtype, whole.shape, clip.sample_rate) == (np.float32, (manifest.used[0].frames,), 44100)
    stored = np.load(clip.path)
    np.testing.assert_array_equal(whole, stored * np.float32(clip.gain))
    np.testing.assert_array_equal(clip.read(1000, 500), whole[1000:1500])
    tail = clip.read(clip.length - 10, 30)
    np.testing.assert_array_equal(tail[:10], whole[-10:])
    assert not tail[10:].any() and len(tail) == 30
    assert not clip.read(clip.length + 5, 20).any()
    assert clip.read(3, 0).shape == (0,)
    with pytest.raises(ValueError, match="start=-1"):
        clip.read(-1, 10)


def test_clips_travel_to_loader_processes(corpus, cache):
    clip = scan(corpus, cache).clips(cache)[0]
    data = pickle.dumps(clip)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).read(5, 100), clip.read(5, 100))


def test_a_clip_whose_cache_is_gone_says_so(corpus, cache):
    clip = scan(corpus, cache).clips(cache)[0]
    clip.path.write_bytes(b"junk")
    with pytest.raises(UserError, match="gone or damaged"):
        clip.read(0, 10)
    clip.path.unlink()
    with pytest.raises(UserError, match="gone or damaged"):
        clip.read(0, 10)
