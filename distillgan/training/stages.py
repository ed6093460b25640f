"""The stages of a training: the VAE with the latents of the corpus and the sliders, and a vocoder of its own."""

import time
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from distillgan.audio.filters import band_limited
from distillgan.audio.mel import MelSpec, MelSpectrogram, silent_above
from distillgan.configuration import build, plain
from distillgan.control.analysis import Analyser
from distillgan.control.latents import CorpusLatents, encode_corpus
from distillgan.control.sliders import Analysis, Slider
from distillgan.data.band import readable
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.errors import UserError, number, whole
from distillgan.models.base import LatentModel, Vocoder
from distillgan.models.header import MEASURED, PENDING
from distillgan.models.modelfile import latent_class, read_model
from distillgan.models.plugins import VAE, VOCODERS, describe
from distillgan.models.vocoders.module import VocoderModule
from distillgan.models.vocoders.registry import UNIVERSAL, GeneratorWeights, load_own, read_packaged, read_weights
from distillgan.paths import MODEL_SUFFIX
from distillgan.progress import progress_bar
from distillgan.training.auto_settings import note_settings
from distillgan.training.callbacks import LAST, Interrupted, InterruptGuard
from distillgan.training.context import TrainContext
from distillgan.training.distributed import check_shared, on_first
from distillgan.training.extend import forgotten
from distillgan.training.fit import FitResult, Stage
from distillgan.training.packaging import add_vocoder, is_packed, write_vae
from distillgan.training.run_status import Run
from distillgan.training.tensorboard import corpus_points, lay_out, show_results

SCRATCH, _UNIVERSAL_INIT = "scratch", "universal"


def prepare_vae(context: TrainContext, console: Console) -> Stage:
    """The VAE's training. Raises UserError if a value is refused, or the run was begun with another one."""
    config, run, spec = context.config, context.run, context.spec
    check_shared(context.processes, run.home.runs)
    torch.manual_seed(config.seed)
    module = build(config.model.module, spec=spec.to_dict())
    size = sum(parameter.numel() for parameter in module.network.parameters()) / 1e6
    console.print(f"VAE: {size:.1f} M parameters, {config.model.max_steps} steps at most")
    if context.manifest.band_limit_hz:
        limit = readable(context.manifest.band_limit_hz)
        console.print(f"no recording holds anything above {limit}: nothing will be made there")
    extension, folder = context.extension, run.stage("vae")
    depends = {"model.module.network": plain(config.model.module.network)}
    if module.network.name != VAE:
        depends["model.kind"] = module.network.name
    if extension is not None:
        depends["extends"] = extension.fingerprint
        if not (folder / LAST).exists():
            module.start_from(extension.network(run.home))
    weights = None if extension is None else extension.weights(context.manifest)
    data = _data_module(config.data, context, weights)
    _begin(context, "vae", depends)
    vocoder = own_vocoder(run) or _universal(spec)
    return Stage("vae", "VAE", "val/mel_error_db", folder, module, data, extension is not None, vocoder)


def finish_vae(
    context: TrainContext, stage: Stage, result: FitResult, guard: InterruptGuard, console: Console
) -> float:
    """Encode the corpus with the trained VAE, pack both, and measure the sliders; the held-out error in dB."""
    config, run, spec, device = context.config, context.run, context.spec, context.processes.device
    module, extension, manifest = stage.module, context.extension, context.manifest
    module.load_state_dict(result.checkpoint["state_dict"])
    network = module.averaged.module.to(device).eval()
    measured = {key: float(value) for key, value in result.checkpoint["measured"].items()}
    if extension is not None:
        measured |= on_first(lambda: forgotten(manifest, run.home, spec, extension, network))
        console.print(
            f"old recordings: {measured['old_error_before_db']:.2f} dB before, {measured['old_error_db']:.2f} dB now"
        )

    def pack() -> None:
        mel = MelSpectrogram(spec).to(device)
        latents = encode_corpus(network, mel, [*context.clips[TRAIN], *context.clips[HELD_OUT]])
        learnt, analysis, quick = latents.to_tensors(), None, guard.signum is not None

        def write(sliders: str | None) -> None:
            write_vae(
                *(run, result, network, plain(config.model.module.network), learnt, spec, manifest),
                *({**measured, "sliders": sliders}, config.licence, config.note),
            )

        # Before the analysis, which takes minutes: whatever ends the process then, the model is there, and plays.
        if quick or not is_packed(run, network):
            write(PENDING)
        if quick:
            console.print("stopped before the sliders were measured: the same command measures them")
        else:
            try:
                analysis = analyse(
                    network, spec, latents, own_vocoder(run), config.analysis, console, manifest.band_limit_hz
                )
            except Interrupted:
                console.print("stopped before the sliders were measured: the same command measures them, and no more")
                raise
            learnt |= {} if analysis is None else analysis.to_tensors()
            write(None if analysis is None else MEASURED)
        show_results(run, None if quick else corpus_points(context.clips, latents, analysis, mel, network.stride))

    on_first(pack)
    console.print(
        f"VAE: {result.steps} steps in {result.seconds:.0f} s, error {result.error:.2f} dB on {result.judged_on}, "
        f"{measured['active_dimensions']:.0f} of {network.latent_dim} dimensions active, "
        f"{measured['kl_nats']:.1f} nats a frame → {run.model_path}"
    )
    return result.error


