"""Corpora of the page: what is copied, what is only noted, and what is never touched."""

import filecmp
import shutil

import numpy as np
import pytest
import soundfile as sf

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.ui.data_tab import COLUMNS, HEADINGS, Corpora, entry_of, outline, played, rows, summary


@pytest.fixture
def corpora(tmp_path):
    return Corpora(Home(tmp_path / "home"))


def test_uploads_are_copied_byte_for_byte_and_never_over_another(corpora, recordings, tmp_path):
    files = sorted(recordings.glob("*.wav"))
    names, left_out = corpora.add("rain", files)
    assert names == [file.name for file in files] and not left_out
    assert all(filecmp.cmp(file, corpora.folder("rain") / file.name, shallow=False) for file in files)
    # Another sound of the same name, the same sound again, and what is no audio.
    other = tmp_path / files[0].name
    shutil.copy(files[1], other)
    text = tmp_path / "notes.txt"
    text.write_text("wet")
    names, left_out = corpora.add("rain", [other, files[2], text])
    assert names == [f"{other.stem}-2.wav"]
    assert [words.partition(":")[0] for words in left_out] == ["notes.txt", files[2].name]
    assert filecmp.cmp(files[0], corpora.folder("rain") / files[0].name, shallow=False)
    assert corpora.names() == ["rain"] and corpora.is_own("rain")


@pytest.mark.parametrize("stem", ["..", ".hidden", "a/../../b", "ü o:*?", "x" * 240, "$(rm)"])
def test_names_of_uploads_are_made_safe_and_stay_in_the_corpus(corpora, recordings, tmp_path, stem):
    folder = tmp_path / "upload"
    folder.mkdir()
    file = folder / f"{stem.replace('/', chr(92))}.wav"
    shutil.copy(recordings / "take0.wav", file)
    (name,), _ = corpora.add("rain", [file])
    path = corpora.folder("rain") / name
    assert path.is_file() and path.parent == corpora.root / "rain" and name[0] != "." and len(name) < 140
    assert [entry.path for entry in corpora.scan("rain").used] == [name]


def test_a_folder_elsewhere_is_noted_and_left_as_it_is(corpora, recordings):
    corpora.note("takes", f" {recordings} ")
    assert corpora.folder("takes") == recordings.resolve() and not corpora.is_own("takes")
    corpora.note("takes", str(recordings))  # the same again
    before = sorted(path.name for path in recordings.iterdir())
    for act in (
        lambda: corpora.add("takes", [recordings / "take0.wav"]),
        lambda: corpora.delete("takes", "take0.wav"),
        lambda: corpora.note("takes", str(recordings.parent)),
    ):
        with pytest.raises(UserError, match="takes"):
            act()
    corpora.forget("takes")
    assert corpora.names() == [] and sorted(path.name for path in recordings.iterdir()) == before


