"""The two stages of a training: fit the VAE, encode the corpus and pack; fit the vocoder and add it."""

import torch
from omegaconf import DictConfig
from rich.console import Console

from distillgan.audio.mel import MelSpec, MelSpectrogram
from distillgan.building import build, plain
from distillgan.data.band import readable
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.errors import UserError
from distillgan.latent.corpus import encode_corpus
from distillgan.modelfile import read_model
from distillgan.modelheader import MEASURED, PENDING
from distillgan.training.analyse import analyse
from distillgan.training.board import lay_out, show_results
from distillgan.training.board_corpus import corpus_points
from distillgan.training.checkpoint import LAST
from distillgan.training.extend import remembered
from distillgan.training.fit import Stage, fit
from distillgan.training.interrupt import Interrupted, InterruptGuard
from distillgan.training.job import Job
from distillgan.training.pack import is_packed, pack_vae, pack_vocoder
from distillgan.training.run import Run
from distillgan.training.settings import note_settings
from distillgan.training.start import go_on, start
from distillgan.training.team import Team
from distillgan.vae.network import VAENetwork
from distillgan.vocoder.own import load_own
from distillgan.vocoder.trained import TrainedVocoder
from distillgan.vocoder.weights_file import UNIVERSAL, read_packaged


def train_vae(job: Job, team: Team, guard: InterruptGuard, console: Console) -> float:
    """Fit the VAE, encode the corpus with it, pack both; returns the held-out error in dB. Raises UserError."""
    config, run, clips, spec = job.config, job.run, job.clips, job.spec
    limit = job.manifest.band_limit_hz
    team.check_shared(run.home.runs)
    torch.manual_seed(config.seed)
    module = build(config.model.module, spec=spec.to_dict())
    size = sum(parameter.numel() for parameter in module.network.parameters()) / 1e6
    console.print(f"VAE: {size:.1f} M parameters, {config.model.max_steps} steps at most")
    if limit:
        console.print(f"no recording holds anything above {readable(limit)}: nothing will be made there")
    extension = job.extension
    weights = None if extension is None else extension.weights(job.manifest)
    data = _data_module(config.data, clips, spec, config.seed, weights)
    arguments = plain(config.model.module.network)
    depends = {"model.module.network": arguments} | ({} if extension is None else {"extends": extension.fingerprint})
    team.on_first(lambda: _begin(job, "vae", depends))
    stage = Stage("vae", "VAE", "val/mel_error_db", run.stage("vae"), judge_start=extension is not None)
    if extension is not None and not (stage.folder / LAST).exists():
        module.start_from(extension.network(run.home))
    fitted = fit(stage, module, data, config, team, guard, _heard_through(run, spec))

    module.load_state_dict(fitted.checkpoint["state_dict"])
    network = module.averaged.module.to(team.device).eval()
    measured = {key: float(value) for key, value in fitted.checkpoint["measured"].items()}
    if extension is not None:
        measured |= team.on_first(lambda: remembered(job.manifest, run.home, spec, extension, network))
        console.print(
            f"old recordings: {measured['old_error_before_db']:.2f} dB before, {measured['old_error_db']:.2f} dB now"
        )

    def pack() -> None:
        mel = MelSpectrogram(spec).to(team.device)
        latents = encode_corpus(network, mel, [*clips[TRAIN], *clips[HELD_OUT]])
        learnt, analysis, quick = latents.to_tensors(), None, guard.signum is not None

        def write(sliders: str | None) -> None:
            pack_vae(
                *(run, fitted, network, arguments, learnt, spec, job.manifest, {**measured, "sliders": sliders}),
                *(config.licence, config.note),
            )

        # Before the analysis, which takes minutes: whatever ends the process then, the model is there, and plays.
        if quick or not is_packed(run, network):
            write(PENDING)
        if quick:
            console.print("stopped before the sliders were measured: the same command measures them")
        else:
            try:
                analysis = analyse(network, spec, latents, _own_vocoder(run), config.analysis, console, limit)
            except Interrupted:
                console.print("stopped before the sliders were measured: the same command measures them, and no more")
                raise
            learnt |= {} if analysis is None else analysis.to_tensors()
            write(None if analysis is None else MEASURED)
        show_results(run, None if quick else corpus_points(clips, latents, analysis, mel, network.stride))

    team.on_first(pack)
    console.print(
        f"VAE: {fitted.steps} steps in {fitted.seconds:.0f} s, error {fitted.error:.2f} dB on {fitted.judged_on}, "
        f"{measured['active_dimensions']:.0f} of {config.model.latent_dim} dimensions active, "
        f"{measured['kl_nats']:.1f} nats a frame → {run.model_path}"
    )
    return fitted.error


