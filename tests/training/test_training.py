"""Training manners, in one process: what a run leaves behind, how it goes on, and what it refuses."""

import json
import math
import shutil

import pytest
import torch
from support import composed, copy_of, tiny

from distillgan.audio.loudness import measure
from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.models.modelfile import read_model
from distillgan.paths import Home
from distillgan.training.callbacks import load_checkpoint
from distillgan.training.pipeline import train
from distillgan.training.run_status import Run


def last(home, stage):
    return home / "runs" / "tiny" / {"vocoder": "hifigan"}.get(stage, stage) / "last.ckpt"


def weights(home, stage):
    return load_checkpoint(last(home, stage))["state_dict"]


def test_run_leaves_model_configuration_manifest_and_board(trained):
    home, error = trained
    run = home / "runs" / "tiny"
    assert (run / "config.yaml").exists()
    assert len(json.loads((run / "manifest.json").read_text())["entries"]) == 6
    for stage in ("vae", "hifigan"):
        assert list((run / stage).glob("events*"))
        assert (run / stage / "preview.png").stat().st_size > 1000
        assert (run / stage / "last.ckpt").exists() and (run / stage / "best.ckpt").exists()
    header = read_header(home / "models" / "tiny.distillgan")
    assert header.training["vae"]["steps"] == 4 and header.training["vocoder"]["steps"] == 4
    assert header.licence == "CC0" and header.note == "hello"
    assert header.corpus["files"] == 6 and len(header.corpus["held_out"]) == 1
    assert header.training["vocoder"]["mel_error"] == error


def test_the_model_keeps_how_loud_its_recordings_are_together(trained, recordings):
    found = [measure(path) for path in recordings.glob("*.wav")]
    power = sum(item.shape[1] * 10 ** (item.lufs / 10) for item in found) / sum(item.shape[1] for item in found)
    header = read_header(trained[0] / "models" / "tiny.distillgan")
    assert header.source_lufs == pytest.approx(10 * math.log10(power), abs=0.05)


def test_board_holds_curves_pictures_and_sound(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    home, _ = trained
    for stage, scalar in (("vae", "val/mel_error_db"), ("hifigan", "val/mel_error")):
        board = EventAccumulator(str(home / "runs" / "tiny" / stage))
        board.Reload()
        tags = board.Tags()
        assert scalar in tags["scalars"] and tags["images"] and tags["audio"]


def test_repeating_a_finished_run_trains_nothing_and_keeps_the_vocoder(trained, recordings, tmp_path):
    home = copy_of(trained[0], tmp_path / "home")
    before = weights(home, "vae")
    _, tensors = read_model(home / "models" / "tiny.distillgan")
    train(tiny(home, recordings))
    _, again = read_model(home / "models" / "tiny.distillgan")
    assert all(torch.equal(before[key], value) for key, value in weights(home, "vae").items())
    assert tensors.keys() == again.keys() and all(torch.equal(tensors[key], again[key]) for key in tensors)


@pytest.mark.parametrize("stage", ["vae", "vocoder"])
def test_resumed_run_equals_an_unbroken_one(trained, tmp_path, recordings, stage):
    if stage == "vocoder":
        copy_of(trained[0], tmp_path, "hifigan")
    options = ["vocoder=hifigan", f"stages=[{stage}]"]
    train(tiny(tmp_path, recordings, *options, f"{'model' if stage == 'vae' else 'vocoder'}.max_steps=3"))
    assert load_checkpoint(last(tmp_path, stage))["steps_done"] == 3
    train(tiny(tmp_path, recordings, *options))
    unbroken, resumed = weights(trained[0], stage), weights(tmp_path, stage)
    assert unbroken.keys() == resumed.keys()
    for name, tensor in unbroken.items():
        torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=0, msg=name)


def test_same_seed_same_model_other_seed_another(tmp_path, recordings):
    for home, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny(tmp_path / home, recordings, f"seed={seed}"))
    prints = [read_header(tmp_path / home / "models" / "tiny.distillgan").fingerprint for home in "abc"]
    assert prints[0] == prints[1] != prints[2]


