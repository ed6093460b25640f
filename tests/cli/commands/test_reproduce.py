"""A sound is made again from its file alone, or from the history; what differs is said, and what is foreign refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from crafted import RATE, write_crafted
from support import requested

from distillgan.audio.formats import Flac
from distillgan.audio.tags import Tags, read_comment
from distillgan.cli.main import main
from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.synthesis.generation import generate


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    for number, name in enumerate(("rain", "wind")):
        write_crafted(folder / "models", name, seed=number, sliders=("brightness", "density"))
    return folder


def made(home, *overrides):
    return generate(requested(home, "vocoder=hifigan", "duration=0.5", *overrides))[0]


def told(monkeypatch, capsys, *arguments) -> tuple[int, dict]:
    """The exit code of a verb, and the JSON it printed."""
    monkeypatch.setattr("sys.argv", ["distillgan", *map(str, arguments), "--json"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    return end.value.code, json.loads(printed.out) if printed.out else {"error": printed.err}


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.name=rain", "++controls.brightness=7", "++controls.density='0:-5 1:7'", "seed=5"],
        [
            "model.name=rain",
            "export=flac",
            "export.depth=16",
            "export.sample_rate=96000",
            "spatial=stereo",
            "path=chunk",
        ],
        ["model.name=rain", "export=ogg", "spatial=binaural", "spatial.azimuth=60", "source=prior", "evolution=0.9"],
        ["model.name=rain", "export=mp3", "export.sample_rate=48000", "path=interpolate"],
        ["blend.models=['rain:60','wind:0:100 1:0']", "blend.mode=audio", "export.depth=32f", "vocoder=universal"],
    ],
    ids=["wav", "flac", "ogg", "mp3", "blend"],
)
def test_the_same_samples_from_the_file_alone(home, tmp_path, monkeypatch, capsys, overrides):
    original = made(home, *overrides)
    alone = tmp_path / f"sent to a friend{original.path.suffix}"
    original.path.rename(alone)
    code, again = told(monkeypatch, capsys, "reproduce", alone, f"paths.home={home}")
    assert (code, again["same"], again["largest_difference"]) == (0, True, 0)
    first, second = (soundfile.read(path)[0] for path in (alone, again["path"]))
    assert (first == second).all() and abs(first).max() > 0.01
    code, again = told(monkeypatch, capsys, "again", original.id, "--home", home)
    assert (code, again["same"]) == (0, True)  # by the checksum: the file is not where it was


def test_a_recording_is_asked_for_by_its_name_and_the_file_tells_no_path(home, recordings, monkeypatch, capsys):
    recording = recordings / "take2.wav"
    sound = generate(requested(home, "model.name=rain", "vocoder=hifigan", f"recording={recording}"))[0]
    assert str(recordings) not in read_comment(sound.path)
    code, said = told(monkeypatch, capsys, "reproduce", sound.path, f"paths.home={home}")
    assert code == 2 and "take2.wav" in said["error"]
    code, again = told(monkeypatch, capsys, "reproduce", sound.path, f"recording={recording}", f"paths.home={home}")
    assert (code, again["same"]) == (0, True)
    code, again = told(monkeypatch, capsys, "again", sound.id, f"paths.home={home}")
    assert (code, again["same"]) == (0, True)


def test_a_renamed_model_is_found_by_what_it_is(home, monkeypatch, capsys):
    write_crafted(home / "models", "snow", seed=3)
    sound = made(home, "model.name=snow")
    code, _ = told(monkeypatch, capsys, "models", "rename", "snow", "sleet", f"paths.home={home}")
    assert code == 0
    code, again = told(monkeypatch, capsys, "reproduce", sound.path, f"paths.home={home}")
    assert (code, again["same"]) == (0, True)


def test_a_model_that_was_trained_since_is_told_and_the_difference_too(home, monkeypatch, capsys):
    write_crafted(home / "models", "hail", seed=13)
    sound = made(home, "model.name=hail")
    write_crafted(home / "models", "hail", seed=14)
    monkeypatch.setattr("sys.argv", ["distillgan", "reproduce", str(sound.path), f"paths.home={home}", "--json"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert end.value.code == 1 and not json.loads(printed.out)["same"]
    assert "warning: model hail is" in printed.err and "it will differ" in printed.err


def test_a_sound_that_was_changed_is_not_the_same(home, tmp_path, monkeypatch, capsys):
    sound = made(home, "model.name=rain", "export=flac")
    wave, rate = soundfile.read(sound.path, dtype="float32", always_2d=True)
    wave[1000] -= 0.25 * np.sign(wave[1000])
    Flac(rate).write(tmp_path / "a.flac", [wave.T], wave.T.shape, Tags(comment=read_comment(sound.path)))
    code, again = told(monkeypatch, capsys, "reproduce", tmp_path / "a.flac", f"paths.home={home}")
    assert code == 1 and again["largest_difference"] == pytest.approx(0.25, abs=1e-4)
    Flac(rate).write(tmp_path / "a.flac", [wave.T[:, :99]], (1, 99), Tags(comment=read_comment(sound.path)))
    code, again = told(monkeypatch, capsys, "reproduce", tmp_path / "a.flac", f"paths.home={home}")
    assert code == 2 and "lasts 0.0 s, but its tags are those of a sound of 0.5 s" in again["error"].replace("\n", " ")


def test_an_older_file_is_never_overwritten_by_a_strangers_wish(home, tmp_path, monkeypatch, capsys):
    sound = made(home, "model.name=rain", "export.overwrite=true", "export.file='{model}_mine'")
    before = sound.path.read_bytes()
    code, again = told(monkeypatch, capsys, "reproduce", sound.path, f"paths.home={home}")
    assert code == 0 and Path(again["path"]) != sound.path and sound.path.read_bytes() == before


@pytest.mark.parametrize(
    "comment",
    ["", "recorded at the lake", "{", "[]", '{"distillgan": 1}', '{"settings": {}}', '{"distillgan":1,"settings":[]}'],
)
def test_a_file_that_does_not_tell_is_refused_by_its_name(home, tmp_path, monkeypatch, capsys, comment):
    Flac().write(
        tmp_path / "lake.flac", [soundfile.read(made(home, "model.name=rain").path)[0][None]], (1, 22050), Tags()
    )
    wave = soundfile.read(tmp_path / "lake.flac", dtype="float32")[0][None]
    Flac().write(tmp_path / "lake.flac", [wave], wave.shape, Tags(comment=comment))
    code, said = told(monkeypatch, capsys, "reproduce", tmp_path / "lake.flac", f"paths.home={home}")
    assert code == 2 and "lake.flac: its tags do not say how it was made" in said["error"].replace("\n", " ")


def test_a_hostile_comment_runs_nothing(home, tmp_path, monkeypatch, capsys):
    target = tmp_path / "owned"
    for settings in (
        {"export": {"name": "wav", "format": {"_target_": "os.mkdir", "path": str(target)}}},
        {"export": {"name": "wav", "_target_": "os.mkdir"}},
        {"seed": f"1 hydra.run.dir={target}"},
        {"model": {"name": f"x' +a._target_=os.mkdir '{target}"}},
    ):
        comment = json.dumps({"distillgan": "1", "settings": settings, "models": [MODEL]})
        wave = soundfile.read(made(home, "model.name=rain").path, dtype="float32")[0][None]
        Flac().write(tmp_path / "a.flac", [wave], wave.shape, Tags(comment=comment))
        code, said = told(monkeypatch, capsys, "reproduce", tmp_path / "a.flac", f"paths.home={home}")
        assert code == 2 and "do not say" not in said["error"] and not target.exists()


MODEL = {"name": "rain", "fingerprint": "0" * 16}


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"models": [1]}, "do not say how it was made"),
        ({"models": "rain"}, "do not say how it was made"),
        ({"models": None}, "do not say how it was made"),
        ({"models": []}, "do not say how it was made"),
        ({"models": [{"name": "rain"}]}, "do not say how it was made"),
        ({"settings": {"blend": {"models": [["a:1"], {"b": 1}]}}}, "do not say how it was made"),
        ({"models": [{**MODEL, "name": "../../etc/passwd"}]}, "cannot name a model"),
        ({"settings": {"blend": {"models": ["/etc/passwd:1", "rain:1"]}}}, "cannot name a model"),
        ({"settings": {"recording": "/etc/passwd"}}, "its tags name a path, '/etc/passwd'"),
        ({"settings": {"spatial": {"name": "binaural", "sofa": "/etc/passwd"}}}, "its tags name a path"),
        ({"settings": {"duration": 86400}}, "lasts 0.5 s, but its tags are those of a sound of 86400 s"),
        ({"settings": {"path": "\x1b[2J"}}, "path=\\x1b[2J is no path"),
        ({"models": [{**MODEL, "name": "rai"}]}, "model rai, which made it, is not in"),
    ],
)
def test_what_a_strangers_comment_may_not_say(home, tmp_path, monkeypatch, capsys, account, words):
    made(home, "model.name=rain")
    whole = {"distillgan": "1", "models": [MODEL], "settings": {"model": {"name": "rain"}}, **account}
    wave = np.zeros((1, RATE // 2), np.float32)
    Flac().write(tmp_path / "a.flac", [wave], wave.shape, Tags(comment=json.dumps(whole)))
    code, said = told(monkeypatch, capsys, "reproduce", tmp_path / "a.flac", f"paths.home={home}")
    assert code == 2 and words in said["error"].replace("\n", " ")


def test_a_sound_that_was_broken_off_is_made_whole_and_not_compared(home, tmp_path, monkeypatch, capsys):
    def break_off(done, total):
        raise KeyboardInterrupt

    request, sounds = requested(home, "model.name=rain", "vocoder=hifigan", "duration=9"), []
    with pytest.raises(KeyboardInterrupt):
        generate(request, progress=break_off, finished=sounds.append)
    seconds = soundfile.info(sounds[0].path).duration
    assert 0.1 < seconds < 9
    for words in (("reproduce", sounds[0].path), ("again", sounds[0].id)):
        code, said = told(monkeypatch, capsys, *words, f"paths.home={home}")
        assert (code, said["same"]) == (0, None) and soundfile.info(said["path"]).duration == 9


def test_what_is_no_file_and_no_number(home, monkeypatch, capsys):
    code, said = told(monkeypatch, capsys, "reproduce", "/no/such.wav", f"paths.home={home}")
    assert code == 2 and "/no/such.wav" in said["error"]
    for word in ("999999", "x", "-1"):
        code, said = told(monkeypatch, capsys, "again", word, f"paths.home={home}")
        assert code == 2 and "error" in said
    assert History(Home(home)).latest().id > 0