def train_vocoder(job: Job, team: Team, guard: InterruptGuard, console: Console) -> float:
    """Fit a vocoder to the packed model and its recordings, and add it; returns the held-out mel error.

    Raises:
        UserError: there is no model of the run's name, its mel is another, or as `fit`.
    """
    config, run, spec = job.config, job.run, job.spec
    team.check_shared(run.home.runs)
    if not run.model_path.exists():
        raise UserError(f"{run.model_path}: a vocoder is trained for a finished model, and there is none of this name")
    torch.manual_seed(config.seed)
    header, tensors = read_model(run.model_path, "vae.")
    spec.require(header.mel, "the configuration", str(run.model_path))
    vae = VAENetwork(**header.vae)
    vae.load_state_dict({name.removeprefix("vae."): tensor for name, tensor in tensors.items()})
    vae.to(team.device).eval().requires_grad_(False)
    module = build(config.vocoder.module)
    module.set_reconstruct(lambda x: vae.decode(vae.encode(x)[0], x.shape[-1]))
    name, folder = config.vocoder.name, run.stage(config.vocoder.name)
    if (folder / LAST).exists():
        origin = go_on(config.vocoder)
    else:
        origin = start(module, config.vocoder, spec, run.model_path.parent)
    size = sum(parameter.numel() for parameter in module.generator.parameters()) / 1e6
    console.print(f"vocoder {name}: {size:.1f} M parameters, {origin}, {config.vocoder.max_steps} steps at most")
    data = _data_module(config.vocoder.data, job.clips, spec, config.seed)
    arguments = {"vocoder.generator": plain(config.vocoder.generator)}
    team.on_first(lambda: _begin(job, name, arguments))
    stage = Stage(name, "vocoder", "val/mel_error", folder, judge_start=True)
    fitted = fit(stage, module, data, config, team, guard)

    module.load_state_dict(fitted.checkpoint["state_dict"])
    description = {"name": name, "generator": module.generator.args}
    weights = {f"vocoder.{key}": tensor for key, tensor in module.averaged.module.export_state().items()}

    def pack() -> str | None:
        kept = pack_vocoder(run, fitted, description, weights, config.vocoder.replace)
        show_results(run)
        return kept

    kept = team.on_first(pack)
    console.print(
        f"vocoder: {fitted.steps} steps in {fitted.seconds:.0f} s, mel error {fitted.error:.3f} on "
        f"{fitted.judged_on} (of step {fitted.checkpoint['steps_done']}) → {kept or run.model_path}"
    )
    return fitted.error


def _begin(job: Job, stage: str, depends: dict) -> None:
    job.run.begin(stage, depends, job.config, job.manifest, job.spec)
    note_settings(job.run.stage(stage), job.config)
    lay_out(job.run)


def _data_module(
    config: DictConfig, clips: dict, spec: MelSpec, seed: int, weights: list[float] | None = None
) -> AudioDataModule:
    return AudioDataModule(
        clips[TRAIN],
        clips[HELD_OUT],
        spec,
        build(config.augment),
        config.batch_size,
        config.segment_frames,
        config.epoch_steps,
        config.validation_seconds,
        config.num_workers,
        seed,
        weights,
    )


def _own_vocoder(run: Run) -> TrainedVocoder | None:
    """The vocoder that the model has already."""
    if not run.model_path.exists():
        return None
    header, tensors = read_model(run.model_path, "vocoder.")
    return None if header.vocoder is None else load_own(header.vocoder, tensors, header.mel)


def _heard_through(run: Run, spec: MelSpec) -> TrainedVocoder | None:
    """What lets the VAE's previews be heard: the vocoder that the model has already, else the universal one."""
    own = _own_vocoder(run)
    if own is not None:
        return own
    weights = read_packaged(UNIVERSAL)
    return weights.vocoder() if weights is not None and weights.spec == spec else None
