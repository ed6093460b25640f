"""`generate` from its command line: sliders and blends and Ctrl-C in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_runner import distillgan
from crafted import RATE, write_crafted

from distillgan.generate import main


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_crafted(home / "models", "rain", sliders=("brightness", "density"))
    write_crafted(home / "models", "wind", seed=1, stride=4, sliders=("density",))
    return home


def test_a_blend_under_sliders_from_the_command_line(home):
    words = ["--duration", "1.5", "--controls.density", "-3", "controls.brightness=0:-5 1:7"]
    done = distillgan("generate", "device=cpu", f"paths.home={home}", "blend=[rain:60,wind:40]", *words, cwd=home)
    assert done.returncode == 0, done.stderr
    account = json.loads((home / "audio" / "rain_wind_seed1.json").read_text())
    assert [(model["name"], model["weight"], model["controls"]) for model in account["models"]] == [
        ("rain", 60, {"density": -3, "brightness": "0:-5 1:7"}),
        ("wind", 40, {"density": -3}),
    ]
    assert "warning: controls.brightness: inactive in model wind" in done.stdout


def taken(process: subprocess.Popen) -> int:
    """Bytes of sound that the process has on the disk: in a file without a name, so by way of its descriptors."""
    sizes = []
    for descriptor in Path(f"/proc/{process.pid}/fd").glob("*"):
        try:
            if "/audio/" in os.readlink(descriptor):
                sizes.append(descriptor.stat().st_size)
        except OSError:
            pass
    return max(sizes, default=0)


def test_ctrl_c_leaves_the_beginning_as_a_valid_file(tmp_path, home):
    (tmp_path / "models").symlink_to(home / "models")
    command = [sys.executable, "-m", "distillgan.generate", "device=cpu", f"paths.home={tmp_path}", "model=rain"]
    command += ["vocoder=hifigan", "duration=600", "count=2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while taken(process) < 4 * 5 * RATE:
        assert process.poll() is None and time.monotonic() < limit, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "interrupted\n"
    assert "stopped: the file holds what was rendered until then" in out
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == [
        "rain_seed1.json",
        "rain_seed1.png",
        "rain_seed1.wav",
    ]
    wave, rate = soundfile.read(tmp_path / "audio" / "rain_seed1.wav")
    account = json.loads((tmp_path / "audio" / "rain_seed1.json").read_text())
    assert rate == RATE and 5 * RATE <= len(wave) < 600 * RATE
    assert np.isfinite(wave).all() and wave[-RATE:].std() > 1e-3, "sound to its end"
    assert account["interrupted"] and account["duration"] == 600
    assert account["seconds"] == pytest.approx(len(wave) / RATE)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("brightness=3", "brightness=3: sliders are set as controls.brightness=VALUE"),
        ("--axis2=1", "sliders are set as controls.axis2=VALUE"),
        ("controls.helligkeit_ü=3", "there is no slider of this name"),
        ("controls.=3", "there is no slider of this name"),
    ],
)
def test_sliders_that_hydra_would_not_know(argument, words, capsys):
    with pytest.raises(SystemExit) as left:
        main([argument])
    assert left.value.code == 2 and words in capsys.readouterr().err.replace("\n", "")
