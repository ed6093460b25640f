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

from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.cli import hydra_app
from distillgan.configuration import build
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.scan import scan
from distillgan.errors import whole
from distillgan.models.modelfile import read_model
from distillgan.models.vae.network import VAENetwork
from distillgan.paths import Home
from distillgan.training import auto_settings
from distillgan.training.callbacks import LAST, Interrupted, InterruptGuard
from distillgan.training.distributed import Place, Team
from distillgan.training.fit import Stage, fit
from distillgan.training.stages import start


def train_universal(config: DictConfig) -> None:
    console = Console(soft_wrap=True, highlight=False)
    with InterruptGuard() as guard:
        try:
            team = Team(config, follow)
            console.quiet = not team.first
            _train(config, team, guard, console)
        except Interrupted as interruption:
            console.print(f"{interruption}: what was finished before is kept")
            sys.exit(interruption.exit_code)
    if guard.signum is not None:
        console.print("stopped early; the same command goes on from here")
        sys.exit(guard.exit_code)


def follow(index: int, config: DictConfig, port: int) -> None:
    """The training on another process than the first, started by it (trainer=ddp)."""
    with InterruptGuard() as guard:
        _train(config, Team(config, follow, Place(index + 1, port)), guard, Console(quiet=True))


def _train(config: DictConfig, team: Team, guard: InterruptGuard, console: Console) -> None:
    home, spec = Home(config.paths.home), MelSpec.from_config(config.mel)
    folder = home.run(config.name)
    with team:
        config, clips = team.on_first(lambda: _prepare(config, team, home, spec, console))
        team.check_shared(home.runs)
        torch.manual_seed(config.seed)
        module = build(config.vocoder.module)
        if config.vocoder.init is not None and not (folder / "vocoder" / LAST).exists():
            console.print(start(module, config.vocoder, spec, home.models))
        if config.get("discriminators") is not None:
            state = load_file(Path(config.discriminators))
            module.discriminators.load_state_dict({key: value.float() for key, value in state.items()})
        if config.get("own_mels_of") is not None:
            module.set_reconstruct(reconstruction(Path(config.own_mels_of), spec, team.device))
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
        stage = Stage("vocoder", config.name, "val/mel_error", folder / "vocoder")
        fitted = fit(stage, module, data, config, team, guard)
        module.load_state_dict(fitted.checkpoint["state_dict"])
        team.on_first(lambda: _write_all(folder, config, module, fitted, spec))
    console.print(f"{fitted.steps} steps in {fitted.seconds:.0f} s, held-out mel error {fitted.error:.3f} → {folder}")


def _prepare(config: DictConfig, team: Team, home: Home, spec: MelSpec, console: Console) -> tuple[DictConfig, list]:
    """The configuration with every null filled in, and the clips to train on and those held out."""
    whole("seed", config.seed, 0, 2**32 - 1)
    manifests = [scan(Path(config.data.dir) / part, home.decoded, spec.sample_rate) for part in ("train", "held_out")]
    clips = [manifest.clips(home.decoded) for manifest in manifests]
    minutes = [sum(clip.length for clip in part) / spec.sample_rate / 60 for part in clips]
    console.print(f"{minutes[0]:.1f} minutes to train on, {minutes[1]:.1f} held out, on {team}")
    for choice in auto_settings.fill_in(config, minutes[0], team.device.type):
        console.print(f"chosen: {choice}")
    home.run(config.name).mkdir(parents=True, exist_ok=True)
    return config, clips


def _write_all(folder: Path, config: DictConfig, module, fitted, spec: MelSpec) -> None:
    write(folder / f"universal_{config.name}.safetensors", config.vocoder.name, module, fitted, spec)
    if fitted.steps > module.hparams.adversarial_from_step:
        with replace_file(folder / f"discriminators_{config.name}.safetensors") as temporary:
            save_file({key: value.half() for key, value in module.discriminators.state_dict().items()}, temporary)


def reconstruction(path: Path, spec: MelSpec, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """log1p mel [B, n_mels, T] → what a model's VAE makes of it."""
    header, tensors = read_model(path, "vae.")
    spec.require(header.mel, "the configuration", str(path))
    vae = VAENetwork(**header.vae)
    vae.load_state_dict({name.removeprefix("vae."): tensor for name, tensor in tensors.items()})
    vae.to(device).eval().requires_grad_(False)
    return lambda x: vae.decode(vae.encode(x)[0], x.shape[-1])


def write(path: Path, name: str, module, fitted, spec: MelSpec) -> None:
    """The averaged generator in half precision, with what it takes to build it."""
    generator = module.averaged.module
    steps = int(fitted.checkpoint["steps_done"])
    about = {"name": name, "generator": generator.args, "mel": spec.to_dict(), "steps": steps}
    tensors = {key: value.half() for key, value in generator.export_state().items()}
    with replace_file(path) as temporary:
        save_file(tensors, temporary, metadata={"distillgan": json.dumps(about)})


if __name__ == "__main__":
    hydra_app.run(train_universal, "train", sys.argv[1:])
