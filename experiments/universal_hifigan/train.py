"""Trains a universal vocoder: python experiments/universal_hifigan/train.py vocoder=vocos data.dir=CORPUS name=vocos

CORPUS is what build_corpus.py makes: train/ and held_out/. The run lies in paths.home/runs/<name>; the same command
goes on where it stopped. After each call the best averaged weights are universal_<name>.safetensors in that folder.
"""

import json
import sys
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from safetensors.torch import save_file

from distillgan import device as devices
from distillgan import entry
from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.scan import scan
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.training import sizing
from distillgan.training.fit import Stage, build, fit
from distillgan.training.interrupt import InterruptGuard
from distillgan.training.team import Team


def train_universal(config: DictConfig) -> None:
    console, home = Console(soft_wrap=True, highlight=False), Home(config.paths.home)
    device, spec = devices.resolve(config.device.name), MelSpec.from_config(config.mel)
    manifests = [scan(Path(config.data.dir) / part, home.decoded, spec.sample_rate) for part in ("train", "held_out")]
    clips = [manifest.clips(home.decoded) for manifest in manifests]
    minutes = [sum(clip.length for clip in part) / spec.sample_rate / 60 for part in clips]
    console.print(f"{minutes[0]:.1f} minutes to train on, {minutes[1]:.1f} held out")
    for choice in sizing.fill_in(config, minutes[0], device.type):
        console.print(f"chosen: {choice}")
    torch.manual_seed(config.seed)
    module = build(config.vocoder.module)
    settings = config.vocoder.data
    data = AudioDataModule(
        *clips,
        spec,
        build(settings.augment),
        settings.batch_size,
        settings.segment_frames,
        settings.epoch_steps,
        settings.validation_seconds,
        settings.num_workers,
        config.seed,
    )
    folder = home.run(config.name)
    with InterruptGuard() as guard, Team(config, alone) as team:
        stage = Stage("vocoder", config.name, "val/mel_error", folder / "vocoder")
        fitted = fit(stage, module, data, config, team, guard)
    module.load_state_dict(fitted.checkpoint["state_dict"])
    write(folder / f"universal_{config.name}.safetensors", config.vocoder.name, module, fitted, spec)
    console.print(f"{fitted.steps} steps in {fitted.seconds:.0f} s, held-out mel error {fitted.error:.3f} → {folder}")


def alone(*_) -> None:
    """No other process takes part."""
    raise UserError("trainer=ddp: the universal vocoder is trained by one process")


def write(path: Path, name: str, module, fitted, spec: MelSpec) -> None:
    """The averaged generator in half precision, with what it takes to build it."""
    generator = module.averaged.module
    steps = int(fitted.checkpoint["steps_done"])
    about = {"name": name, "generator": generator.args, "mel": spec.to_dict(), "steps": steps}
    tensors = {key: value.half() for key, value in generator.export_state().items()}
    with replace_file(path) as temporary:
        save_file(tensors, temporary, metadata={"distillgan": json.dumps(about)})


if __name__ == "__main__":
    entry.run(train_universal, "train", sys.argv[1:])
