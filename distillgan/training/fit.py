"""One stage of a training with Lightning: from its last checkpoint to the end of its budget."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from distillgan.compute import hardware, memory_in_words
from distillgan.configuration import build
from distillgan.data.datamodule import AudioDataModule
from distillgan.errors import UserError, duration
from distillgan.training.callbacks import (
    BEST,
    LAST,
    Budget,
    InterruptGuard,
    Patience,
    Preview,
    Progress,
    StepCheckpoint,
    load_checkpoint,
)
from distillgan.training.distributed import Team
from distillgan.training.run_status import Status

# What it would say is said better by the run itself; its errors still come through.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Stage:
    """What differs between the two trainings; `monitor` is the held-out error by which the best is kept.

    With `judge_start` the start itself is judged, too: weights from elsewhere may be better than what becomes of them.
    """

    name: str
    title: str
    monitor: str
    folder: Path
    judge_start: bool = False


@dataclass(frozen=True)
class Fitted:
    """Where a stage stands: steps and seconds so far, the best error, on which files, the checkpoint to pack, and what
    it was computed with last (`device.hardware`)."""

    steps: int
    seconds: float
    error: float
    judged_on: str
    checkpoint: dict
    finished: bool
    hardware: dict[str, str | int]


def fit(
    stage: Stage,
    module: L.LightningModule,
    data: AudioDataModule,
    config: DictConfig,
    team: Team,
    guard: InterruptGuard,
    vocoder: torch.nn.Module | None = None,
) -> Fitted:
    """Train a stage to the end of its budget, from its last checkpoint if there is one.

    `vocoder` makes mel previews audible where the model has one already.

    Raises:
        UserError: a checkpoint is damaged, the trainer's values are refused, the loss is no number, or memory runs out.
    """
    stage.folder.mkdir(parents=True, exist_ok=True)
    budget = Budget(duration("trainer.max_time", config.trainer.max_time))
    last = stage.folder / LAST
    if last.exists():
        _restore_counts(last, module, budget)
    best = stage.folder / BEST
    if not budget.spent(module) or not best.exists():
        callbacks = [guard, budget, *_callbacks(stage, config, budget, vocoder)]
        try:
            trainer = _trainer(stage, module, config, team, callbacks)
        except ValueError as error:  # Lightning's own check of what the group `trainer` says
            raise UserError(f"the trainer cannot be set up: {error}") from error
        with warnings.catch_warnings(), memory_in_words(stage.title, _to_lower(stage, config)):
            # Lightning's advice on workers and log intervals: both were chosen above, and are in the configuration.
            warnings.filterwarnings("ignore", module="lightning.*")
            if stage.judge_start and not last.exists():
                trainer.validate(module, data, verbose=False)
            if not budget.spent(module):
                trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)
            # The last steps may have made the best model yet.
            trainer.validate(module, data, ckpt_path=last, weights_only=True, verbose=False)
    packed = load_checkpoint(best)
    error, whole = packed["best_error"], guard.signum is None
    used = {"device": str(team), **hardware(team.device)}
    return Fitted(module.steps_done, budget.seconds, error, data.judged_on, packed, whole, used)


def _to_lower(stage: Stage, config: DictConfig) -> str:
    """What takes the memory of a stage, and what to do."""
    keys = ["data.batch_size", "data.segment_frames", "model.module.network.channels"]
    if stage.name != "vae":
        keys = ["vocoder.data.batch_size", "vocoder.module.segment_size", "vocoder.discriminators.width"]
    shown = [f"{key}, now {OmegaConf.select(config, key)}" for key in keys if OmegaConf.select(config, key) is not None]
    return (
        f"Lower {'; '.join(shown[:-1])}; or, in a new run, {shown[-1]}; or take device=cpu. What was trained until the "
        "last checkpoint is kept, and the same command goes on from there"
    )


def _callbacks(stage: Stage, config: DictConfig, budget: Budget, vocoder: torch.nn.Module | None) -> list[L.Callback]:
    callbacks = [build(entry) for entry in config.callbacks.values()]
    for callback in callbacks:
        if isinstance(callback, StepCheckpoint):
            callback.folder, callback.monitor = stage.folder, stage.monitor
        elif isinstance(callback, Preview):
            callback.folder, callback.title, callback.vocoder = stage.folder, stage.title, vocoder
        elif isinstance(callback, Patience):
            callback.budget, callback.monitor = budget, stage.monitor
        elif isinstance(callback, Progress):
            callback.budget, callback.title = budget, stage.title
        elif isinstance(callback, Status):
            callback.budget, callback.folder, callback.monitor = budget, stage.folder, stage.monitor
    if not any(isinstance(callback, StepCheckpoint) for callback in callbacks):
        raise UserError("callbacks has no checkpoint: a training that keeps nothing is not started")
    return callbacks


def _trainer(
    stage: Stage, module: L.LightningModule, config: DictConfig, team: Team, callbacks: list[L.Callback]
) -> L.Trainer:
    # Among the checkpoints: so TensorBoard calls it rain/vae, and a stage that is set aside takes its curves along.
    logger = build(config.logger, save_dir=stage.folder.parent, name="", version=stage.folder.name)
    return L.Trainer(
        default_root_dir=stage.folder,
        **team.options_for(module),
        precision=config.trainer.precision,
        accumulate_grad_batches=config.trainer.accumulate_grad_batches if stage.name == "vae" else 1,
        max_epochs=-1,
        check_val_every_n_epoch=None,
        val_check_interval=config.trainer.validate_every,
        num_sanity_val_steps=0,
        log_every_n_steps=config.trainer.log_every,
        logger=logger,
        callbacks=callbacks,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _restore_counts(last: Path, module: L.LightningModule, budget: Budget) -> None:
    """Steps and seconds of a checkpoint, known before deciding whether there is anything left to train."""
    checkpoint = load_checkpoint(last)
    module.steps_done = checkpoint["steps_done"]
    budget.load_state_dict(checkpoint["callbacks"][budget.state_key])