def prepare_vocoder(context: TrainContext, console: Console) -> Stage:
    """The training of a vocoder for the packed model. Raises UserError: there is none, its mel is another, a value."""
    config, run, spec = context.config, context.run, context.spec
    check_shared(context.processes, run.home.runs)
    if not run.model_path.exists():
        raise UserError(f"{run.model_path}: a vocoder is trained for a finished model, and there is none of this name")
    torch.manual_seed(config.seed)
    header, tensors = read_model(run.model_path, "vae.")
    spec.require(header.mel, "the configuration", str(run.model_path))
    vae = latent_class(header)(**header.vae)
    vae.load_state_dict({name.removeprefix("vae."): tensor for name, tensor in tensors.items()})
    vae.to(context.processes.device).eval().requires_grad_(False)
    module = build(config.vocoder.module)
    module.set_reconstruct(lambda x: vae.decode(vae.encode(x)[0], x.shape[-1]))
    name, folder = config.vocoder.name, run.stage(config.vocoder.name)
    origin = go_on(config.vocoder) if (folder / LAST).exists() else start(module, config.vocoder, spec, run.home.models)
    size = sum(parameter.numel() for parameter in module.generator.parameters()) / 1e6
    console.print(f"vocoder {name}: {size:.1f} M parameters, {origin}, {config.vocoder.max_steps} steps at most")
    data = _data_module(config.vocoder.data, context)
    _begin(context, name, {"vocoder.generator": plain(config.vocoder.generator)})
    return Stage(name, "vocoder", "val/mel_error", folder, module, data, validates_start=True)


def finish_vocoder(
    context: TrainContext, stage: Stage, result: FitResult, guard: InterruptGuard, console: Console
) -> float:
    """Add the trained vocoder to the model file; the held-out mel error."""
    module, run = stage.module, context.run
    module.load_state_dict(result.checkpoint["state_dict"])
    description = {**describe(VOCODERS, stage.name), "generator": module.generator.args}
    weights = {f"vocoder.{key}": tensor for key, tensor in module.averaged.module.export_state().items()}

    def pack() -> str | None:
        kept = add_vocoder(run, result, description, weights, context.config.vocoder.replace)
        show_results(run)
        return kept

    kept = on_first(pack)
    console.print(
        f"vocoder: {result.steps} steps in {result.seconds:.0f} s, mel error {result.error:.3f} on "
        f"{result.judged_on} (of step {result.checkpoint['steps_done']}) → {kept or run.model_path}"
    )
    return result.error


def _begin(context: TrainContext, stage: str, depends: dict) -> None:
    """What the run's folder is told of a stage, once its parts are built."""
    run, config = context.run, context.config

    def note() -> None:
        run.begin(stage, depends, config, context.manifest, context.spec)
        note_settings(run.stage(stage), config, context.request.overrides)
        lay_out(run)

    on_first(note)


def _data_module(config: DictConfig, context: TrainContext, weights: list[float] | None = None) -> AudioDataModule:
    return AudioDataModule(
        context.clips[TRAIN],
        context.clips[HELD_OUT],
        context.spec,
        build(config.augment),
        config.batch_size,
        config.segment_frames,
        config.epoch_steps,
        config.validation_seconds,
        config.num_workers,
        context.request.seed,
        weights,
    )


def own_vocoder(run: Run) -> Vocoder | None:
    """The vocoder that the model has already."""
    if not run.model_path.exists():
        return None
    header, tensors = read_model(run.model_path, "vocoder.")
    return None if header.vocoder is None else load_own(header.vocoder, tensors, header.mel)


def _universal(spec: MelSpec) -> Vocoder | None:
    """The universal vocoder, if it is for this mel."""
    weights = read_packaged(UNIVERSAL)
    return weights.vocoder() if weights is not None and weights.spec == spec else None


