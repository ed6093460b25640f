"""`evaluate what=vocoder`: which clips, what is fed, and the reports, with the tiny model and a small BigVGAN."""

import json
import sys

import numpy as np
import pytest
import soundfile
import torch
from hub import write_pin
from support import evaluation

from distillgan.audio.mel import MelSpectrogram, log1p_to_log_clamp, to_log1p, to_log_clamp
from distillgan.control.trajectory import decode, encode
from distillgan.data.cache import AudioCache
from distillgan.data.manifest import Manifest
from distillgan.errors import UserError
from distillgan.evaluation import vocoders as scoring
from distillgan.evaluation.metrics import zimtohrli
from distillgan.evaluation.tasks import evaluate
from distillgan.evaluation.vocoders import VocoderAdapter, external
from distillgan.synthesis.renderer import Model

RATE, HOP = 44100, 512
YARDSTICK = "experiments.yardsticks:griffin_lim"
CPU = torch.device("cpu")


@pytest.fixture
def home(trained, tmp_path):
    """A home of its own with the trained model in it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.distillgan").write_bytes((trained[0] / "models" / "tiny.distillgan").read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def model(trained) -> Model:
    return Model.load(trained[0] / "models" / "tiny.distillgan", CPU)


def scored(home, recordings, *overrides) -> dict:
    return evaluate(evaluation(home, "model.name=tiny", f"data.dir={recordings}", "what=vocoder", *overrides))


def clip_of(folder, wave):
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / "clip.wav", wave, RATE, subtype="FLOAT")
    with AudioCache(folder / "cache", RATE) as cache:
        return cache.clip(folder / "clip.wav")


def test_several_vocoders_in_one_table_and_its_files(home, recordings, hub, trained, capsys):
    pin = write_pin(home / "PIN", hub.files)
    result = scored(home, recordings, f"vocoders=[auto,bigvgan,{YARDSTICK},hifigan]", f"vocoder.pin={pin}")
    # auto is hifigan here, and is judged once.
    rows = [(line["vocoder"], line["mels"]) for line in result["means"]]
    assert rows == [(v, m) for v in ("hifigan", "bigvgan", YARDSTICK) for m in ("true", "own")]
    held_out = [
        e.path for e in Manifest.load(trained[0] / "runs" / "tiny" / "manifest.json").used if e.split != "train"
    ]
    assert result["part"] == "held out" and {row["path"] for row in result["files"]} == set(held_out)
    by = {(line["vocoder"], line["mels"]): line for line in result["means"]}
    # Phase guessing from true mels against a network after a few steps: whatever measures magnitudes must tell.
    for key in ("stft", "mel_l1", "log_spectral_distance_db"):
        assert by[YARDSTICK, "true"][key] < by["hifigan", "true"][key]
    assert by[YARDSTICK, "true"]["mel_l1"] < by[YARDSTICK, "own"]["mel_l1"]
    assert all(line["real_time_factor"] > 0 for line in result["means"])

    folder, printed = home / "evaluations", capsys.readouterr().out
    assert json.loads((folder / "tiny_vocoder.json").read_text()) == json.loads(json.dumps(result))
    text = (folder / "tiny_vocoder.md").read_text()
    assert text.count(f"| {YARDSTICK} |") == 4 and "Yamamoto" in text and "| bigvgan | own |" in text
    picture = (folder / "tiny_vocoder.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000
    for word in (
        f"vocoder {YARDSTICK}: from outside",
        "tiny_vocoder.json",
        "tiny_vocoder.md",
        "tiny_vocoder.png",
        "vocoder hifigan: the",
    ):
        assert word in printed
    assert not (folder / "tiny.json").exists()


def test_same_again_but_for_the_time(model, recordings, tmp_path):
    with AudioCache(tmp_path, RATE) as cache:
        clip = cache.clip(recordings / "take1.wav")
    hifigan, yardstick = VocoderAdapter.of("hifigan", model.vocoder), external(YARDSTICK, model.spec, CPU)
    results = [scoring.evaluate_vocoders(model, [clip], [hifigan, yardstick], CPU).result for _ in range(2)]
    for result in results:
        for line in result["means"] + result["files"]:
            assert line.pop("real_time_factor") > 0
    assert results[0] == results[1] and len(results[0]["files"]) == 4


def test_where_nothing_is_held_out_all_clips_count_and_it_is_said(home, recordings, trained, tmp_path, capsys):
    folder = tmp_path / "known"
    folder.mkdir()
    manifest = Manifest.load(trained[0] / "runs" / "tiny" / "manifest.json")
    for entry in [e for e in manifest.used if e.split == "train"][:1]:
        (folder / entry.path).write_bytes((recordings / entry.path).read_bytes())
    result = scored(home, folder)
    assert result["part"] == "training" and result["means"][0]["clips"] == 1
    assert "no clip is held out" in capsys.readouterr().out


def test_odd_names_and_the_missing_extra_are_shown_as_they_are(home, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "zimtohrli", None)
    zimtohrli.cache_clear()
    folder = tmp_path / "odd"
    folder.mkdir()
    wave = np.concatenate([np.zeros(10 * RATE), 0.1 * np.random.default_rng(0).standard_normal(RATE)])
    soundfile.write(folder / "silent[b].wav", wave, RATE)
    soundfile.write(folder / "a$x^$|[b].wav", wave[-RATE // 2 :], RATE)
    result = scored(home, folder, "vocoder=hifigan")
    zimtohrli.cache_clear()
    printed, text = capsys.readouterr().out, (home / "evaluations" / "tiny_vocoder.md").read_text()
    assert "left out, silent in the first 10 s: silent[b].wav" in printed
    assert "pip install 'distillgan[scores]'" in printed and "not installed" in printed
    assert r"| a$x^$\|[b].wav | hifigan | own | " in text and "not installed" in text
    assert all(line["zimtohrli"] is None for line in result["means"])


def test_what_is_fed_is_the_clip_at_its_gain_and_what_the_vae_makes_of_it(model, tmp_path):
    """A player that gives back the clip itself is perfect, so place, length and level are those of the clip."""
    wave = 0.01 * np.sin(2 * np.pi * 300 * np.arange(20000) / RATE) * np.exp(-np.arange(20000) / 9000)
    clip, fed = clip_of(tmp_path, wave), []
    samples = 20000 // HOP * HOP

    def play(mel):
        fed.append(mel)
        return torch.from_numpy(clip.read(0, mel.shape[-1] * HOP))

    (true_row, own_row) = scoring.evaluate_vocoders(model, [clip], [VocoderAdapter("echo", play)], CPU).result["files"]
    assert clip.gain > 3 and true_row["seconds"] == samples / RATE
    assert true_row["stft"] == own_row["stft"] == true_row["mel_l1"] == true_row["log_spectral_distance_db"] == 0
    true, own = fed
    mel = MelSpectrogram(model.spec)(torch.from_numpy(clip.read(0, samples))[None])
    assert torch.equal(true, to_log_clamp(mel))
    z = encode(model.network, to_log1p(mel[0], model.spec))
    assert torch.equal(own, log1p_to_log_clamp(decode(model.network, z, mel.shape[-1]), model.spec))
    assert not torch.allclose(own, true, atol=0.1)


def test_of_a_long_clip_the_first_ten_seconds_count(model, tmp_path):
    wave = 0.1 * np.random.default_rng(0).standard_normal(12 * RATE)
    clip, told = clip_of(tmp_path, wave), []
    echo = VocoderAdapter("echo", lambda mel: torch.from_numpy(clip.read(0, mel.shape[-1] * HOP)))
    result = scoring.evaluate_vocoders(model, [clip], [echo], CPU, lambda *progress: told.append(progress)).result
    assert result["shortened"] == ["clip.wav"] and result["files"][0]["seconds"] == 10 * RATE // HOP * HOP / RATE
    assert told == [(10, 20), (20, 20)]


def test_a_clip_that_begins_with_ten_silent_seconds_is_left_out(model, tmp_path):
    rng, late = np.random.default_rng(0), np.zeros(11 * RATE)
    late[-RATE:] = 0.1 * rng.standard_normal(RATE)
    silent, loud = clip_of(tmp_path / "a", late), clip_of(tmp_path / "b", late[-RATE:])
    echo = VocoderAdapter("echo", lambda mel: torch.from_numpy(loud.read(0, mel.shape[-1] * HOP)))
    judged = scoring.evaluate_vocoders(model, [silent, loud], [echo], CPU)
    assert judged.result["silent"] == ["clip.wav"] and len(judged.result["files"]) == 2
    with pytest.raises(UserError, match="none of the 1 clips has sound"):
        scoring.evaluate_vocoders(model, [silent], [echo], CPU)


def test_a_vocoder_that_makes_nan_is_named(model, tmp_path):
    clip = clip_of(tmp_path, 0.1 * np.random.default_rng(0).standard_normal(20000))
    broken = VocoderAdapter("broken", lambda mel: torch.full((mel.shape[-1] * HOP,), float("nan")))
    with pytest.raises(UserError, match=r"vocoder broken on clip.wav, true mels: .*NaN"):
        scoring.evaluate_vocoders(model, [clip], [broken], CPU)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["what=nothing"], "what=nothing.*reconstruction, vocoder"),
        (["vocoders=[nosuch]"], "nosuch.*list one or more of auto, bigvgan.*module:callable"),
        (["vocoders=[3,[auto]]"], "list one or more of auto"),
        (
            ["vocoders=[auto,griffinlim]"],
            r"griffinlim is no vocoder.*vocoders=\[auto,experiments.yardsticks:griffin_lim\]",
        ),
        (["vocoders=[]"], "list one or more"),
        (["vocoder=none"], "cannot play"),
        (["vocoder=bigvgan", "vocoder.weights_dir=nowhere"], "nowhere"),
    ],
)
def test_bad_values_get_their_message_and_leave_nothing(home, recordings, overrides, words):
    with pytest.raises(UserError, match=words):
        scored(home, recordings, *overrides)
    assert not (home / "evaluations").exists()