def test_more_steps_go_on_from_the_last_checkpoint(trained, tmp_path, recordings, capsys):
    train(tiny(copy_of(trained[0], tmp_path), recordings, "model.max_steps=6"))
    assert read_header(tmp_path / "models" / "tiny.distillgan").training["vae"]["steps"] == 6
    assert "dB on held-out files" in capsys.readouterr().out


def test_max_time_ends_a_stage_and_counts_over_resumes(tmp_path, recordings):
    config = tiny(tmp_path, recordings, "model.max_steps=100000", "trainer.max_time=00:00:00:02")
    train(config)
    first = read_header(tmp_path / "models" / "tiny.distillgan").training["vae"]
    assert 2 <= first["seconds"] < 20 and first["steps"] < 100000
    train(config)
    assert read_header(tmp_path / "models" / "tiny.distillgan").training["vae"]["steps"] == first["steps"]


@pytest.mark.parametrize("stage", ["vae", "vocoder"])
def test_nan_stops_says_what_to_change_and_keeps_the_last_good_state(trained, tmp_path, recordings, stage):
    copy_of(trained[0], tmp_path)
    model = (tmp_path / "models" / "tiny.distillgan").read_bytes()
    before = weights(tmp_path, stage)
    key = "model.module.lr" if stage == "vae" else "vocoder.module.learning_rate"
    steps = "model.max_steps" if stage == "vae" else "vocoder.max_steps"
    with pytest.raises(UserError, match="learning rate"):
        train(tiny(tmp_path, recordings, "vocoder=hifigan", f"stages=[{stage}]", f"{key}=1e30", f"{steps}=60"))
    after = weights(tmp_path, stage)
    assert all(torch.isfinite(value).all() for value in after.values())
    assert (tmp_path / "models" / "tiny.distillgan").read_bytes() == model
    assert before.keys() == after.keys()


def test_changed_network_or_corpus_is_refused_and_resume_never_keeps_the_old(trained, tmp_path, recordings):
    copy_of(trained[0], tmp_path)
    with pytest.raises(UserError, match=r"latent_dim: 4 in the run, 6 now[\s\S]*resume=never"):
        train(tiny(tmp_path, recordings, "model.latent_dim=6"))
    with pytest.raises(UserError, match="corpus"):
        train(composed("train", tmp_path, "experiment=tiny", "name=tiny"))
    train(tiny(tmp_path, recordings, "model.latent_dim=6", "resume=never"))
    assert read_header(tmp_path / "models" / "tiny.distillgan").vae["latent_dim"] == 6
    assert read_header(tmp_path / "models" / "tiny.old-1.distillgan").vae["latent_dim"] == 4
    assert (tmp_path / "runs" / "tiny.old-1" / "vae" / "last.ckpt").exists()


def test_damaged_checkpoint_is_named(trained, tmp_path, recordings):
    path = last(copy_of(trained[0], tmp_path), "vae")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"last\.ckpt is not a readable checkpoint[\s\S]*resume=never"):
        train(tiny(tmp_path, recordings, "model.max_steps=6"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["stages=[]"], "stages"),
        (["stages=[vea]"], "vea"),
        (["stages=[vocoder]"], "vocoder=hifigan"),
        (["stages=[vocoder]", "vocoder=hifigan"], "no.* of this name|finished model"),
        (["resume=maybe"], "resume=maybe"),
        (["trainer.max_time=ten"], "DD:HH:MM:SS"),
        (["trainer.max_time=00:00:00:00"], "DD:HH:MM:SS"),
        (["trainer.precision=banana"], "banana"),
        (["model.max_steps=0"], "max_steps=0"),
        (["model.max_steps=nan"], "max_steps=nan"),
        (["data.validation_seconds=-1"], "validation_seconds=-1"),
        (["model.module.lr=nan"], "lr=nan"),
        (["mel.n_mels=abc"], "n_mels=abc"),
        (["seed=-1"], "seed=-1"),
        (["name=../x"], "cannot name a model"),
        (["data.batch_size=0"], "batch_size=0"),
        (["data.augment.time_stretch=[3,4]"], "time_stretch"),
        (["callbacks.checkpoint.every=0"], "every=0"),
        (["model.module.network.stride=7"], "stride=7"),
        (["mel.f_max=30000"], "f_max"),
        (["data.dir=/no/such/folder"], "/no/such/folder"),
    ],
)
def test_bad_values_get_their_message(tmp_path, recordings, overrides, words):
    with pytest.raises(UserError, match=words):
        train(tiny(tmp_path, recordings, *overrides))


