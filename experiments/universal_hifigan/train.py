"""Trains a universal vocoder: python experiments/universal_hifigan/train.py vocoder=vocos data.dir=CORPUS name=vocos

CORPUS is what build_corpus.py makes: train/ and held_out/. The run lies in paths.home/runs/<name>; the same command
goes on where it stopped. After each call the best averaged weights are universal_<name>.safetensors in that folder, and
once the discriminators have joined theirs are discriminators_<name>.safetensors, which another run starts with by
+discriminators=FILE. +own_mels_of=MODEL lets a share of the mels (vocoder.own_mels) pass through a model's VAE.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from safetensors.torch import load_file, save_file

from distillgan import device as devices
from distillgan import entry
from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.building import build
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.scan import scan
from distillgan.errors import UserError
from distillgan.modelfile import read_model
from distillgan.paths import Home
from distillgan.training import sizing
from distillgan.training.checkpoint import LAST
from distillgan.training.fit import Stage, fit
from distillgan.training.interrupt import InterruptGuard
from distillgan.training.start import start
from distillgan.training.team import Team
from distillgan.vae.network import VAENetwork


def train_universal(config: DictConfig) -> None:
    if config.trainer.strategy == "ddp":
        alone()
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
    if config.vocoder.init is not None and not (home.run(config.name) / "vocoder" / LAST).exists():
        console.print(start(module, config.vocoder, spec, home.models))
    if config.get("discriminators") is not None:
        state = load_file(Path(config.discriminators))
        module.discriminators.load_state_dict({key: value.float() for key, value in state.items()})
    if config.get("own_mels_of") is not None:
        module.set_reconstruct(reconstruction(Path(config.own_mels_of), spec, device))
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
    if fitted.steps > module.hparams.adversarial_from_step:
        with replace_file(folder / f"discriminators_{config.name}.safetensors") as temporary:
            save_file({key: value.half() for key, value in module.discriminators.state_dict().items()}, temporary)
    console.print(f"{fitted.steps} steps in {fitted.seconds:.0f} s, held-out mel error {fitted.error:.3f} → {folder}")


def reconstruction(path: Path, spec: MelSpec, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """log1p mel [B, n_mels, T] → what a model's VAE makes of it."""
    header, tensors = read_model(path, "vae.")
    spec.require(header.mel, "the configuration", str(path))
    vae = VAENetwork(**header.vae)
    vae.load_state_dict({name.removeprefix("vae."): tensor for name, tensor in tensors.items()})
    vae.to(device).eval().requires_grad_(False)
    return lambda x: vae.decode(vae.encode(x)[0], x.shape[-1])


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
