"""The wheel, built by way of the sdist and installed in an environment of its own, works away from the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import soundfile

import distillgan

CHECKOUT = Path(__file__).resolve().parents[1]


def call(command: list[str | Path], folder: Path, **environment: str) -> str:
    """What the command printed; it must end well, and find nothing of the checkout in its environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DISTILLGAN_HOME")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    call([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, CHECKOUT], folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The commands' folder of a new environment that holds the wheel alone and borrows all that it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    call([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    scheme = {"base": str(folder), "platbase": str(folder)}
    commands, packages = (Path(sysconfig.get_path(kind, "venv", scheme)) for kind in ("scripts", "purelib"))
    pip = [sys.executable, "-m", "pip", "--python", commands / "python"]
    call([*pip, "install", "--no-deps", "--no-index", wheel], folder)
    # A folder named in a .pth file is searched last, and its own .pth files (an editable install's) are not read.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return commands


def test_the_wheel_holds_the_package_with_conf_and_vendor_and_nothing_else(wheel):
    expected = {path.relative_to(CHECKOUT) for path in (CHECKOUT / "distillgan").rglob("*.py")}
    universal = (CHECKOUT / "distillgan" / "models" / "vocoders" / "universal").iterdir()
    expected |= {path.relative_to(CHECKOUT) for path in universal} | {Path("distillgan/py.typed")}
    for place in ("conf", "vendor"):
        files = [path for path in (CHECKOUT / place).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        expected |= {"distillgan" / path.relative_to(CHECKOUT) for path in files}
    held = {Path(name) for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    missing, foreign = (sorted(map(str, names)) for names in (expected - held, held - expected))
    assert not missing and not foreign, f"[tool.setuptools] of pyproject.toml: missing {missing}, foreign {foreign}"


def test_the_wheel_says_its_licence_and_whose_work_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (place,) = {Path(name).parts[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(f"{place}/METADATA").decode()
        for name in ("LICENSE", "NOTICE", "vendor/bigvgan/LICENSE.weights"):
            assert archive.read(f"{place}/licenses/{name}") == (CHECKOUT / name).read_bytes()
    assert "\nLicense-Expression: MIT\n" in metadata and f"\nVersion: {distillgan.__version__}\n" in metadata
    assert "\nProvides-Extra: media\n" in metadata


def test_the_installed_package_is_used_with_its_own_conf(installed, tmp_path):
    code = "import distillgan.paths as p; print(p.__file__, p.conf_dir(), sep='\\n')"
    module, conf = map(Path, call([installed / "python", "-c", code], tmp_path).splitlines())
    assert module.is_relative_to(installed.parent) and not module.is_relative_to(CHECKOUT)
    assert conf == module.parent / "conf" and (conf / "train.yaml").is_file()


def test_the_installed_vendor_is_used_with_its_fused_activation(installed, tmp_path):
    code = (
        "import distillgan.vendor.bigvgan.activation as a; print(a.__file__, a.alias_free_snake is not None, sep='\\n')"
    )
    module, fused = call([installed / "python", "-c", code], tmp_path).splitlines()
    assert Path(module).is_relative_to(installed.parent)
    assert fused == "True"


def test_the_installed_pin_is_found(installed, tmp_path):
    said = call([installed / "distillgan", "weights", "--where"], tmp_path, DISTILLGAN_HOME=str(tmp_path / "home"))
    assert "nvidia/bigvgan_v2_44khz_128band_512x at 95a9d1dcb12906c03edd938d77b9333d6ded7dfb" in said


def test_the_console_command(installed, tmp_path):
    command = installed / "distillgan"
    assert call([command, "--version"], tmp_path) == f"distillgan {distillgan.__version__}\n"
    assert "vocoder: _trained, auto, bigvgan, harmonic, hifigan, none, universal" in call(
        [command, "train", "--help"], tmp_path
    )


def test_the_installed_home_is_the_users_data_folder(installed, tmp_path):
    here, code = tmp_path / "here", "from distillgan.paths import default_home; print(default_home())"
    here.mkdir()
    user = {"HOME": str(tmp_path / "ada"), "XDG_DATA_HOME": ""}
    home = Path(call([installed / "python", "-c", code], here, **user).strip())
    assert home.is_relative_to(tmp_path / "ada") and home.name == "distillgan"
    call([installed / "distillgan", "models", "list"], here, **user)
    assert home.is_dir() and not any(here.iterdir())


def test_the_installed_universal_vocoder_plays(installed, tmp_path):
    code = (
        "import torch, distillgan.models.vocoders.registry as w; path = w.packaged(w.UNIVERSAL); print(path)\n"
        "print(w.read_weights(path).vocoder()(torch.zeros(1, 128, 20)).isfinite().all().item())"
    )
    path, finite = call([installed / "python", "-c", code], tmp_path).splitlines()[-2:]
    assert Path(path).is_relative_to(installed.parent) and finite == "True"


@pytest.mark.slow
def test_training_and_generating_away_from_the_checkout(installed, tmp_path):
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    overrides = {
        "train": ["experiment=tiny", "vocoder=hifigan", "name=small"],
        "generate": ["model=small", "duration=1"],
    }
    for entry, words in overrides.items():
        call([installed / "python", "-m", f"distillgan.{entry}", *words], here, DISTILLGAN_HOME=str(home))
    assert (home / "models" / "small.distillgan").is_file()
    (wav,) = (home / "audio").glob("*.wav")
    assert soundfile.info(wav).duration == pytest.approx(1, abs=0.01)
    assert wav.with_suffix(".png").is_file()
    assert not any(here.iterdir()), "all that is made belongs in paths.home"
