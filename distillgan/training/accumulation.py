"""trainer.accumulate_grad_batches: several batches of the VAE make one step of its optimizer."""

import lightning as L
from omegaconf import DictConfig

from distillgan.checks import whole
from distillgan.errors import UserError


def check(config: DictConfig, vocoder: bool) -> None:
    """Raises UserError unless what is counted in batches comes out even; `vocoder`: is one to be trained, too?"""
    key = "trainer.accumulate_grad_batches"
    count = whole(key, config.trainer.accumulate_grad_batches, 1)
    if count > 1 and vocoder:
        raise UserError(
            f"{key}={count} is for the VAE: the vocoder's two networks step at every batch. Train the VAE with it and "
            "stages=[vae], then the vocoder without; vocoder.data.batch_size is how much it hears in a step"
        )
    for counted, value in (
        ("data.epoch_steps", config.data.epoch_steps),
        ("trainer.validate_every", config.trainer.validate_every),
    ):
        if whole(counted, value, 1) % count:
            raise UserError(f"{counted}={value} must be a multiple of {key}={count}: no batch is left over")


def stepped(trainer: L.Trainer, module: L.LightningModule) -> bool:
    """Has the optimizer stepped since the last batch? What is stopped or kept in between would lose gradients."""
    return module.steps_done % trainer.accumulate_grad_batches == 0
