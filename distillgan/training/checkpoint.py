"""Checkpoints of a stage: the last (to go on from) and the best (to pack), each whole or old."""

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from distillgan.atomic import replace_file
from distillgan.checks import whole
from distillgan.errors import UserError
from distillgan.training.accumulation import stepped

LAST = "last.ckpt"
BEST = "best.ckpt"


class StepCheckpoint(Checkpoint):
    """Saves `last.ckpt` every `every` steps and at the end, `best.ckpt` after each validation that was the best yet.

    It counts the module's own `steps_done`; Lightning's `global_step` counts every optimizer step (DESIGN 7).
    `monitor` (lower is better) and `folder` are set by the stage. The best from before the module's `judged_from` is
    only kept until something later was judged: a network that is still silent scores well on quiet recordings.
    """

    def __init__(self, every: int):
        self.every = whole("callbacks.checkpoint.every", every, 1)
        self.folder: Path
        self.monitor: str
        self.best: float | None = None
        self._best_at = 0
        self._saved_at = 0

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        # The file itself says how good it is: so it and what is known of it can never part, whatever is killed when.
        best = self.folder / BEST
        if best.exists():
            checkpoint = load_checkpoint(best)
            self.best, self._best_at = checkpoint["best_error"], checkpoint["steps_done"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._saved_at = module.steps_done

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if module.steps_done - self._saved_at >= self.every and stepped(trainer, module):
            self._save(trainer, module, LAST)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        value = float(trainer.callback_metrics[self.monitor])
        too_early = self._best_at < module.judged_from <= module.steps_done
        if self.best is None or value < self.best or too_early:
            self.best, self._best_at = value, module.steps_done
            self._save(trainer, module, BEST)

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict) -> None:
        checkpoint["best_error"] = self.best

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._save(trainer, module, LAST)

    def _save(self, trainer: L.Trainer, module: L.LightningModule, name: str) -> None:
        if name == LAST:
            self._saved_at = module.steps_done
        target = self.folder / name
        if trainer.is_global_zero:
            with replace_file(target) as temporary:
                trainer.save_checkpoint(temporary)
        else:
            trainer.save_checkpoint(target)  # takes part in what the strategy gathers; only rank 0 writes
        trainer.strategy.barrier()  # whoever reads it next finds it in its place


def load_checkpoint(path: Path) -> dict:
    """The content of a checkpoint, on the CPU; runs no code.

    Raises:
        UserError: damaged or foreign; names the file and what to do.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises half a dozen types for one cause: the file is not a whole checkpoint
        raise UserError(
            f"{path} is not a readable checkpoint ({str(error).splitlines()[0][:120]}): "
            "delete it to go on from the other one, or begin anew with resume=never"
        ) from error
