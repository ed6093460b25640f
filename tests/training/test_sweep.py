"""Sweeps: searched by Optuna, in other processes, on copies of a model; broken off and gone on with."""

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from distillgan.cli.commands.train_command import train_main
from distillgan.cli.overrides import quote
from distillgan.models.modelfile import read_model
from distillgan.paths import Home, is_name
from distillgan.training.run_status import Run, StageStatus
from distillgan.training.sweep import SweepJob, job_name, sweep_folder, varied

SMALL = ["experiment=tiny", "device=cpu", "model.max_steps=2"]
# Of the search for the VAE what makes it large.
FIXED = ["model.module.network.channels=16", "model.module.network.blocks=1", "data.segment_frames=16"]


@pytest.fixture
def sweep(monkeypatch, capsys, recordings):
    """A sweep's exit code, its rows and what it printed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    before = signal.getsignal(signal.SIGTERM)

    def run(home: Path, *arguments: str) -> tuple[int, list[dict], str]:
        monkeypatch.setattr(sys, "argv", ["train"])
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        with pytest.raises(SystemExit) as end:
            train_main([*arguments, *SMALL, f"data.dir={recordings}", f"paths.home={home}"])
        folders = [*(home / "sweeps").iterdir()] if (home / "sweeps").exists() else []
        rows = json.loads((folders[0] / "table.json").read_text()) if len(folders) == 1 else []
        output = capsys.readouterr()
        return end.value.code, rows, output.out + output.err

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_a_search_is_a_sweep_whose_trials_are_answered_from_its_sheet(sweep, tmp_path):
    command = ["search=vae", *FIXED, "name=found"]
    code, rows, said = sweep(tmp_path, *command, "hydra.sweeper.n_trials=2")
    assert code == 0 and len(rows) == 2, said
    assert rows[0]["model.module.lr"] != rows[1]["model.module.lr"]
    assert all(0.0003 <= float(row["model.module.lr"]) <= 0.003 for row in rows)
    (folder,) = (tmp_path / "sweeps").iterdir()
    best = OmegaConf.load(folder / "optimization_results.yaml")
    assert best.best_value == pytest.approx(rows[0]["error"])
    assert str(best.best_params["model.module.lr"]) in {row["model.module.lr"] for row in rows}
    # More of them: the first are the same, and done.
    code, more, said = sweep(tmp_path, *command, "hydra.sweeper.n_trials=3")
    assert code == 0 and said.count("done already") == 2 and len(more) == 3, said
    assert {row["model.module.lr"] for row in rows} < {row["model.module.lr"] for row in more}


def test_what_is_swept_tells_jobs_apart_whatever_it_is(tmp_path):
    command = ["data.dir=/a,/b", "name='rain'", "data.augment={gain_db:0.0},{gain_db:6.0}", "model.max_steps=9"]
    folder = sweep_folder(Home(tmp_path), "rain", command)
    job = ["data.dir=/b", "name='rain'", "data.augment={gain_db:6.0}", "model.max_steps=9"]
    assert varied(folder, job) == ([job[0], job[2]], [job[1], job[3]])


def test_a_search_of_which_every_trial_fails_says_why(sweep, tmp_path):
    code, rows, said = sweep(tmp_path, "search=vae", "model.latent_dim=-1", "hydra.sweeper.n_trials=2")
    assert code == 1 and "0 done, 2 failed" in said
    assert all("must be a whole number" in row["reason"] for row in rows)


def test_a_job_that_breaks_off_has_the_steps_of_its_runs_status(tmp_path):
    run = Run(Home(tmp_path), "rain_lr-1")
    numbers = {"steps": 9, "share": 0.8, "seconds": 1.0, "seconds_left": None, "losses": {}, "judged": {}}
    with SweepJob(tmp_path / "sweep", ["model.module.lr=1"]).recorded(run, []):
        raise ValueError("before its first step")
    with SweepJob(tmp_path / "sweep", ["model.module.lr=2"]).recorded(run, []):
        StageStatus(stage="vae", step=7, monitor="", ended=False, folder=run.stage("vae"), **numbers).write()
        raise RuntimeError("the loss became NaN\nat step 7")
    rows = json.loads((tmp_path / "sweep" / "table.json").read_text())
    found = {row["model.module.lr"]: (row["steps"], row["reason"]) for row in rows}
    assert found == {
        "1": (None, "ValueError: before its first step"),
        "2": (7, "RuntimeError: the loss became NaN"),
    }


@pytest.mark.slow
def test_jobs_in_other_processes_fill_the_sheet_and_one_that_fails_is_a_row(sweep, tmp_path):
    code, rows, said = sweep(tmp_path, "-m", "model.latent_dim=4,-1", "name=cores", "hydra/launcher=joblib")
    assert code == 1 and "1 done, 1 failed" in said, said
    assert rows[0]["model"].startswith("cores_latent_dim-4")
    assert (tmp_path / "models" / f"{rows[0]['model']}.distillgan").exists()
    assert rows[1]["model.latent_dim"] == "-1" and "must be a whole number" in rows[1]["reason"]


@pytest.mark.slow
def test_jobs_of_a_cluster_fill_the_sheet(sweep, tmp_path):
    """submitit on this machine: the same road as Slurm's, but for sbatch."""
    arguments = ["model.latent_dim=4", "name=cluster", "hydra/launcher=submitit_local", "-m"]
    code, rows, said = sweep(tmp_path, *arguments)
    assert code == 0 and len(rows) == 1 and rows[0]["model"].startswith("cluster_latent_dim-4"), said
    assert list((tmp_path / "sweeps").glob("*/.submitit/*/*_log.out")), "what the jobs printed"


