"""The stages of a training: the model, its analysis, its vocoder; where each starts and what is packed.

What a training is about: prepared once, by the first process, and the same on each.

Where a vocoder's training starts: from nothing, from the universal weights, or from a file.

After the VAE: the corpus's moments are described and each slider is tried, on sound that the model renders.

From a stage's best checkpoint to the model file.

The two stages of a training: fit the VAE, encode the corpus and pack; fit the vocoder and add it.
"""

import time
from dataclasses import dataclass
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
from distillgan.data.cache import AudioClip
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.manifest import HELD_OUT, TRAIN, Manifest
from distillgan.errors import UserError, number, whole
from distillgan.models.base import Vocoder
from distillgan.models.header import BAND_LIMIT, MEASURED, PENDING, Header, read_header, utc_now
from distillgan.models.modelfile import read_model, replace_vocoder, write_model
from distillgan.models.vae.network import VAENetwork
from distillgan.models.vocoders.module import VocoderModule
from distillgan.models.vocoders.registry import UNIVERSAL, GeneratorWeights, load_own, read_packaged, read_weights
from distillgan.models.vocoders.trained import TrainedVocoder
from distillgan.paths import MODEL_SUFFIX
from distillgan.progress import progress_bar
from distillgan.training.auto_settings import note_settings
from distillgan.training.callbacks import LAST, Interrupted, InterruptGuard
from distillgan.training.distributed import Team
from distillgan.training.extend import Extension, remembered
from distillgan.training.fit import Fitted, Stage, fit
from distillgan.training.run_status import Run
from distillgan.training.tensorboard import corpus_points, lay_out, show_results


@dataclass(frozen=True)
class Job:
    """`config` with every null that sizing fills in; `clips` by split; `stages` in their order. Can be pickled.

    `extension`: what the run goes on from, if it is not from nothing.
    """

    config: DictConfig
    stages: list[str]
    run: Run
    manifest: Manifest
    clips: dict[str, list[AudioClip]]
    spec: MelSpec
    extension: Extension | None = None


SCRATCH, _UNIVERSAL_INIT = "scratch", "universal"


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
    module.start_from(weights.tensors, weights.origin, settings.init_rate)
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
    network: VAENetwork,
    spec: MelSpec,
    corpus: CorpusLatents,
    own: Vocoder | None,
    settings: DictConfig,
    console: Console,
    limit: float = 0.0,
) -> Analysis | None:
    """What `latent/` finds in the corpus, heard through the universal vocoder, or the model's own for another mel.

    settings: the node `analysis`; limit: Hz, above which new sound has nothing, 0 for none.

    None, with a word on why, if there is no vocoder for this mel.
    Raises UserError if a setting is out of range.
    """
    seconds, seeds, probes = checked(settings)
    universal, vocoder = read_packaged(UNIVERSAL), own
    if universal is not None and universal.spec == spec:
        vocoder = universal.vocoder().to(next(network.parameters()).device)
    if vocoder is None:
        console.print("analysis: no vocoder for this mel yet, so the model has no sliders; train one, then train again")
        return None

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


def checked(settings: DictConfig) -> tuple[float, int, int]:
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


def pack_vae(
    run: Run,
    fitted: Fitted,
    network: VAENetwork,
    network_args: dict,
    learnt: dict[str, Tensor],
    spec: MelSpec,
    manifest: Manifest,
    measured: dict,
    licence: str,
    note: str,
) -> None:
    """Write the model file: the VAE and what was learnt of the corpus (`latent.*`).

    A vocoder in the old file stays, and so do its tags and, unless others are given, its licence and note.
    `measured` joins the training statistics of the header. Raises UserError if the disk refuses; the old file stays.
    """
    statistics = {**_statistics(fitted), "error_db": fitted.error, **measured}
    vocoder, vocoder_statistics, vocoder_tensors, tags = None, None, {}, []
    if run.model_path.exists():
        old, vocoder_tensors = read_model(run.model_path, "vocoder.")
        vocoder, vocoder_statistics = old.vocoder, old.training["vocoder"]
        licence, note, tags = licence or old.licence, note or old.note, old.tags
    header = Header(
        name=run.name,
        mel=spec,
        vae=network_args,
        vocoder=vocoder,
        corpus={
            "fingerprint": manifest.fingerprint,
            "minutes": manifest.minutes,
            "files": len(manifest.used),
            "source_lufs": manifest.source_lufs,
            "train": sorted(entry.audio_hash for entry in manifest.used if entry.split != HELD_OUT),
            "held_out": sorted(entry.audio_hash for entry in manifest.used if entry.split == HELD_OUT),
            **({BAND_LIMIT: manifest.band_limit_hz} if manifest.band_limit_hz else {}),
        },
        training={"vae": statistics, "vocoder": vocoder_statistics},
        licence=licence,
        note=note,
        tags=tags,
    )
    weights = {f"vae.{name}": tensor.cpu() for name, tensor in network.state_dict().items()}
    write_model(run.model_path, header, weights | learnt | vocoder_tensors)


def is_packed(run: Run, network: VAENetwork) -> bool:
    """Has the model file these very weights of the VAE already?"""
    if not run.model_path.exists():
        return False
    try:
        _, tensors = read_model(run.model_path, "vae.")
    except UserError:  # damaged: it is written anew
        return False
    state = {f"vae.{name}": tensor.cpu() for name, tensor in network.state_dict().items()}
    return state.keys() == tensors.keys() and all(tensor.equal(tensors[name]) for name, tensor in state.items())


def pack_vocoder(run: Run, fitted: Fitted, description: dict, tensors: dict[str, Tensor], replace: bool) -> str | None:
    """Put a vocoder's folded weights into the model file: `description` is {"name", "generator": arguments}.

    A vocoder that is there and has the smaller held-out error stays, unless `replace`; then says why.
    """
    old = read_header(run.model_path)
    if old.vocoder is not None and not replace:
        error = old.training["vocoder"].get("mel_error", float("inf"))
        if error < fitted.error:
            return (
                f"the model keeps its {old.vocoder['name']} vocoder, whose error is {error:.3f}: "
                "vocoder.replace=true puts this one in its place"
            )
    statistics = {**_statistics(fitted), "mel_error": fitted.error}
    replace_vocoder(run.model_path, description, statistics, tensors)
    return None


def _statistics(fitted: Fitted) -> dict:
    return {
        "steps": fitted.steps,
        "packed_step": int(fitted.checkpoint["steps_done"]),
        "seconds": round(fitted.seconds, 1),
        "date": utc_now(),
        "judged_on": fitted.judged_on,
        "finished": fitted.finished,
        **fitted.hardware,
    }


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
