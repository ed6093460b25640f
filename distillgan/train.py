"""`python -m distillgan.train`: recordings in, a model file out. Reads like a table of contents."""

import hashlib
import re
import sys
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from distillgan import device as devices
from distillgan import entry
from distillgan.audio.mel import MelSpec, MelSpectrogram
from distillgan.data.corpus import prepare_corpus
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.manifest import HELD_OUT, TRAIN, Manifest
from distillgan.errors import UserError
from distillgan.latent.corpus import encode_corpus
from distillgan.modelfile import read_model
from distillgan.paths import MAX_NAME, Home, check_name, name_from_folder
from distillgan.training import sizing, stages
from distillgan.training.interrupt import Interrupted, InterruptGuard
from distillgan.training.pack import pack_vae, pack_vocoder
from distillgan.training.run import Run
from distillgan.vae.network import VAENetwork
from distillgan.vocoder.hifigan import HiFiGANVocoder

STAGES = ("vae", "vocoder")
_NOT_IN_JOB_NAMES = {"name", "data", "data.dir", "paths.home", "device"}


def train(config: DictConfig) -> float:
    """Run the configured stages; returns the last stage's held-out error, the objective of a sweep.

    Raises:
        UserError: something the user can mend.
        SystemExit: 130 or 143 after Ctrl-C or SIGTERM; what was trained by then is kept and packed.
    """
    console = Console(soft_wrap=True)
    with InterruptGuard() as guard:
        try:
            error = _train(config, console, guard)
        except Interrupted as interruption:
            console.print(f"{interruption}: what was finished before is kept")
            sys.exit(interruption.exit_code)
    if guard.signum is not None:
        console.print("stopped early; the same command goes on from here")
        sys.exit(guard.exit_code)
    return error


def _train(config: DictConfig, console: Console, guard: InterruptGuard) -> float:
    wanted = _stages(config)
    home, device, spec = Home(config.paths.home), devices.resolve(config.device.name), MelSpec(**config.mel)
    manifest = prepare_corpus(config.data.dir, home, spec, console)
    clips = {split: manifest.clips(home.decoded, split) for split in (TRAIN, HELD_OUT)}

    run = Run(home, _name(config))
    if config.resume == "never":
        old = run.set_aside()
        console.print(f"the earlier run is kept as {old}" if old else "a new run")
    minutes = sum(clip.length for clip in clips[TRAIN]) / spec.sample_rate / 60
    for choice in sizing.fill_in(config, minutes, device.type):
        console.print(f"chosen: {choice}")
    corpus = {"mel": spec.to_dict(), "corpus": manifest.fingerprint, "seed": config.seed}
    if "vae" in wanted:
        network = stages.plain(config.model.module.network)
        run.check_signature("vae", corpus | {"model.module.network": network})
    if "vocoder" in wanted:
        run.check_signature("vocoder", corpus | {"vocoder.generator": stages.plain(config.vocoder.generator)})
    run.write(config, manifest)
    console.print(f"run {run.folder}, on {device.type}. Watch it: tensorboard --logdir {run.folder}")

    error = float("nan")
    if "vae" in wanted:
        error = _train_vae(config, run, manifest, clips, spec, device, guard, console)
    if "vocoder" in wanted and guard.signum is None:
        error = _train_vocoder(config, run, clips, spec, device, guard, console)
    return error


def _train_vae(config, run: Run, manifest: Manifest, clips, spec, device, guard, console) -> float:
    torch.manual_seed(config.seed)
    module = instantiate(config.model.module, spec=spec.to_dict(), _convert_="all")
    size = sum(parameter.numel() for parameter in module.network.parameters()) / 1e6
    console.print(f"VAE: {size:.1f} M parameters, {config.model.max_steps} steps at most")
    data = _data_module(config.data, clips, spec, config.seed)
    stage = stages.Stage("vae", "VAE", "val/mel_error_db", run.stage("vae"))
    fitted = stages.fit(stage, module, data, config, device, guard, _own_vocoder(run))

    module.load_state_dict(fitted.checkpoint["state_dict"])
    network = module.averaged.module.to(device).eval()
    latents = encode_corpus(network, MelSpectrogram(spec).to(device), [*clips[TRAIN], *clips[HELD_OUT]])
    measured = {key: float(value) for key, value in fitted.checkpoint["measured"].items()}
    arguments = stages.plain(config.model.module.network)
    pack_vae(run, fitted, network, arguments, latents, spec, manifest, measured, config.licence, config.note)
    console.print(
        f"VAE: {fitted.steps} steps in {fitted.seconds:.0f} s, held-out error {fitted.error:.2f} dB, "
        f"{measured['active_dimensions']:.0f} of {config.model.latent_dim} dimensions active, "
        f"{measured['kl_nats']:.1f} nats a frame → {run.model_path}"
    )
    return fitted.error


