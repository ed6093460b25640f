"""Which checkpoint is the best."""

import pytest
from support import tiny

from distillgan.training.callbacks import BEST, load_checkpoint
from distillgan.training.pipeline import train


@pytest.mark.parametrize(("warmup", "best"), [(0, 2), (3, 4)])
def test_the_best_is_none_of_before_the_learning_rate_was_up(recordings, tmp_path, warmup, best):
    """Without a learning rate all are alike, and the first stays the best: but not if it was too early to judge."""
    train(
        tiny(tmp_path, recordings, "stages=[vae]", "model.module.lr=0", f"model.module.lr_warmup_steps={warmup}"),
    )
    assert load_checkpoint(tmp_path / "runs" / "tiny" / "vae" / BEST)["steps_done"] == best
