"""Where a sweep's jobs run: what is chosen for Hydra's launchers and its Optuna sweeper where nothing is said."""

import math
import os
from collections.abc import Mapping, Sequence

import joblib
from hydra.core.override_parser.overrides_parser import OverridesParser

from distillgan import threads
from distillgan.training.sizing import Choice

CORES, LOCAL, SLURM = "joblib", "submitit_local", "submitit_slurm"  # hydra/launcher=
HERE = (CORES, LOCAL)
OPTUNA = "optuna"  # hydra/sweeper=
_WEEK = 7 * 24 * 60  # minutes
_ON_CLUSTER = 8  # trials at once: each batch learns from those before it
_REQUEUED = 1000


def jobs_of(overrides: Sequence[str]) -> int:
    """How many jobs plain sweeps over the overrides' values make."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    swept = [item for item in parsed if item.is_choice_sweep() or item.is_range_sweep()]
    return math.prod(sum(1 for _ in item.sweep_string_iterator()) for item in swept)


def choose(launcher: str, sweeper: str, jobs: int, on_gpu: bool, given: Mapping[str, object]) -> list[Choice]:
    """Hydra's settings of a sweep of `jobs` jobs, those that are `given` left out.

    Jobs that run beside each other on this machine share its cores: two that use all of them are slower than one after
    the other. Sets what tells them so, for the processes that this one starts.
    """
    choices = []
    cores = joblib.cpu_count()
    physical = joblib.cpu_count(only_physical_cores=True)
    at_once = 1 if on_gpu else physical if sweeper == OPTUNA else min(physical, jobs)
    why = "they share the GPU" if on_gpu else f"of {cores} cores"
    if launcher == CORES:
        choices.append(Choice("hydra.launcher.n_jobs", at_once, f"jobs at once, {why}"))
    if launcher == LOCAL:
        choices.append(Choice("hydra.launcher.timeout_min", _WEEK, "a job's limit"))
    if launcher == SLURM:
        choices.append(
            Choice("hydra.launcher.max_num_timeout", _REQUEUED, "over time, a job is queued again and goes on")
        )
    if launcher == LOCAL and sweeper != OPTUNA:
        choices.append(Choice("hydra.sweeper.max_batch_size", at_once, f"jobs at once, {why}"))
    if sweeper == OPTUNA:
        trials = at_once if launcher in HERE else _ON_CLUSTER if launcher == SLURM else 1
        choices.append(Choice("hydra.sweeper.n_jobs", trials, "trials at once, which know nothing of each other"))
        if "hydra/sweeper/sampler" not in given:
            choices.append(Choice("hydra.sweeper.sampler.seed", 1, "the same trials each time"))
    made = [choice for choice in choices if choice.key not in given]
    if launcher in HERE:
        told = given.get("hydra.launcher.n_jobs", at_once)
        beside = told if isinstance(told, int) and told > 0 else cores
        threads.share_out(beside, cores)
        os.environ.setdefault("TTY_COMPATIBLE", "0")  # rich's: no progress bars over each other
    return made
