"""What is chosen for a sweep's launchers, and what is said where they are not installed."""

import os
import subprocess
import sys

import joblib
import pytest

from distillgan.training.sweep import choose, jobs_of


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """That of a process which has been told nothing, and is again afterwards."""
    for name in ("OMP_NUM_THREADS", "TTY_COMPATIBLE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def chosen(*arguments, **given) -> dict[str, object]:
    return {choice.key: choice.value for choice in choose(*arguments, given)}


CORES = joblib.cpu_count(only_physical_cores=True)


def test_jobs_are_counted():
    assert jobs_of(["seed=1", "data.dir=[a,b]"]) == 1
    assert jobs_of(["seed=1,2,3", "model.latent_dim=range(4,8)", "name=x"]) == 12
    assert jobs_of(["model.module.lr=interval(0,1)"]) == 1, "a search's: there it is the trials that are counted"


@pytest.mark.parametrize(("jobs", "at_once"), [(1, 1), (1000, CORES)])
def test_as_many_jobs_at_once_as_there_are_cores_and_each_has_its_share_of_them(monkeypatch, jobs, at_once):
    assert chosen("joblib", "None", jobs, False) == {"hydra.launcher.n_jobs": at_once}
    assert int(os.environ["OMP_NUM_THREADS"]) == max(1, joblib.cpu_count() // at_once)


def test_what_is_said_is_kept(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert choose("joblib", "None", 9, False, {"hydra.launcher.n_jobs": 3}) == []
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_plain_sweeps_are_left_as_they_are():
    assert choose("None", "None", 9, False, {}) == []
    assert "OMP_NUM_THREADS" not in os.environ


def test_jobs_share_a_gpu_only_where_that_is_said():
    assert chosen("joblib", "None", 9, True) == {"hydra.launcher.n_jobs": 1}


def test_a_search_is_the_same_each_time_and_learns_from_batches_that_fill_the_machine():
    assert chosen("None", "optuna", 1, False) == {"hydra.sweeper.n_jobs": 1, "hydra.sweeper.sampler.seed": 1}
    assert chosen("joblib", "optuna", 1, False)["hydra.sweeper.n_jobs"] == CORES
    assert "hydra.sweeper.sampler.seed" not in {
        choice.key for choice in choose("None", "optuna", 1, False, {"hydra/sweeper/sampler": "grid"})
    }


def test_a_job_of_the_cluster_goes_on_after_its_time():
    assert chosen("submitit_slurm", "None", 9, False)["hydra.launcher.max_num_timeout"] > 100


WITHOUT = """
import sys, types
sys.modules["hydra_plugins"] = types.ModuleType("hydra_plugins")
sys.modules["hydra_plugins"].__path__ = []
from distillgan.cli import hydra_app
from distillgan.errors import UserError
hydra_app.check("train", ["seed=1,2", "experiment=tiny"])
for override in sys.argv[1:]:
    try:
        hydra_app.check("train", ["seed=1", override])
    except UserError as error:
        print(error)
"""


def test_without_the_extra_plain_sweeps_work_and_the_others_say_how_to_get_it():
    overrides = ["hydra/launcher=joblib", "hydra/launcher=submitit_slurm", "hydra/sweeper=optuna", "search=vae"]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *overrides], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(overrides), done.stdout + done.stderr
    assert all(line.endswith("pip install 'distillgan[sweeps]'") for line in lines)
    assert [line.partition(" ")[0] for line in lines[:3]] == overrides[:3]