def test_what_is_wrong_is_said(corpora, recordings, tmp_path):
    (tmp_path / "file").write_text("x")
    for folder, words in (("", "type the path"), ("/no/such", "no such folder"), (str(tmp_path / "file"), "a file")):
        with pytest.raises(UserError, match=words):
            corpora.note("x", folder)
    for files, words in (([], "no files"), ([tmp_path / "file.txt"], "no audio file")):
        with pytest.raises(UserError, match=words):
            corpora.add("x", files)
    for name in ("", "../up", "a b"):
        with pytest.raises(UserError, match="cannot name"):
            corpora.add(name, [recordings / "take0.wav"])
    with pytest.raises(UserError, match="no corpus called gone"):
        corpora.scan("gone")
    corpora.root.mkdir(exist_ok=True)
    (corpora.root / "broken.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        corpora.folder("broken")
    assert corpora.names() == ["broken"]


def test_only_what_is_in_the_corpus_can_be_deleted(corpora, recordings):
    corpora.add("rain", [recordings / "take0.wav", recordings / "take1.wav"])
    outside = corpora.root / "kept.wav"
    shutil.copy(recordings / "take2.wav", outside)
    for path in ("../kept.wav", "gone.wav", "", str(outside)):
        with pytest.raises(UserError):
            corpora.delete("rain", path)
    with pytest.raises(UserError, match="still has files"):
        corpora.forget("rain")
    corpora.delete("rain", "take0.wav")
    assert outside.exists() and [entry.path for entry in corpora.scan("rain").used] == ["take1.wav"]
    corpora.delete("rain", "take1.wav")
    corpora.forget("rain")
    assert corpora.names() == []


def test_the_table_tells_of_each_file_and_escapes_nothing_into_markup(corpora, recordings, tmp_path):
    corpora.add("rain", sorted(recordings.glob("*.wav")))
    evil = corpora.folder("rain") / "<img src=x onerror=alert(1)>.wav"
    evil.write_bytes(b"no wav")
    seen = []
    manifest = corpora.scan("rain", lambda done, total, path: seen.append((done, total)))
    assert seen[-1] == (7, 7)
    table = rows(corpora, manifest)
    assert len(table) == 7 and all(len(row) == len(HEADINGS) for row in table)
    assert table[0][0] == evil.name and table[0][2] == "skipped" and "unreadable" in table[0][5]
    assert sorted(row[2] for row in table[1:]) == ["held out", *["learnt"] * 5]
    assert {row[4] for row in table[1:]} == {"44.1 kHz mono"}
    assert all(row[1].startswith('<img alt="" src="data:image/svg+xml;base64,') for row in table[1:])
    words = summary(manifest)
    assert "<b>6</b> files used, 1 held out" in words and "<b>1</b> skipped" in words and "onerror" not in words
    entry = entry_of(manifest, evil.name)
    with pytest.raises(UserError, match="not used"):
        corpora.clip(manifest, entry)
    with pytest.raises(UserError, match="gone"):
        entry_of(manifest, "gone.wav")


def test_what_is_heard_and_drawn_is_what_is_learnt(corpora, tmp_path):
    rate = 22050
    time = np.arange(rate * 150) / rate
    wave = np.where(time < 75, 0.1, 0.5) * np.sin(2 * np.pi * 440 * time)
    sf.write(tmp_path / "long.wav", np.stack([wave, wave], 1), rate)
    corpora.add("tones", [tmp_path / "long.wav"])
    manifest = corpora.scan("tones")
    clip = corpora.clip(manifest, manifest.used[0])
    rate_now, samples = played(clip)
    assert rate_now == 44100 and samples.dtype == np.int16 and len(samples) == 120 * 44100
    spectrum = np.abs(np.fft.rfft(samples[: 44100 * 10].astype(float)))
    assert abs(spectrum.argmax() / 10 - 440) <= 0.1
    ends = outline(clip)
    assert ends.shape == (COLUMNS, 2) and np.allclose(ends[:, 0], -ends[:, 1], rtol=0.02)
    assert np.allclose(ends[COLUMNS // 2 + 1 :, 1] / ends[0, 1], 5, rtol=0.02)


def test_channels_and_limits_are_shown(corpora, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "phone").mkdir()
    sf.write(tmp_path / "phone" / "call.wav", 0.1 * rng.uniform(-1, 1, (8000, 2)), 8000)
    corpora.note("phone", str(tmp_path / "phone"))
    manifest = corpora.scan("phone")
    assert "with nothing above 4 kHz or less" in summary(manifest)
    assert rows(corpora, manifest)[0][HEADINGS.index("remark")] == "nothing above 4 kHz"
    manifest = corpora.scan("phone", channels="each")
    shown = [row[0] for row in rows(corpora, manifest)]
    assert shown == ["call.wav, channel 1", "call.wav, channel 2"]
    second = entry_of(manifest, shown[1])
    assert second.channel == 2 and corpora.clip(manifest, second).name == shown[1]