@pytest.mark.slow
def test_a_search_for_a_vocoder_trains_copies_of_the_model(sweep, tmp_path, trained):
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "tiny.distillgan"
    shutil.copy(trained[0] / "models" / "tiny.distillgan", model)
    before = model.read_bytes()
    arguments = ["search=vocoder", "name=tiny", "vocoder=hifigan", "vocoder.replace=true", "hydra.sweeper.n_trials=1"]
    code, rows, said = sweep(tmp_path, *arguments, "vocoder.max_steps=2")
    assert code == 0 and len(rows) == 1, said
    assert model.read_bytes() == before
    old, vae = read_model(model, "vae.")
    new, same = read_model(tmp_path / "models" / f"{rows[0]['model']}.distillgan", "vae.")
    assert new.name == rows[0]["model"] != "tiny" and all(vae[key].equal(same[key]) for key in vae)
    assert new.training["vocoder"]["mel_error"] == rows[0]["error"] == rows[0]["vocoder_error"]
    assert old.training["vae"] == new.training["vae"]


def test_a_sweep_is_known_again_wherever_its_jobs_run(tmp_path):
    home = Home(tmp_path)
    folder = sweep_folder(home, "rain", ["seed=1,2", "name=rain"])
    assert sweep_folder(home, "rain", ["name=rain", "hydra/launcher=joblib", "seed=1,2"]) == folder
    assert sweep_folder(home, "rain", ["seed=1,2", "hydra.launcher.n_jobs=4", "name=rain"]) == folder
    assert sweep_folder(home, "rain", ["seed=1,2,3", "name=rain"]) != folder


def test_a_misspelt_sweep_begins_nothing(sweep, tmp_path):
    for argument, words in (("vocoder=harmonic,hifgan", "did you mean hifigan?"), ("sed=1,2", "did you mean seed?")):
        code, _, said = sweep(tmp_path / "home", "-m", argument)
        assert code == 2 and words in said
    assert not (tmp_path / "home").exists()


def test_folders_that_are_not_ascii_give_jobs_names_of_their_own_that_stay(tmp_path):
    folders = ["/x/Vögel", "/x/Vo\u0308gel", "/x/V?gel", "/x/鳥", "/x/雨", "/x/a b", "/x/a_b"]
    command = [f"data.dir={','.join(map(quote, folders))}", "seed=1"]
    folder = sweep_folder(Home(tmp_path), "sweep", command)
    names = [job_name(folder, "birds", [f"data.dir={quote(place)}", "seed=1"]) for place in folders]
    assert len({name.casefold() for name in names}) == len(folders) and all(map(is_name, names))
    assert names[3:5] == ["birds_dir-_x_鳥__seed-1", "birds_dir-_x_雨__seed-1"]
    assert names[0].startswith("birds_dir-_x_Vögel_-")
    assert names[0] == "birds_dir-_x_Vögel_-1867595e_seed-1", "stable from run to run"
