"""Composed configurations for tests, as the entries see them, and callbacks that look on."""

import hashlib
import os
import shutil
import signal
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from distillgan.evaluation.tasks import EvaluateRequest
from distillgan.paths import conf_dir
from distillgan.synthesis.request import RenderRequest


def composed(name: str, home: Path, *overrides: str) -> DictConfig:
    """conf/<name>.yaml as the entries see it, with its home in `home`."""
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        device = [] if name in ("weights", "export_vocoder", "controls") else ["device=cpu"]
        return compose(name, overrides=[f"paths.home={home}", *device, *overrides])


def requested(home: Path, *overrides: str) -> RenderRequest:
    """What `generate` is given by a command line with these overrides."""
    return RenderRequest.from_config(composed("generate", home, *overrides))


def evaluation(home: Path, *overrides: str) -> EvaluateRequest:
    """What `evaluate` is given by a command line with these overrides."""
    return EvaluateRequest.from_config(composed("evaluate", home, *overrides))


def tiny(home: Path, recordings: Path, *overrides: str) -> DictConfig:
    """A training of seconds on the small corpus; half of them would go into pictures: without any, unless asked for."""
    pictures = [] if any("callbacks.preview" in item for item in overrides) else ["~callbacks.preview"]
    return composed("train", home, "experiment=tiny", f"data.dir={recordings}", "name=tiny", *pictures, *overrides)


def copy_of(home: Path, to: Path, *without: str) -> Path:
    """A home like `home` to be changed, in `to`, without some folders of the run."""
    shutil.copytree(home, to, dirs_exist_ok=True)
    for folder in without:
        shutil.rmtree(to / "runs" / "tiny" / folder)
    return to


def trace(path: Path, *more: str) -> str:
    """The override that adds a RankTrace to a training's callbacks."""
    return f"+callbacks.ranks={{{', '.join([f'_target_: support.RankTrace, path: {path}', *more])}}}"


class StepTrace(Callback):
    """Appends each finished step's number to a file: how far a process came before it was killed."""

    def __init__(self, path: str):
        self.path = Path(path)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if trainer.is_global_zero:
            with self.path.open("a") as file:
                file.write(f"{module.steps_done}\n")


class RankTrace(Callback):
    """Notes in <path>.<rank>: the process, each step with what it was trained on, the weights at the end.

    From step `poison_from` on, the second process hears nothing but NaN; it is killed after step 3 of a module of the
    class `kill`.
    """

    def __init__(self, path: str, poison_from: int | None = None, kill: str = ""):
        self.path, self.poison_from, self.kill = path, poison_from, kill

    def on_train_start(self, trainer, module):
        self._note(trainer, "pid", str(os.getpid()))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if self.poison_from is not None and module.steps_done >= self.poison_from and trainer.global_rank == 1:
            batch["wave"].mul_(torch.nan)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._note(trainer, str(module.steps_done), _digest([batch["wave"]]))
        if type(module).__name__ == self.kill and module.steps_done == 3 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_end(self, trainer, module):
        self._note(trainer, "weights", _digest(module.state_dict().values()))

    def _note(self, trainer, *words):
        with open(f"{self.path}.{trainer.global_rank}", "a") as file:
            file.write(" ".join(words) + "\n")


def _digest(tensors) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()
