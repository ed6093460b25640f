"""One stage of a training with Lightning: from its last checkpoint to the end of its timer."""

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
    EarlyStopping,
    InterruptGuard,
    Preview,
    Progress,
    Status,
    StepCheckpoint,
    Timer,
    load_checkpoint,
)
from distillgan.training.distributed import Processes

# What it would say is said better by the run itself; its errors still come through.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Stage:
    """A training that is ready to begin, or to go on from the checkpoints in its folder.

    monitor: the held-out error by which the best is kept. validates_start: the start is a candidate, too, for weights
    from elsewhere may be better than what becomes of them. vocoder: makes previews audible, where the model has one.
    """

    name: str
    title: str
    monitor: str
    folder: Path
    module: L.LightningModule
    data: AudioDataModule
    validates_start: bool = False
    vocoder: torch.nn.Module | None = None


@dataclass(frozen=True)
class FitResult:
    """What came of a stage: steps and seconds so far, the best error, on which files, and the checkpoint to pack.

    hardware: what it was computed with last (`compute.hardware`).
    """

    steps: int
    seconds: float
    error: float
    judged_on: str
    checkpoint: dict
    finished: bool
    hardware: dict[str, str | int]


def fit(stage: Stage, config: DictConfig, processes: Processes, guard: InterruptGuard) -> FitResult:
    """Train a stage to its last step or the end of its time, from its last checkpoint if there is one.

    Raises:
        UserError: a checkpoint is damaged, the trainer's values are refused, the loss is no number, or memory runs out.
    """
    module, data = stage.module, stage.data
    stage.folder.mkdir(parents=True, exist_ok=True)
    timer = Timer(duration("trainer.max_time", config.trainer.max_time))
    last = stage.folder / LAST
    if last.exists():
        _restore_counts(last, module, timer)
    best = stage.folder / BEST
    if not timer.spent(module) or not best.exists():
        callbacks = [guard, timer, *_callbacks(stage, config, timer)]
        try:
            trainer = _trainer(stage, config, processes, callbacks)
        except ValueError as error:  # Lightning's own check of what the group `trainer` says
            raise UserError(f"the trainer cannot be set up: {error}") from error
        with warnings.catch_warnings(), memory_in_words(stage.title, _to_lower(stage, config)):
            # Lightning's advice on workers and log intervals: both were chosen above, and are in the configuration.
            warnings.filterwarnings("ignore", module="lightning.*")
            if stage.validates_start and not last.exists():
                trainer.validate(module, data, verbose=False)
            if not timer.spent(module):
                trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)
            # The last steps may have made the best model yet.
            trainer.validate(module, data, ckpt_path=last, weights_only=True, verbose=False)
    packed = load_checkpoint(best)
    used = {"device": str(processes), **hardware(processes.device)}
    return FitResult(
        module.steps_done, timer.seconds, packed["best_error"], data.judged_on, packed, guard.signum is None, used
    )


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


def _callbacks(stage: Stage, config: DictConfig, timer: Timer) -> list[L.Callback]:
    callbacks = [build(entry) for entry in config.callbacks.values()]
    for callback in callbacks:
        if isinstance(callback, StepCheckpoint):
            callback.folder, callback.monitor = stage.folder, stage.monitor
        elif isinstance(callback, Preview):
            callback.folder, callback.title, callback.vocoder = stage.folder, stage.title, stage.vocoder
        elif isinstance(callback, EarlyStopping):
            callback.timer, callback.monitor = timer, stage.monitor
        elif isinstance(callback, Progress):
            callback.timer, callback.title = timer, stage.title
        elif isinstance(callback, Status):
            callback.timer, callback.folder, callback.monitor = timer, stage.folder, stage.monitor
    if not any(isinstance(callback, StepCheckpoint) for callback in callbacks):
        raise UserError("callbacks has no checkpoint: a training that keeps nothing is not started")
    return callbacks


def _trainer(stage: Stage, config: DictConfig, processes: Processes, callbacks: list[L.Callback]) -> L.Trainer:
    # Among the checkpoints: so TensorBoard calls it rain/vae, and a stage that is set aside takes its curves along.
    logger = build(config.logger, save_dir=stage.folder.parent, name="", version=stage.folder.name)
    return L.Trainer(
        default_root_dir=stage.folder,
        **processes.trainer_options(stage.module),
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


def _restore_counts(last: Path, module: L.LightningModule, timer: Timer) -> None:
    """Steps and seconds of a checkpoint, known before deciding whether there is anything left to train."""
    checkpoint = load_checkpoint(last)
    module.steps_done = checkpoint["steps_done"]
    timer.load_state_dict(checkpoint["callbacks"][timer.state_key])
