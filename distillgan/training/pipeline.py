"""A training from its request to a model file: recordings, the VAE, its sliders, a vocoder of its own."""

import sys
from contextlib import ExitStack
from dataclasses import replace

from omegaconf import DictConfig
from rich.console import Console
from torch.distributed.elastic.multiprocessing.api import SignalException

from distillgan.compute import computing, memory_in_words
from distillgan.configuration import build
from distillgan.data.corpus import prepare_corpus
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.models.header import copy_model, read_header
from distillgan.models.plugins import VOCODERS, describe
from distillgan.training.auto_settings import auto_settings, check_settings
from distillgan.training.callbacks import Interrupted, InterruptGuard
from distillgan.training.context import (
    VAE,
    VOCODER,
    TrainContext,
    TrainRequest,
    folders_as_value,
    given_name,
    with_values,
)
from distillgan.training.distributed import Processes, is_first, launch, on_first, process_group
from distillgan.training.extend import as_split, channels_of, extend, folders_of, settings_of
from distillgan.training.fit import fit
from distillgan.training.stages import check_analysis, finish_vae, finish_vocoder, prepare_vae, prepare_vocoder
from distillgan.training.sweep import SweepJob

_STAGES = {VAE: (prepare_vae, finish_vae), VOCODER: (prepare_vocoder, finish_vocoder)}


@memory_in_words("training", "Close what else uses it, or take device=cpu; the same command goes on")
def train(request: TrainRequest | DictConfig) -> float | None:
    """Run the stages of a request, or of a composed configuration; the last one's held-out error.

    A job of a sweep has its row of the table, is not run twice, and returns None if it fails, so that the others go on:
    Optuna takes that for a trial that failed.

    Raises:
        UserError: something the user can mend.
        SystemExit: 130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP; what was trained by then is kept and packed.
    """
    if isinstance(request, DictConfig):
        request = TrainRequest.from_config(request)
    console, error = Console(soft_wrap=True, quiet=not is_first()), float("nan")
    finished: list[float] = []
    with ExitStack() as held:
        if request.sweep is not None:
            job = SweepJob(request.sweep, request.overrides)
            if (error := job.finished_error()) is not None:
                print(f"done already: {' '.join(job.overrides)}, error {error:.4g}")
                return error
            held.enter_context(job.recorded(request.run, finished))
        guard = held.enter_context(InterruptGuard())
        held.enter_context(computing(request.threads))
        try:
            processes = Processes.from_config(request.config)
            if processes.to_launch:
                error, code = launch(_train_in_process, processes, request.threads, request)
                if code:
                    sys.exit(code)
                finished.append(error)
                return error
            held.enter_context(process_group(processes))
            context = on_first(lambda: prepare(request, processes, held, console))
            for name in request.stages:
                if guard.signum is None:
                    prepare_stage, finish_stage = _STAGES[name]
                    stage = prepare_stage(context, console)
                    result = fit(stage, context.config, processes, guard)
                    error = finish_stage(context, stage, result, guard, console)
        except Interrupted as interruption:
            console.print(f"{interruption}: what was finished before is kept")
            sys.exit(interruption.exit_code)
        except SignalException as ended:
            console.print("stopped early; the same command goes on from here")
            sys.exit(128 + ended.sigval)
        if guard.signum is not None:
            console.print("stopped early; the same command goes on from here")
            sys.exit(guard.exit_code)
        run = context.run
        if not read_header(run.model_path).vocoder:
            console.print(
                f"next: distillgan train-vocoder {run.name} for a vocoder of its own, "
                f"or distillgan generate model={run.name} vocoder=bigvgan"
            )
        finished.append(error)
    return finished[0] if finished else None


def _train_in_process(request: TrainRequest) -> tuple[float, int | None]:
    """The training in one of several processes: the error, and the exit code if it was stopped early."""
    try:
        return train(replace(request, sweep=None)), None
    except SystemExit as stopped:
        return float("nan"), stopped.code


def prepare(request: TrainRequest, processes: Processes, held: ExitStack, console: Console) -> TrainContext:
    """Everything that comes before the stages: corpus, splits, automatic settings, the run's folder.

    The run's name is locked for as long as `held` is. Raises UserError.
    """
    config, run, home, stages = request.config, request.run, request.home, request.stages
    held.enter_context(run.lock())
    folders = [config.vocoder.name if stage == VOCODER else stage for stage in stages]
    held.enter_context(run.noted(processes.device.type, folders))
    if request.sweep is not None:
        _copy_model_of_sweep(request)
    places, channels, values = request.folders, request.channels, {}
    growing = config.extend and VAE in stages
    if growing:
        places = folders_of(run, home, places)
        channels = channels_of(run, channels)
        if channels != request.channels:
            console.print(f"chosen: data.channels={channels} (the model's)")
    manifest = prepare_corpus(None if places is None else list(places), home, request.spec, console, channels)
    extension = None
    if growing:
        manifest, extension, begun = extend(run, home, manifest, places, request.spec, processes.device)
        places, values = extension.folders, settings_of(extension, home)
        kept = f"what there was is kept as {extension.model}" if begun else "it goes on"
        console.print(f"{run.name} is extended, from {extension.before_db:.2f} dB on its old recordings; {kept}")
        given = config.model.module.network
        for key, value in values["model.module.network"].items():
            if given.get(key) != value:
                console.print(f"chosen: model.module.network.{key}={value} (the model's)")
    elif VAE not in stages:
        manifest = as_split(run, manifest)
    clips = {split: manifest.clips(home.decoded, split) for split in (TRAIN, HELD_OUT)}
    if places is not None:
        values["data.dir"] = folders_as_value(places)

    minutes = sum(clip.length for clip in clips[TRAIN]) / request.spec.sample_rate / 60
    chosen = auto_settings(config, minutes, processes.device.type)
    values |= {"data.channels": channels, "trainer.devices": processes.devices}
    config = with_values(config, values | {setting.key: setting.value for setting in chosen})
    # Values that are refused are told now, not after hours of the VAE.
    check_settings(config)
    check_analysis(config.analysis)
    if VAE in stages:
        build(config.model.module, spec=request.spec.to_dict())
    if VOCODER in stages:
        describe(VOCODERS, config.vocoder.name)
        build(config.vocoder.module)
    _begin_anew(request, extension is not None, console)
    for setting in chosen:
        console.print(f"chosen: {setting}")
    console.print(f"run {run.folder}, on {processes}. Watch it: distillgan board {run.name}")
    return TrainContext(request, config, manifest, clips, processes, extension)


def _begin_anew(request: TrainRequest, extends: bool, console: Console) -> None:
    """Set aside what there is of the run's name, if it is not to go on; nothing is deleted."""
    run, vocoder = request.run, request.config.vocoder.name
    model_alone = run.model_path.exists() and not run.stage(VAE).exists() and not extends
    if request.config.resume == "never" and VAE not in request.stages:
        old = run.set_aside_stage(vocoder)
        console.print(f"the training of {vocoder} so far is kept as {old}" if old else "a new vocoder")
    elif request.config.resume == "never" or (VAE in request.stages and model_alone):
        old = run.set_aside()
        console.print(f"what there was of the name {run.name} is kept as {old}" if old else "a new run")


def _copy_model_of_sweep(request: TrainRequest) -> None:
    """A sweep's jobs that train a vocoder alone have a copy each of the model that they are named after."""
    original, own = request.home.model(given_name(request.config)), request.run.model_path
    if request.stages == (VOCODER,) and original.exists() and not own.exists():
        copy_model(original, own, lambda header: replace(header, name=request.name))