def test_cuda_is_refused_where_there_is_none(tmp_path, recordings):
    if torch.cuda.is_available():
        return
    config = tiny(tmp_path, recordings)
    config.device.name = "cuda"
    with pytest.raises(UserError, match="device=cuda was asked for"):
        train(config)


def test_few_files_are_judged_on_themselves(tmp_path, recordings, capsys):
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.wav").write_bytes((recordings / f"take{number}.wav").read_bytes())
    train(composed("train", tmp_path, "experiment=tiny", "~callbacks.preview", f"data.dir={folder}"))
    header = read_header(tmp_path / "models" / "few.distillgan")
    assert header.corpus["held_out"] == [] and header.corpus["files"] == 2
    assert "dB on training files" in capsys.readouterr().out


def test_a_model_without_its_run_is_kept_when_its_name_is_trained_anew(trained, tmp_path, recordings):
    copy_of(trained[0], tmp_path)
    shutil.rmtree(tmp_path / "runs")
    old = (tmp_path / "models" / "tiny.distillgan").read_bytes()
    train(tiny(tmp_path, recordings, "seed=2"))
    assert (tmp_path / "models" / "tiny.old-1.distillgan").read_bytes() == old


def test_a_name_is_trained_by_one_process_at_a_time(trained, tmp_path, recordings):
    copy_of(trained[0], tmp_path)
    with Run(Home(tmp_path), "tiny").lock(), pytest.raises(UserError, match="being trained by another process"):
        train(tiny(tmp_path, recordings))
    train(tiny(tmp_path, recordings))


def test_a_refused_value_is_not_held_against_the_next_try(tmp_path, recordings):
    with pytest.raises(UserError, match="latent_dim=0"):
        train(tiny(tmp_path, recordings, "model.latent_dim=0"))
    with pytest.raises(UserError, match="width=0"):
        train(tiny(tmp_path, recordings, "vocoder=hifigan", "vocoder.discriminators.width=0"))
    assert not (tmp_path / "models").exists(), "the vocoder's values are checked before the VAE is trained"
    train(tiny(tmp_path, recordings))


@pytest.mark.slow
def test_a_stage_that_gets_no_better_is_ended(tmp_path, recordings, capsys):
    # At no learning rate nothing gets better after the first look.
    still = ["model.module.lr=0", "model.module.ema_decay=0", "callbacks.patience.time=00:00:00:01"]
    train(tiny(tmp_path, recordings, *still, "model.max_steps=1000000", "trainer.validate_every=2"))
    header = read_header(tmp_path / "models" / "tiny.distillgan")
    assert 2 <= header.training["vae"]["steps"] < 1000000 and header.training["vae"]["seconds"] >= 1
    assert "for 1 s: stopped" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"callbacks.patience.time=soon must be DD:HH:MM:SS"):
        train(tiny(tmp_path, recordings, "callbacks.patience.time=soon", "resume=never"))


def test_another_choice_of_channels_is_another_run(trained, recordings, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(trained[0], home)
    with pytest.raises(UserError, match=r"data.channels: mix in the run, left now"):
        train(tiny(home, recordings, "data.channels=left"))
    with pytest.raises(UserError, match=r"has learnt its recordings with data.channels=mix, not 2"):
        train(tiny(home, recordings, "data.channels=2", "extend=true"))
    with pytest.raises(UserError, match=r"data.channels=middle must be mix"):
        train(tiny(home, recordings, "data.channels=middle"))
    # Begun before there was a choice: it goes on as it was.
    signature = home / "runs" / "tiny" / "vae" / "signature.json"
    noted = json.loads(signature.read_text())
    assert noted.pop("data.channels") == "mix"
    signature.write_text(json.dumps(noted))
    train(tiny(home, recordings))


@pytest.mark.parametrize("wrong", ["trainer.max_time=soon", "model.module.network.stride=7", "model.max_steps=-1"])
def test_a_wrong_value_begins_no_run(tmp_path, recordings, wrong):
    with pytest.raises(UserError):
        train(tiny(tmp_path, recordings, wrong))
    assert not (tmp_path / "runs" / "tiny").exists()
