"""The files of an entry: only its own are removed, and only what is its own sound is adopted or compared."""

import json
import os

import pytest
import soundfile as sf
from recorded import RATE, account, recorded, tone

from distillgan.audio.formats import Flac, Mp3, Ogg, Wav
from distillgan.audio.tags import Tags
from distillgan.store import history_files


@pytest.fixture
def entry(home, history):
    return history.get(recorded(history, home.audio / "a.wav", account(seed=1)))


def there(entry):
    return {path.suffix for path in entry.path.parent.iterdir() if path.stem == entry.path.stem}


@pytest.mark.parametrize("form", [Wav(RATE), Wav(RATE, 16), Flac(RATE), Ogg(RATE), Mp3(RATE)])
def test_an_entrys_own_sound(home, history, form):
    path = home.audio / f"a{form.suffix}"
    entry = history.get(recorded(history, path, account(), form=form))
    assert history_files.fault(entry) == ""
    path.with_suffix(".json").unlink()  # its own tag tells
    assert history_files.fault(entry) == ""
    history.delete([entry.id])
    assert history_files.remove(entry, history) == "" and there(entry) == set()


def test_without_a_tag_the_account_beside_it_tells(entry):
    sf.write(entry.path, tone()[0], RATE)
    assert history_files.fault(entry) == ""
    entry.path.with_suffix(".json").write_text(json.dumps(account(seed=2)))
    assert history_files.fault(entry) == "it does not say that it is this sound, nor does the account beside it"
    entry.path.with_suffix(".json").write_text("{")
    assert history_files.fault(entry).startswith("it does not say")


def replace_by_another(path):
    Wav(RATE).write(path, [tone()], (1, 2 * RATE), Tags(comment=json.dumps({"distillgan": "2", "sound": "other"})))


def cut(path):
    with sf.SoundFile(path) as file:
        comment, half = file.comment, file.read(RATE)
    Wav(RATE).write(path, [half[None].astype("float32")], (1, RATE), Tags(comment=comment))


def link(path):
    path.rename(path.with_name("real.wav"))
    path.symlink_to("real.wav")


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "it is gone"),
        (replace_by_another, "another sound is there by now"),
        (cut, "it is 1.0 s long by now"),
        (link, "it is a link or no file"),
        (fifo, "it is a link or no file"),
        (folder, "it is a link or no file"),
        (lambda path: path.write_bytes(b"no sound"), "unreadable: "),
        (lambda path: path.write_bytes(b""), "empty: "),
    ],
)
def test_what_is_not_the_entrys_sound_is_left(entry, history, change, words):
    change(entry.path)
    before = sorted(entry.path.parent.iterdir())
    history.delete([entry.id])
    assert history_files.fault(entry).startswith(words)
    assert history_files.remove(entry, history).startswith(words)
    assert sorted(entry.path.parent.iterdir()) == before


def test_the_sound_of_a_later_entry_is_left(entry, home, history):
    """The same seed gives the same sound under the same name, once the first was deleted by hand."""
    later = recorded(history, entry.path, account(seed=1))
    history.delete([entry.id])
    assert history_files.remove(entry, history) == f"it is the sound of entry {later}, too" and len(there(entry)) == 3
    (gone,) = history.delete([later])
    assert history_files.remove(gone, history) == "" and not there(entry)


def test_links_beside_it_are_left(entry, history, tmp_path):
    precious = tmp_path / "precious.png"
    precious.write_bytes(b"x")
    entry.path.with_suffix(".png").unlink()
    entry.path.with_suffix(".png").symlink_to(precious)
    history.delete([entry.id])
    assert history_files.remove(entry, history) == "" and there(entry) == {".png"} and precious.exists()
