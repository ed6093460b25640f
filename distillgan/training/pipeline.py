"""A training from its configuration to a model file: recordings, stages, what is packed."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from distillgan import process as threads
from distillgan.atomic import held_by_this
from distillgan.audio.mel import MelSpec
from distillgan.compute import computing, memory_in_words
from distillgan.configuration import build, literals
from distillgan.data.corpus import folders, prepare_corpus
from distillgan.data.downmix import chosen
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.errors import UserError, whole
from distillgan.models.header import copy_model, read_header
from distillgan.paths import Home, check_name, name_from_path
from distillgan.training import auto_settings
from distillgan.training.callbacks import Interrupted, InterruptGuard
from distillgan.training.distributed import Place, Team
from distillgan.training.extend import as_split, channels_of, extend, folders_of, grown
from distillgan.training.run_status import Run
from distillgan.training.stages import Job, checked, train_vae, train_vocoder
from distillgan.training.sweep import Sheet, job_name

STAGES = ("vae", "vocoder")


@memory_in_words("training", "Close what else uses it, or take device=cpu; the same command goes on")
def train(config: DictConfig) -> float:
    """Run the configured stages; returns the last stage's error, the objective of a sweep (on the
    held-out files, where there are any).

    Raises:
        UserError: something the user can mend.
        SystemExit: 130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP; what was trained by then is kept and packed.
    """
    console = Console(soft_wrap=True)
    with InterruptGuard() as guard, computing(threads.checked(config.threads)):
        try:
            team = Team(config, follow)
            console.quiet = not team.first
            error = _train(config, team, guard, console)
        except Interrupted as interruption:
            console.print(f"{interruption}: what was finished before is kept")
            sys.exit(interruption.exit_code)
    if guard.signum is not None:
        console.print("stopped early; the same command goes on from here")
        sys.exit(guard.exit_code)
    return error


def _train(config: DictConfig, team: Team, guard: InterruptGuard, console: Console) -> float:
    with ExitStack() as held, team:
        job = team.on_first(lambda: _prepare(config, team, held, console))
        error = float("nan")
        if "vae" in job.stages:
            error = train_vae(job, team, guard, console)
        if "vocoder" in job.stages and guard.signum is None:
            error = train_vocoder(job, team, guard, console)
    if not read_header(job.run.model_path).vocoder and guard.signum is None:
        console.print(
            f"next: distillgan train-vocoder {job.run.name} for a vocoder of its own, "
            f"or distillgan generate model={job.run.name} vocoder=bigvgan"
        )
    return error


def _prepare(config: DictConfig, team: Team, held: ExitStack, console: Console) -> Job:
    """Everything that comes before the training; the run's name is locked for as long as `held` is."""
    wanted, given, run_name, channels = (
        stages_of(config),
        _folders(config),
        run_name_of(config),
        chosen(config.data.channels),
    )
    whole("seed", config.seed, 0, 2**32 - 1)
    home, spec = Home(config.paths.home), MelSpec.from_config(config.mel)
    run = Run(home, run_name)
    held.enter_context(run.lock())
    stages = ["vae"] * ("vae" in wanted) + [config.vocoder.name] * ("vocoder" in wanted)
    held.enter_context(held_by_this(home, run_name, team.device.type, stages))
    if given is not None:
        with open_dict(config):
            config.data.dir = literals(given[0] if len(given) == 1 else given)
    growing = config.extend and "vae" in wanted
    places = folders_of(run, home, given) if growing else given
    if growing and (known := channels_of(run, channels)) != channels:
        channels = known
        console.print(f"chosen: data.channels={channels} (the model's)")
    with open_dict(config):
        config.data.channels = channels
    manifest, extension = prepare_corpus(places, home, spec, console, channels), None
    if growing:
        manifest, extension, begun = extend(run, home, manifest, places, spec, team.device)
        changed = grown(config, extension, home)
        kept = f"what there was is kept as {extension.model}" if begun else "it goes on"
        console.print(f"{run_name} is extended, from {extension.before_db:.2f} dB on its old recordings; {kept}")
        for words in changed:
            console.print(f"chosen: {words}")
    elif "vae" not in wanted:
        manifest = as_split(run, manifest)
    clips = {split: manifest.clips(home.decoded, split) for split in (TRAIN, HELD_OUT)}

    minutes = sum(clip.length for clip in clips[TRAIN]) / spec.sample_rate / 60
    choices = auto_settings.fill_in(config, minutes, team.device.type)
    # Values that are refused are told now, not after hours of the VAE.
    checked(config.analysis)
    if "vocoder" in wanted:
        build(config.vocoder.module)
    orphan = "vae" in wanted and run.model_path.exists() and not run.stage("vae").exists() and extension is None
    if config.resume == "never" and "vae" not in wanted:
        old = run.set_aside_stage(config.vocoder.name)
        console.print(f"the training of its {config.vocoder.name} so far is kept as {old}" if old else "a new vocoder")
    elif config.resume == "never" or orphan:
        old = run.set_aside()
        console.print(f"what there was of the name {run.name} is kept as {old}" if old else "a new run")
    for choice in choices:
        console.print(f"chosen: {choice}")
    console.print(f"run {run.folder}, on {team}. Watch it: distillgan board {run.name}")
    return Job(config, wanted, run, manifest, clips, spec, extension)


