"""trainer.accumulate_grad_batches: several batches make a step, and no end or checkpoint falls between them."""

import pytest
import torch
from support import tiny

from distillgan.errors import UserError
from distillgan.training.callbacks import load_checkpoint
from distillgan.training.pipeline import train

pytestmark = pytest.mark.slow


def test_accumulated_batches_are_one_step_and_survive_an_end_in_between(tmp_path, recordings):
    common = ("stages=[vae]", "trainer.accumulate_grad_batches=2", "data.epoch_steps=4", "trainer.validate_every=4")
    train(tiny(tmp_path / "whole", recordings, *common, "model.max_steps=8"))
    # Three batches are asked for, and the fourth completes the second step.
    train(tiny(tmp_path / "parts", recordings, *common, "model.max_steps=3"))
    assert load_checkpoint(tmp_path / "parts" / "runs" / "tiny" / "vae" / "last.ckpt")["steps_done"] == 4
    train(tiny(tmp_path / "parts", recordings, *common, "model.max_steps=8", "callbacks.checkpoint.every=3"))
    one, two = (load_checkpoint(tmp_path / home / "runs" / "tiny" / "vae" / "last.ckpt") for home in ("whole", "parts"))
    assert one["steps_done"] == two["steps_done"] == 8
    assert one["global_step"] == two["global_step"] == 4, "optimizer steps"
    for name, tensor in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], tensor, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.accumulate_grad_batches=0"], "accumulate_grad_batches=0 must be a whole number of at least 1"),
        (["trainer.accumulate_grad_batches=many"], "accumulate_grad_batches=many must be a whole number"),
        (["trainer.accumulate_grad_batches=2", "vocoder=hifigan"], r"the vocoder's two networks step.*stages=\[vae\]"),
        (["trainer.accumulate_grad_batches=2", "vocoder=harmonic", "stages=[vocoder]"], "is for the VAE"),
        (["trainer.accumulate_grad_batches=3"], r"data.epoch_steps=4 must be a multiple of .*batches=3"),
        (["trainer.accumulate_grad_batches=4"], r"trainer.validate_every=2 must be a multiple of .*batches=4"),
    ],
)
def test_what_does_not_come_out_even_is_refused(tmp_path, recordings, overrides, words):
    with pytest.raises(UserError, match=words):
        train(tiny(tmp_path, recordings, *overrides))
    assert not (tmp_path / "runs" / "tiny").exists()