def start(module: VocoderModule, settings: DictConfig, spec: MelSpec, models: Path) -> str:
    """Give the module the starting weights that `settings.init` asks for; returns in words where it starts.

    None asks for the universal weights if there are any that fit this generator. A model is named as a file, or by its
    name in the folder `models`.

    Raises UserError if there are none, or they are another generator's or for another mel.
    """
    name, init = settings.name, settings.init
    if init == SCRATCH:
        return "from scratch"
    if init in (None, _UNIVERSAL_INIT):
        weights, origin = read_packaged(name), "from the universal weights"
        if weights is None and init is None:
            return f"from scratch (there are no universal weights for {name})"
        if weights is None:
            raise UserError(f"vocoder.init=universal: there are none for {name}: use vocoder.init=scratch")
    else:
        path = models / f"{init}{MODEL_SUFFIX}"
        try:
            weights = read_weights(path if path.is_file() else str(init))
        except UserError as error:
            raise UserError(f"vocoder.init={init}: {error}") from error
        origin = f"from {weights.origin}"
    different = _differences(weights, name, module.generator.args)
    if different and init is None:
        return f"from scratch (the universal weights are those of another network: {different})"
    if different:
        raise UserError(f"vocoder.init={init}: its weights are those of another network: {different}")
    spec.require(weights.spec, "the configuration", weights.origin)
    module.start_from(weights.tensors, weights.origin, number("vocoder.init_rate", settings.init_rate, 0))
    return origin


def go_on(settings: DictConfig) -> str:
    """In words: a training that has a checkpoint starts from nothing else."""
    if settings.init is None:
        return "on from its last checkpoint"
    return f"on from its last checkpoint (vocoder.init={settings.init} was for the beginning: resume=never begins anew)"


def _differences(weights: GeneratorWeights, name: str, arguments: dict) -> str:
    """In words; none if these are the weights of such a network."""
    if weights.name != name:
        return f"{weights.name} there, {name} here"
    theirs = weights.arguments
    different = [key for key in sorted(theirs.keys() | arguments.keys()) if theirs.get(key) != arguments.get(key)]
    return ", ".join(f"{key}={theirs.get(key)} there, {arguments.get(key)} here" for key in different)


def analyse(
    network: LatentModel,
    spec: MelSpec,
    corpus: CorpusLatents,
    own: Vocoder | None,
    settings: DictConfig,
    console: Console,
    limit: float = 0.0,
) -> Analysis | None:
    """The sliders of a corpus, measured on sound of the universal vocoder, or of the model's own for another mel.

    settings: the node `analysis`. limit: Hz, above which new sound has nothing, 0 for none.
    None, with a word on why, if there is no vocoder for this mel. Raises UserError if a setting is out of range.
    """
    seconds, seeds, probes = check_analysis(settings)
    vocoder = _universal(spec) or own
    if vocoder is None:
        console.print("analysis: no vocoder for this mel yet, so the model has no sliders; train one, then train again")
        return None

    vocoder = vocoder.to(next(network.parameters()).device)

    def play(mel: Tensor) -> np.ndarray:
        if not limit:
            return vocoder.render(mel)[0, 0].float().cpu().numpy()
        wave = vocoder.render(silent_above(mel, spec, limit))[0].float().cpu().numpy()
        return next(band_limited([wave], spec.sample_rate, limit, wave.shape[1]))[0]

    begun = time.perf_counter()
    with progress_bar(console, "analysis") as progress:
        analysis = Analyser(network, spec, corpus, play, seconds, seeds, probes).run(progress)
    console.print(f"analysis: {_found(analysis)} ({time.perf_counter() - begun:.0f} s)", markup=False)
    return analysis


def check_analysis(settings: DictConfig) -> tuple[float, int, int]:
    """Seconds, seeds and probes. Raises UserError if one is out of range."""
    return (
        number("analysis.seconds", settings.seconds, 0.2, 60),
        whole("analysis.seeds", settings.seeds, 1, 100),
        whole("analysis.probes", settings.probes, 1, 1000),
    )


def _found(analysis: Analysis) -> str:
    sliders = [slider for slider in analysis.sliders() if not slider.name.startswith("axis")]
    active = [slider.name for slider in sliders if slider.reason is None]
    return f"{len(analysis.axes.spread)} axes; sliders {', '.join(active) or 'none'}" + _inactive(sliders)


def _inactive(sliders: list[Slider]) -> str:
    names = [slider.name for slider in sliders if slider.reason is not None]
    return f"; inactive {', '.join(names)}" if names else ""
