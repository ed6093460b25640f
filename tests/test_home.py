"""Where things are made: DISTILLGAN_HOME, outputs/ of a checkout, the user's data folder, and homes of before."""

import json
import shutil
from pathlib import Path

import platformdirs
import pytest
from cli_runner import Done, call, distillgan

from distillgan import paths
from distillgan.cli import hydra_app
from distillgan.paths import conf_dir, default_home

MADE = Path(__file__).parent / "compat" / "0.1.0"
HELD = ("models/rain.distillgan", "runs/rain/vae/status.json", "library.sqlite")


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A clone, with its studies, that the package runs from; the current folder is another."""
    clone, here = tmp_path / "clone", tmp_path / "here"
    here.mkdir()
    put(clone / "experiments", "beta/README.md", "beta/models/table.md", "runs/.rain.lock", "models/.DS_Store")
    for folder in (conf_dir(), conf_dir().with_name("vendor")):
        (clone / folder.name).symlink_to(folder)
    monkeypatch.delenv("DISTILLGAN_HOME", raising=False)
    monkeypatch.setattr(paths, "_PACKAGE", clone / "distillgan")
    monkeypatch.chdir(here)
    paths._note.cache_clear()
    return clone


@pytest.fixture
def installed(checkout, tmp_path, monkeypatch) -> Path:
    """The data folder of a user with an installed package."""
    put(tmp_path / "site-packages" / "distillgan", "conf/train.yaml")
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "site-packages" / "distillgan")
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    folder = platformdirs.user_data_path("distillgan", appauthor=False)
    assert folder.is_relative_to(tmp_path / "ada") and folder.name == "distillgan"
    return folder


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_fresh_checkout_has_its_outputs(checkout, capsys):
    assert default_home() == checkout / "outputs"
    assert hydra_app.composed("train", []).paths.home == str(checkout / "outputs")
    assert not (checkout / "outputs").exists() and capsys.readouterr().err == ""
    assert distillgan("models", "list").stderr == ""
    assert (checkout / "outputs").is_dir() and not (checkout / "experiments" / "models" / "rain.distillgan").exists()


@pytest.mark.parametrize("held", HELD)
def test_a_home_of_before_is_used_and_said_once(checkout, monkeypatch, capsys, held):
    for folder in (Path.cwd(), checkout):
        monkeypatch.chdir(folder)
        old = folder / "experiments"
        put(old, held)
        for _ in range(2):
            assert default_home() == old
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            f"note: {old} is used, the home of an earlier version, until what it holds is moved to "
            f"{checkout / 'outputs'}"
        )
        shutil.rmtree(old)
    assert default_home() == checkout / "outputs" and capsys.readouterr().err == ""


def test_the_checkouts_home_of_before_is_found_from_anywhere(checkout):
    put(checkout / "experiments", HELD[0])
    assert default_home() == checkout / "experiments"


@pytest.mark.parametrize("held", HELD)
def test_what_has_moved_is_used_and_what_is_left_is_said(checkout, capsys, held):
    put(checkout / "experiments", HELD[0])
    put(checkout / "outputs", held)
    assert default_home() == default_home() == checkout / "outputs"
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"note: {checkout / 'outputs'} is used. {checkout / 'experiments'} is a home of an earlier version: "
        f"DISTILLGAN_HOME={checkout / 'experiments'} uses that one"
    )


def test_the_environment_has_the_last_word(checkout, monkeypatch, capsys):
    put(checkout / "experiments", *HELD)
    put(checkout / "outputs", *HELD)
    monkeypatch.setenv("DISTILLGAN_HOME", "my/home")
    assert default_home() == Path("my/home") and hydra_app.composed("generate", []).paths.home == "my/home"
    assert hydra_app.composed("generate", ["paths.home=yours"]).paths.home == "yours"
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("DISTILLGAN_HOME", "")
    assert default_home() == checkout / "outputs", "an empty one says nothing"


def test_an_installed_package_has_the_users_data_folder(installed, checkout, capsys):
    put(checkout / "experiments", *HELD)  # of a clone that it is not installed from
    assert default_home() == installed and capsys.readouterr().err == ""
    put(Path("experiments"), "runs/another_program/vae.txt", "models/its_own.pt")
    assert default_home() == installed
    put(Path("experiments"), HELD[0])
    assert default_home() == Path("experiments").absolute()
    assert capsys.readouterr().err.startswith(f"note: {Path('experiments').absolute()} is used, the home of an earlier")


def test_in_a_home_of_before_one_goes_on_and_nothing_is_moved(checkout):
    old = checkout / "experiments"
    shutil.copytree(MADE, old, dirs_exist_ok=True)
    before = {path.relative_to(old) for path in old.rglob("*")}

    def one_line(done: Done) -> str:
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"note: {old} is used") and done.stderr.count("\n") == 1
        paths._note.cache_clear()  # another process
        return done.stdout

    assert {item["name"] for item in json.loads(one_line(distillgan("models", "list", "--json")))} == {
        "alone",
        "frames",
        "hifi",
    }
    words = ["model=frames", "vocoder=harmonic", "duration=0.3", "seed=77", "device=cpu"]
    one_line(call("distillgan.generate", *words))
    assert "frames_seed77.wav" in one_line(distillgan("history", "list"))
    assert before < {path.relative_to(old) for path in old.rglob("*")} and not (checkout / "outputs").exists()
    assert not list(Path.cwd().iterdir())
