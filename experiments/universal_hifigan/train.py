"""Trains a universal vocoder.

    python experiments/universal_hifigan/train.py vocoder=harmonic data.dir=CORPUS name=harmonic

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
from distillgan.training.auto_settings import auto_settings
from distillgan.training.callbacks import LAST, Interrupted, InterruptGuard
from distillgan.training.context import with_values
from distillgan.training.distributed import Processes, is_first, launch, on_first, process_group
from distillgan.training.fit import Stage, fit
from distillgan.training.stages import start


def train_universal(config: DictConfig) -> None:
    """The training, in this process or in those that it starts (trainer=ddp)."""
    processes = Processes.from_config(config)
    if processes.to_launch:
        launch(train_universal, processes, config.threads, config)
        return
    console = Console(soft_wrap=True, highlight=False, quiet=not is_first())
    with InterruptGuard() as guard, process_group(processes):
        try:
            _train(config, processes, guard, console)
        except Interrupted as interruption:
            console.print(f"{interruption}: what was finished before is kept")
            sys.exit(interruption.exit_code)
    if guard.signum is not None:
        console.print("stopped early; the same command goes on from here")
        sys.exit(guard.exit_code)


def _train(config: DictConfig, processes: Processes, guard: InterruptGuard, console: Console) -> None:
    home, spec = Home(config.paths.home), MelSpec.from_config(config.mel)
    folder = home.run(config.name)
    config, clips = on_first(lambda: _prepare(config, processes, home, spec, console))
    torch.manual_seed(config.seed)
    module = build(config.vocoder.module)
    if config.vocoder.init is not None and not (folder / "vocoder" / LAST).exists():
        console.print(start(module, config.vocoder, spec, home.models))
    if config.get("discriminators") is not None:
        state = load_file(Path(config.discriminators))
        module.discriminators.load_state_dict({key: value.float() for key, value in state.items()})
    if config.get("own_mels_of") is not None:
        module.set_reconstruct(reconstruction(Path(config.own_mels_of), spec, processes.device))
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
    stage = Stage("vocoder", config.name, "val/mel_error", folder / "vocoder", module, data)
    result = fit(stage, config, processes, guard)
    module.load_state_dict(result.checkpoint["state_dict"])
    on_first(lambda: _write_all(folder, config, module, result, spec))
    console.print(f"{result.steps} steps in {result.seconds:.0f} s, held-out mel error {result.error:.3f} → {folder}")


def _prepare(
    config: DictConfig, processes: Processes, home: Home, spec: MelSpec, console: Console
) -> tuple[DictConfig, list]:
    """The configuration with what is chosen automatically, and the clips to train on and those held out."""
    whole("seed", config.seed, 0, 2**32 - 1)
    manifests = [scan(Path(config.data.dir) / part, home.decoded, spec.sample_rate) for part in ("train", "held_out")]
    clips = [manifest.clips(home.decoded) for manifest in manifests]
    minutes = [sum(clip.length for clip in part) / spec.sample_rate / 60 for part in clips]
    console.print(f"{minutes[0]:.1f} minutes to train on, {minutes[1]:.1f} held out, on {processes}")
    chosen = auto_settings(config, minutes[0], processes.device.type)
    for setting in chosen:
        console.print(f"chosen: {setting}")
    home.run(config.name).mkdir(parents=True, exist_ok=True)
    return with_values(config, {setting.key: setting.value for setting in chosen}), clips


def _write_all(folder: Path, config: DictConfig, module, result, spec: MelSpec) -> None:
    write(folder / f"universal_{config.name}.safetensors", config.vocoder.name, module, result, spec)
    if result.steps > module.hparams.adversarial_from_step:
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


def write(path: Path, name: str, module, result, spec: MelSpec) -> None:
    """The averaged generator in half precision, with what it takes to build it."""
    generator = module.averaged.module
    steps = int(result.checkpoint["steps_done"])
    about = {"name": name, "generator": generator.args, "mel": spec.to_dict(), "steps": steps}
    tensors = {key: value.half() for key, value in generator.export_state().items()}
    with replace_file(path) as temporary:
        save_file(tensors, temporary, metadata={"distillgan": json.dumps(about)})


if __name__ == "__main__":
    hydra_app.run(train_universal, "train", sys.argv[1:])
