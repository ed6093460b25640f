"""`python -m distillgan.train`: recordings in, a model file out. Reads like a table of contents."""

import hashlib
import re
import sys
from contextlib import ExitStack
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from distillgan import entry
from distillgan.audio.mel import MelSpec
from distillgan.data.corpus import prepare_corpus
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.errors import UserError
from distillgan.modellayout import read_header
from distillgan.paths import MAX_NAME, Home, check_name, name_from_path
from distillgan.training import sizing
from distillgan.training.analyse import checked
from distillgan.training.fit import build
from distillgan.training.interrupt import Interrupted, InterruptGuard
from distillgan.training.job import Job
from distillgan.training.run import Run
from distillgan.training.stages import train_vae, train_vocoder
from distillgan.training.team import Place, Team

STAGES = ("vae", "vocoder")
_NOT_IN_JOB_NAMES = {"name", "data", "data.dir", "paths.home", "device"}


def train(config: DictConfig) -> float:
    """Run the configured stages; returns the last stage's error, the objective of a sweep (on the
    held-out files, where there are any).

    Raises:
        UserError: something the user can mend.
        SystemExit: 130 or 143 after Ctrl-C or SIGTERM; what was trained by then is kept and packed.
    """
    console = Console(soft_wrap=True)
    with InterruptGuard() as guard:
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
    wanted, folder, run_name = _stages(config), _folder(config), _name(config)
    home, spec = Home(config.paths.home), MelSpec.from_config(config.mel)
    manifest = prepare_corpus(folder, home, spec, console)
    clips = {split: manifest.clips(home.decoded, split) for split in (TRAIN, HELD_OUT)}

    minutes = sum(clip.length for clip in clips[TRAIN]) / spec.sample_rate / 60
    choices = sizing.fill_in(config, minutes, team.device.type)
    # Values that are refused are told now, not after hours of the VAE.
    checked(config.analysis)
    if "vocoder" in wanted:
        build(config.vocoder.module)
    run = Run(home, run_name)
    held.enter_context(run.lock())
    orphan = "vae" in wanted and run.model_path.exists() and not run.stage("vae").exists()
    if config.resume == "never" and "vae" not in wanted:
        old = run.set_aside_stage(config.vocoder.name)
        console.print(f"the training of its {config.vocoder.name} so far is kept as {old}" if old else "a new vocoder")
    elif config.resume == "never" or orphan:
        old = run.set_aside()
        console.print(f"what there was of the name {run.name} is kept as {old}" if old else "a new run")
    for choice in choices:
        console.print(f"chosen: {choice}")
    console.print(f"run {run.folder}, on {team}. Watch it: tensorboard --logdir {run.folder}")
    return Job(config, wanted, run, manifest, clips, spec)


def follow(index: int, config: DictConfig, port: int) -> None:
    """The training on another process than the first, started by it."""
    with InterruptGuard() as guard:
        _train(config, Team(config, follow, Place(index + 1, port)), guard, Console(quiet=True))


def _stages(config: DictConfig) -> list[str]:
    if config.resume not in ("auto", "never"):
        raise UserError(f"resume={config.resume} must be auto or never")
    if config.stages is None:
        return ["vae", "vocoder"] if "module" in config.vocoder else ["vae"]
    wanted = [config.stages] if isinstance(config.stages, str) else list(config.stages)
    if not wanted or not set(wanted) <= set(STAGES):
        raise UserError(f"stages={wanted} must be one or both of {', '.join(STAGES)}")
    if "vocoder" in wanted and "module" not in config.vocoder:
        given = config.vocoder.name or "none"
        raise UserError(f"stages has vocoder, but with vocoder={given} there is none to train: use vocoder=hifigan")
    return wanted


def _folder(config: DictConfig) -> str | None:
    if OmegaConf.is_missing(config.data, "dir"):
        raise UserError("data=folder wants the folder of your recordings: add data.dir=PATH")
    if config.data.dir is None:
        return None
    if OmegaConf.is_config(config.data.dir) or not str(config.data.dir).strip():
        raise UserError(f"data.dir={config.data.dir} must be the path of one folder")
    return str(config.data.dir)


def _name(config: DictConfig) -> str:
    """The run's name; each job of a sweep gets its overrides added, so that no two share a run."""
    folder = _folder(config)
    name = config.name or ("demo" if folder is None else name_from_path(Path(folder).expanduser()))
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        name = _job_name(str(name), list(HydraConfig.get().overrides.task))
    return check_name(str(name))


def _job_name(name: str, overrides: list[str]) -> str:
    """`rain` and [model.latent_dim=16, seed=2] → rain_latent_dim-16_seed-2; shortened where too long, still its own."""
    kept = [item.partition("=") for item in overrides]
    kept = [(key.rpartition(".")[2], value) for key, _, value in kept if key not in _NOT_IN_JOB_NAMES]
    full = "_".join([name, *(f"{key}-{value}" for key, value in kept)])
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "_", full)
    if len(readable) <= MAX_NAME:
        return readable
    return f"{readable[: MAX_NAME - 9]}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"


def main(arguments: list[str] | None = None) -> None:
    entry.run(train, "train", sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    main()