def _train_vocoder(config, run: Run, clips, spec, device, guard, console) -> float:
    if not run.model_path.exists():
        raise UserError(f"{run.model_path}: a vocoder is trained for a finished model, and there is none of this name")
    torch.manual_seed(config.seed)
    header, tensors = read_model(run.model_path, "vae.")
    spec.require(header.mel, "the configuration", str(run.model_path))
    vae = VAENetwork(**header.vae)
    vae.load_state_dict({name.removeprefix("vae."): tensor for name, tensor in tensors.items()})
    vae.to(device).eval().requires_grad_(False)
    module = instantiate(config.vocoder.module, _convert_="all")
    module.set_reconstruct(lambda x: vae.decode(vae.encode(x)[0], x.shape[-1]))
    console.print(f"vocoder {config.vocoder.name}: {config.vocoder.max_steps} steps at most")
    data = _data_module(config.vocoder.data, clips, spec, config.seed)
    stage = stages.Stage("vocoder", "vocoder", "val/mel_error", run.stage("vocoder"))
    fitted = stages.fit(stage, module, data, config, device, guard)

    module.load_state_dict(fitted.checkpoint["state_dict"])
    description = {"name": config.vocoder.name, "generator": module.generator.args}
    weights = {f"vocoder.{name}": tensor for name, tensor in module.averaged.module.export_state().items()}
    pack_vocoder(run, fitted, description, weights)
    console.print(
        f"vocoder: {fitted.steps} steps in {fitted.seconds:.0f} s, held-out mel error {fitted.error:.3f} "
        f"→ {run.model_path}"
    )
    return fitted.error


def _data_module(config: DictConfig, clips: dict, spec: MelSpec, seed: int) -> AudioDataModule:
    return AudioDataModule(
        clips[TRAIN],
        clips[HELD_OUT],
        spec,
        instantiate(config.augment, _convert_="all"),
        config.batch_size,
        config.segment_frames,
        config.epoch_steps,
        config.validation_seconds,
        config.num_workers,
        seed,
    )


def _own_vocoder(run: Run) -> HiFiGANVocoder | None:
    """The vocoder that the model has already: lets the VAE's previews be heard."""
    if not run.model_path.exists():
        return None
    header, tensors = read_model(run.model_path, "vocoder.")
    if header.vocoder is None:
        return None
    state = {name.removeprefix("vocoder."): tensor for name, tensor in tensors.items()}
    return HiFiGANVocoder.from_state(header.vocoder["generator"], state, header.mel)


def _stages(config: DictConfig) -> list[str]:
    if config.resume not in ("auto", "never"):
        raise UserError(f"resume={config.resume} must be auto or never")
    if config.stages is None:
        return ["vae"] if config.vocoder.name is None else ["vae", "vocoder"]
    wanted = list(config.stages)
    if not wanted or not set(wanted) <= set(STAGES):
        raise UserError(f"stages={wanted} must be one or both of {', '.join(STAGES)}")
    if "vocoder" in wanted and config.vocoder.name is None:
        raise UserError("stages has vocoder, but no vocoder is configured: add vocoder=hifigan")
    return wanted


def _name(config: DictConfig) -> str:
    """The run's name; each job of a sweep gets its overrides added, so that no two share a run."""
    name = config.name or ("demo" if config.data.dir is None else name_from_folder(Path(config.data.dir).expanduser()))
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        name = _job_name(str(name), list(HydraConfig.get().overrides.task))
    return check_name(str(name))


def _job_name(name: str, overrides: list[str]) -> str:
    """`rain` and [model.latent_dim=16, seed=2] → rain_latent_dim-16_seed-2; shortened where too long, still its own."""
    kept = [item.partition("=") for item in overrides]
    kept = [(key.rpartition(".")[2], value) for key, _, value in kept if key not in _NOT_IN_JOB_NAMES]
    full = "_".join([name, *(f"{key}-{value}" for key, value in kept)])
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", full)
    return (
        plain if len(plain) <= MAX_NAME else f"{plain[: MAX_NAME - 9]}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"
    )


def main(arguments: list[str] | None = None) -> None:
    entry.run(train, "train", sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    main()
