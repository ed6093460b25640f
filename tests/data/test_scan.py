"""A scan uses or skips each file with its reason, and splits by sound and not by name."""

import errno
import os
import shutil
import sys
from io import StringIO

import numpy as np
import pytest
import soundfile as sf
from recordings import coded
from rich.console import Console

import distillgan.data.cache as cache_module
from distillgan.data.corpus import summary_table
from distillgan.data.manifest import Manifest
from distillgan.data.scan import scan
from distillgan.errors import UserError

RATE = 44100


def noise(seconds=0.3, seed=0, amplitude=0.3, channels=1):
    return np.random.default_rng(seed).uniform(-amplitude, amplitude, (round(seconds * RATE), channels))


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def run(corpus, tmp_path):
    """Scan the corpus → manifest and {path: reason or ""}."""

    def scan_it(**options):
        manifest = scan(corpus, tmp_path / "cache", **options)
        return manifest, {entry.path: entry.reason for entry in manifest.entries}

    return scan_it


def printed(manifest):
    console = Console(file=StringIO(), width=160)
    console.print(summary_table(manifest))
    return console.file.getvalue()


def test_each_file_is_used_or_skipped_with_its_reason(corpus, run):
    sf.write(corpus / "good.wav", noise(), RATE)
    (corpus / "noaudio.wav").write_bytes(b"no audio at all" * 50)
    (corpus / "phone.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(500))
    (corpus / "stream.aac").write_bytes(b"\xff\xf1\x50\x80" + bytes(500))
    (corpus / "zero.wav").write_bytes(b"")
    sf.write(corpus / "noframes.wav", np.zeros(0), RATE)
    sf.write(corpus / "silent.wav", 10 ** (-90 / 20) * np.sign(noise()), RATE, subtype="FLOAT")
    sf.write(corpus / "nothing.flac", np.zeros(RATE), RATE)
    for name, value in (("nan.wav", np.nan), ("inf.wav", np.inf), ("huge.wav", 3e38)):
        wave = noise(channels=2)
        wave[4410, 1] = value
        sf.write(corpus / name, wave, RATE, subtype="FLOAT")
    sf.write(corpus / "short.wav", noise(0.04), RATE)
    sf.write(corpus / "slow.wav", noise(), 10)
    sf.write(corpus / "long.flac", noise(5), RATE)
    data = (corpus / "long.flac").read_bytes()
    (corpus / "long.flac").unlink()
    (corpus / "cut.flac").write_bytes(data[: len(data) // 2])
    shutil.copy(corpus / "good.wav", corpus / "zcopy.wav")
    os.symlink(corpus / "nowhere.wav", corpus / "dangling.wav")
    os.symlink(corpus / "itself.wav", corpus / "itself.wav")
    for other in ("notes.txt", "cover.jpg", "good.wav.asd", "README"):
        (corpus / other).write_text("hello")

    manifest, reasons = run()
    expected = {
        "good.wav": "",
        "noaudio.wav": "unreadable: Format not recognised",
        "phone.m4a": "unreadable: ",
        "stream.aac": "unreadable: ",
        "zero.wav": "empty: the file has 0 bytes",
        "noframes.wav": "empty: it holds no samples",
        "silent.wav": "silent: its peak is -90.0 dBFS, the limit -80 dBFS",
        "nothing.flac": "silent: its peak is -200.0 dBFS",
        "nan.wav": "NaN or infinite samples, the first at 0.100 s",
        "inf.wav": "NaN or infinite samples, the first at 0.100 s",
        "huge.wav": "NaN or infinite samples, the first at 0.100 s",
        "short.wav": "too short: 40.0 ms, 50 ms are the least",
        "slow.wav": "unreadable: a sample rate of 10 Hz",
        "cut.flac": "",
        "zcopy.wav": "duplicate: sounds the same as good.wav",
        "dangling.wav": "unreadable: a link to a file that is not there",
        "itself.wav": "unreadable: ",
    }
    assert set(reasons) == set(expected)
    for path, reason in expected.items():
        assert reasons[path].startswith(reason) and bool(reason) == bool(reasons[path]), reasons[path]
    assert manifest.other_files == 4
    assert {entry.status for entry in manifest.skipped} == {"skipped"}
    assert all(not entry.split for entry in manifest.skipped)

    text = printed(manifest)
    assert "2 used" in text and "15 skipped, 4 other files" in text and "Warning: 2 usable files." in text
    assert all(path in text for path in expected if path != "good.wav")
    assert "note: ends early: " in text and " of the 5.00 s its header promises" in text


def test_what_macos_leaves_beside_recordings_is_no_recording_and_said_once(corpus, run, tmp_path):
    for name in ("a.mp3", "b.wav"):
        sf.write(corpus / name, noise(1, seed=len(name)), RATE)
        (corpus / f"._{name}").write_bytes(b"\0\x05\x16\x07\0\2\0\0Mac OS X        " + bytes(100))
    (corpus / "._notes.txt").write_bytes(b"\0\x05\x16\x07")
    manifest, reasons = run()
    assert reasons == {"a.mp3": "", "b.wav": ""} and (manifest.appledouble, manifest.other_files) == (2, 0)
    assert printed(manifest).count("._…") == 1 and "2 named ._… left alone" in printed(manifest)
    manifest.save(tmp_path / "manifest.json")
    assert Manifest.load(tmp_path / "manifest.json") == manifest


def test_a_file_for_the_extra_is_read_once_the_extra_is_there(corpus, run, monkeypatch):
    sf.write(corpus / "a.wav", noise(), RATE)
    (corpus / "phone.m4a").write_bytes(coded(noise(), "aac", "ipod"))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        manifest, reasons = run()
        assert "pip install 'distillgan[media]'" in reasons["phone.m4a"]
        assert "pip install 'distillgan[media]'" in printed(manifest)
    assert run()[1] == {"a.wav": "", "phone.m4a": ""}


def test_no_permission_is_a_reason_and_not_remembered(corpus, run, monkeypatch):
    for i in range(2):
        sf.write(corpus / f"{i}.wav", noise(seed=i), RATE)

    def refuse(path, *rest):
        if str(path).endswith("0.wav"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return open(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "open", refuse, raising=False)
        _, reasons = run()
    assert reasons == {"0.wav": "unreadable: permission denied: check its access rights", "1.wav": ""}
    assert run()[1] == {"0.wav": "", "1.wav": ""}


def test_a_closed_folder_is_a_reason(corpus, run, monkeypatch):
    sf.write(corpus / "a.wav", noise(), RATE)
    (corpus / "closed").mkdir()
    listing = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("closed/"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert run()[1] == {"a.wav": "", "closed/": "unreadable: permission denied: check its access rights"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder.rmdir(), "there is no such folder"),
        (lambda folder: (folder.rmdir(), folder.write_text("x")), "it is a file, not a folder"),
        (lambda folder: None, "the folder is empty"),
        (lambda folder: (folder / "a.txt").write_text("x"), "holds no audio, only 1 other file:"),
        (lambda folder: (folder / "[red].wav").write_text("x"), r"among 1:\n  \[red\]\.wav: unreadable"),
    ],
)
def test_no_usable_file_says_so(corpus, run, make, words):
    make(corpus)
    with pytest.raises(UserError, match=rf"data\.dir=.*in: .*{words}"):
        run()


def test_hidden_files_and_folders_are_left_out(corpus, run):
    sf.write(corpus / "a.wav", noise(), RATE)
    sf.write(corpus / ".b.wav", noise(seed=1), RATE)
    (corpus / "._a.wav").write_bytes(b"\0\x05\x16\x07")
    (corpus / ".git" / "deep").mkdir(parents=True)
    sf.write(corpus / ".git" / "deep" / "c.wav", noise(seed=2), RATE)
    manifest, reasons = run()
    assert (reasons, manifest.other_files) == ({"a.wav": ""}, 0)


def test_links_are_followed_once(corpus, tmp_path, run):
    (corpus / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    sf.write(corpus / "a" / "b" / "x.wav", noise(), RATE)
    sf.write(tmp_path / "elsewhere" / "y.wav", noise(seed=1), RATE)
    os.symlink(corpus, corpus / "a" / "b" / "loop")
    os.symlink(corpus / "a", corpus / "0 before a")
    os.symlink(tmp_path / "elsewhere", corpus / "link")
    assert run()[1] == {"a/b/x.wav": "", "link/y.wav": ""}


def test_fifos_do_not_hang(corpus, run):
    sf.write(corpus / "a.wav", noise(), RATE)
    os.mkfifo(corpus / "b.wav")
    assert run()[1] == {"a.wav": ""}


def test_any_name_is_a_name(corpus, run):
    names = ["ünï 日本 🎹.wav", "[red]x[bold].wav", "two\nlines.wav", " space.WAV", "-rf.Flac", "50%.wav", "no suffix"]
    names.append(os.fsdecode(b"stray\xff\xfe.wav"))
    for i, name in enumerate(names):
        kind = "FLAC" if "lac" in name else "AIFF" if "no" in name else "WAV"
        with open(os.path.join(corpus, name), "wb") as file:
            sf.write(file, noise(seed=i), RATE, format=kind)
    shutil.copy(os.path.join(corpus, names[-1]), corpus / "z[bold].wav")
    manifest, reasons = run()
    assert {path for path, reason in reasons.items() if not reason} == set(names)
    assert reasons["z[bold].wav"] == r"duplicate: sounds the same as stray\udcff\udcfe.wav"
    assert "z[bold].wav" in printed(manifest)
    printed(manifest).encode("utf-8")


def test_the_same_sound_in_another_format_is_a_duplicate(corpus, run):
    take = np.random.default_rng(0).integers(-9000, 9000, (RATE // 2, 2)).astype(np.int16)
    (corpus / "Zoo").mkdir()
    sf.write(corpus / "Zoo" / "take.wav", take, RATE)
    sf.write(corpus / "b.flac", take, RATE)
    sf.write(corpus / "C.aiff", take.astype(np.int32) << 16, RATE, subtype="PCM_24")
    with sf.SoundFile(corpus / "d.wav", "w", RATE, 2) as tagged:
        tagged.title = "Another title"
        tagged.write(take)
    sf.write(corpus / "e.wav", take, RATE // 2)
    sf.write(corpus / "f.wav", take[:-1], RATE)
    same = "duplicate: sounds the same as b.flac"
    manifest, reasons = run()
    assert reasons == {"b.flac": "", "C.aiff": same, "d.wav": same, "e.wav": "", "f.wav": "", "Zoo/take.wav": same}
    assert [entry.path for entry in manifest.entries] == ["b.flac", "C.aiff", "d.wav", "e.wav", "f.wav", "Zoo/take.wav"]


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (4, 0), (5, 1), (7, 1), (8, 2), (10, 2), (20, 4)])
def test_a_fifth_is_held_out_from_five_files_on(corpus, run, count, held_out):
    for i in range(count):
        sf.write(corpus / f"{i}.wav", noise(0.06, seed=i), RATE)
    manifest, _ = run()
    out = [entry for entry in manifest.used if entry.split == "held_out"]
    assert len(out) == held_out
    rest = [entry for entry in manifest.used if entry.split == "train"]
    assert len(rest) == count - held_out
    assert all(a.audio_hash < b.audio_hash for a in out for b in rest)
    assert ("Warning" in printed(manifest)) == (count < 5)


def test_the_split_and_fingerprint_follow_the_sound_not_the_name(corpus, run):
    for i in range(10):
        sf.write(corpus / f"{i}.wav", noise(0.06, seed=i), RATE)
    before, _ = run()
    (corpus / "sub").mkdir()
    for i in range(10):
        (corpus / f"{i}.wav").rename(corpus / "sub" / f"take {9 - i}.wav")
    after, _ = run()
    assert before.fingerprint == after.fingerprint
    assert {e.audio_hash: e.split for e in before.used} == {e.audio_hash: e.split for e in after.used}
    (corpus / "sub" / "take 0.wav").unlink()
    assert run()[0].fingerprint != before.fingerprint


def test_progress_counts_every_file(corpus, run):
    for i in range(3):
        sf.write(corpus / f"{i}.wav", noise(seed=i), RATE)
    calls = []
    run(progress=lambda *call: calls.append(call))
    assert calls == [(0, 3, "0.wav"), (1, 3, "1.wav"), (2, 3, "2.wav"), (3, 3, "")]