def follow(index: int, config: DictConfig, port: int) -> None:
    """The training on another process than the first, started by it."""
    with InterruptGuard() as guard, computing(config.threads):
        _train(config, Team(config, follow, Place(index + 1, port)), guard, Console(quiet=True))


def stages_of(config: DictConfig) -> list[str]:
    """The stages that are to be run. Raises UserError if a setting of the run is refused."""
    if config.resume not in ("auto", "never"):
        raise UserError(f"resume={config.resume} must be auto or never")
    if not isinstance(config.extend, bool):
        raise UserError(f"extend={config.extend} must be true or false")
    if config.extend and config.resume == "never":
        raise UserError("extend=true goes on with a model, resume=never begins anew: leave one of them out")
    if config.stages is None:
        return ["vae", "vocoder"] if "module" in config.vocoder else ["vae"]
    wanted = [config.stages] if isinstance(config.stages, str) else list(config.stages)
    if not wanted or not set(wanted) <= set(STAGES):
        raise UserError(f"stages={wanted} must be one or both of {', '.join(STAGES)}")
    if "vocoder" in wanted and "module" not in config.vocoder:
        given = config.vocoder.name or "none"
        raise UserError(f"stages has vocoder, but with vocoder={given} there is none to train: use vocoder=hifigan")
    return wanted


def _folders(config: DictConfig) -> list[str] | None:
    if OmegaConf.is_missing(config.data, "dir"):
        raise UserError("data=folder wants the folder of your recordings: add data.dir=PATH")
    found = folders(config.data.dir)
    return (
        None if found is None else [os.path.abspath(os.path.expanduser(folder)) for folder in found]
    )  # for other places, too


def run_name_of(config: DictConfig) -> str:
    """The run's name; each job of a sweep gets its overrides added, so that no two share a run."""
    name = given_name(config)
    if swept():
        hydra = HydraConfig.get()
        name = job_name(Path(hydra.sweep.dir), check_name(name), hydra.overrides.task)
    return check_name(name)


def given_name(config: DictConfig) -> str:
    """The name that the configuration gives, or its recordings."""
    if config.name is not None:
        return str(config.name)
    given = _folders(config)
    return "demo" if given is None else name_from_path(Path(given[0]).expanduser())


def swept() -> bool:
    """Whether this is a job of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def job(config: DictConfig, refused: Callable[[UserError], None]) -> float | None:
    """As `train`; a job of a sweep fills its row of the sheet, is not run twice, and if it fails the others go on.

    It then returns None, after `refused` was told of a UserError. Optuna takes that for a trial that failed; a NaN
    would end its search.
    """
    if not swept():
        return train(config)
    hydra = HydraConfig.get()
    sheet = Sheet(Path(hydra.sweep.dir), hydra.overrides.task)
    done = sheet.finished_error()
    if done is not None:
        print(f"done already: {' '.join(hydra.overrides.task)}, error {done:.4g}")
        return done
    sheet.begin()
    try:
        _begin_with_its_model(config)
        error = train(config)
        sheet.finished(error, read_header(Home(config.paths.home).model(run_name_of(config))))
        return error
    except UserError as refusal:
        refused(refusal)
        sheet.failed(str(refusal))
    except Exception as crash:  # of one job: the night's other jobs are worth more than its end
        traceback.print_exc()
        sheet.failed(f"{type(crash).__name__}: {crash}")
    return None


def _begin_with_its_model(config: DictConfig) -> None:
    """Jobs that train a vocoder alone have a copy each of the model that they are named after."""
    home, name, own = Home(config.paths.home), given_name(config), run_name_of(config)
    if stages_of(config) == ["vocoder"] and home.model(name).exists() and not home.model(own).exists():
        copy_model(home.model(name), home.model(own), lambda header: replace(header, name=own))
