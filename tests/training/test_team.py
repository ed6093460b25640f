"""Two processes that train together (trainer=ddp, gloo): what they share, how they stop, and what is refused."""

import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from processes import FOLDERS, start, wait_for
from support import tiny, trace

from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.synthesis.renderer import Model, render
from distillgan.training.callbacks import load_checkpoint
from distillgan.training.pipeline import train


def noted(path: Path, rank: int) -> list[list[str]]:
    return [line.split() for line in Path(f"{path}.{rank}").read_text().splitlines()]


def weights(home: Path, stage: str) -> dict:
    return load_checkpoint(home / "runs" / "tiny" / FOLDERS[stage] / "last.ckpt")["state_dict"]


@pytest.mark.slow
def test_two_processes_hear_different_segments_and_end_with_the_same_weights(together):
    first, second = noted(together / "ranks", 0), noted(together / "ranks", 1)
    stage = ["pid", "1", "2", "3", "4", "weights"]
    assert [line[0] for line in first] == [line[0] for line in second] == stage * 2
    for ours, theirs in zip(first, second, strict=True):
        assert (ours[1] == theirs[1]) == (ours[0] == "weights"), ours[0]
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
def test_two_processes_train_what_one_does_with_a_batch_of_all(tmp_path, recordings):
    """The gradient of a mean is the mean of the shares' gradients; free bits are of a batch, so there are none."""
    common = ["model.module.kl.free_bits=0", "trainer.validate_every=4", "stages=[vae]"]
    train(tiny(tmp_path / "two", recordings, "trainer=ddp", "data.batch_size=2", *common))
    train(tiny(tmp_path / "one", recordings, "data.batch_size=4", *common))
    two, one = weights(tmp_path / "two", "vae"), weights(tmp_path / "one", "vae")
    assert two.keys() == one.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_what_they_trained_is_packed_and_plays(together):
    path = together / "models" / "tiny.distillgan"
    statistics = read_header(path).training
    assert statistics["vae"]["steps"] == statistics["vocoder"]["steps"] == 4
    model = Model.load(path, torch.device("cpu"))
    sound = render(model, model.vocoder, 0.5, 1)
    assert sound.shape == (1, 22050) and abs(sound).max() > 0
    for stage, written in {"vae": 2, "vocoder": 3}.items():  # fit and validate; the start of a vocoder is judged, too
        assert (together / "runs" / "tiny" / FOLDERS[stage] / "preview.png").exists()
        events = (together / "runs" / "tiny" / FOLDERS[stage]).glob("events*")
        assert len(list(events)) == written
    assert len(list((together / "runs" / "tiny" / "results").glob("events*"))) == 2  # the layout, the results


@pytest.mark.slow
def test_after_a_kill_of_one_process_the_resumed_run_equals_the_unbroken(together, tmp_path, recordings):
    for round_, module in enumerate(("VAEModule", "VocoderModule")):
        ranks = trace(tmp_path / f"ranks{round_}", f"kill: {module}")
        with pytest.raises(UserError, match=r"process 1 of the training was ended \(SIGKILL"):
            train(tiny(tmp_path, recordings, "trainer=ddp", "vocoder=hifigan", ranks))
        assert not torch.distributed.is_initialized()
    train(tiny(tmp_path, recordings, "trainer=ddp", "vocoder=hifigan", trace(tmp_path / "last")))
    assert [line[0] for line in noted(tmp_path / "last", 0)] == ["pid", "3", "4", "weights"]
    for stage in ("vae", "vocoder"):
        unbroken, resumed = weights(together, stage), weights(tmp_path, stage)
        assert unbroken.keys() == resumed.keys()
        for name, tensor in unbroken.items():
            torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=0, msg=f"{stage} {name}")


