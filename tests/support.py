"""Composed configurations for tests, as the entries see them."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from distillgan.paths import conf_dir


def composed(name: str, home: Path, *overrides: str) -> DictConfig:
    """conf/<name>.yaml as the entries see it, with its home in `home`."""
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        device = [] if name in ("weights", "export_vocoder") else ["device=cpu"]
        return compose(name, overrides=[f"paths.home={home}", *device, *overrides])


def tiny(home: Path, recordings: Path, *overrides: str) -> DictConfig:
    """A training of seconds on the small corpus."""
    return composed("train", home, "experiment=tiny", f"data.dir={recordings}", "name=tiny", *overrides)


class StepTrace(Callback):
    """Appends each finished step's number to a file: how far a process came before it was killed."""

    def __init__(self, path: str):
        self.path = Path(path)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        with self.path.open("a") as file:
            file.write(f"{module.steps_done}\n")