@pytest.mark.slow
def test_a_loss_that_is_no_number_on_one_process_stops_both(together, tmp_path, recordings):
    shutil.copytree(together, tmp_path / "home")
    before = weights(together, "vocoder")
    poison = trace(tmp_path / "poisoned", "poison_from: 5")
    common = ("trainer=ddp", "vocoder=hifigan", "stages=[vocoder]", "vocoder.max_steps=9", "data.batch_size=2")
    with pytest.raises(UserError, match=r"^the loss or the weights became NaN or infinite at step 5"):
        train(tiny(tmp_path / "home", recordings, *common, "callbacks.checkpoint.every=100", poison))
    assert [line[0] for line in noted(tmp_path / "poisoned", 0)] == ["pid", "5"]
    after = weights(tmp_path / "home", "vocoder")
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    assert not torch.distributed.is_initialized()


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_killed_first_process_leaves_nobody_behind_and_ctrl_c_stops_all_at_one_step(tmp_path, recordings):
    if not Path("/proc").exists():
        pytest.skip("looks for processes in /proc")
    log, last = tmp_path / "log", tmp_path / "runs" / "tiny" / "vae" / "last.ckpt"

    def begin(round_: str):
        ranks = tmp_path / round_
        process, _ = start(tmp_path, recordings, "vae", 3, "trainer=ddp", trace(ranks))
        wait_for(process, tmp_path, Path(f"{ranks}.1"), "vae", 6)
        return process, ranks

    process, ranks = begin("first")
    process.kill()
    process.wait()
    limit = time.monotonic() + 30
    while alive(noted(ranks, 1)[0][1]):
        assert time.monotonic() < limit, "the second process outlived the first by 30 s"
        time.sleep(0.05)
    kept = load_checkpoint(last)["steps_done"]

    process, ranks = begin("second")
    assert int(noted(ranks, 0)[1][0]) == kept + 1
    process.send_signal(signal.SIGINT)  # to the first alone
    assert process.wait(60) == 130, log.read_text()
    assert "Traceback" not in log.read_text()
    ends = [noted(ranks, rank)[-2:] for rank in (0, 1)]
    assert [line[0] for line in ends[0]] == [line[0] for line in ends[1]] and ends[0][1] == ends[1][1]
    assert load_checkpoint(last)["steps_done"] == int(ends[0][0][0])
    header = read_header(tmp_path / "models" / "tiny.distillgan")
    assert header.training["vae"]["finished"] is False and header.vocoder is None


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer=ddp", "trainer.devices=0"], "trainer.devices=0 must be a whole number of at least 1"),
        (["trainer=ddp", "trainer.devices=two"], "trainer.devices=two"),
        (["trainer=ddp", "trainer.num_nodes=2"], "trainer.num_nodes=2.*torchrun"),
        (["trainer.devices=2"], "trainer.devices=2.*add trainer=ddp"),
        (["trainer.strategy=fsdp"], "trainer.strategy=fsdp must be one of auto, ddp"),
        (["trainer=gpu"], "trainer=gpu trains on cuda, but device=cpu"),
        (["trainer=mps"], "trainer=mps trains on mps, but device=cpu"),
        (["trainer=cpu", "device=cuda"], "trainer=cpu trains on cpu, but device=cuda"),
        (["trainer=ddp", "stages=[]"], "stages"),
    ],
)
def test_what_cannot_be_is_refused_before_any_process_is_started(tmp_path, recordings, overrides, words, monkeypatch):
    monkeypatch.setattr("distillgan.training.pipeline.launch", None)
    with pytest.raises(UserError, match=words):
        train(tiny(tmp_path, recordings, *overrides))


@pytest.mark.slow
def test_what_the_first_process_refuses_comes_in_its_words(tmp_path, recordings):
    with pytest.raises(UserError, match=r"^data.dir=/no/such/folder: there is no such folder"):
        train(tiny(tmp_path, recordings, "trainer=ddp", "data.dir=/no/such/folder"))


def test_more_gpus_than_there_are_and_none_at_all(tmp_path, recordings, monkeypatch):
    config = tiny(tmp_path, recordings, "trainer=gpu", "device=cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="trainer=gpu: device=cuda was asked for"):
        train(config)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"trainer\.devices=3, but PyTorch sees 1"):
        train(tiny(tmp_path, recordings, "trainer=ddp", "device=cuda", "trainer.devices=3"))
