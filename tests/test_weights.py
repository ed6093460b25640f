"""The command `distillgan weights` and `generate vocoder=bigvgan`, with a hub to talk to and without."""

import os
import signal
import subprocess
import sys
import time

import pytest
import soundfile
from cli_runner import distillgan
from hub import CHECKPOINT, CONFIG, REPO, REVISION, small_release, write_pin
from huggingface_hub import constants

NOWHERE = "http://127.0.0.1:9"


def start(tmp_path, url, *arguments) -> subprocess.Popen:
    places = {"DISTILLGAN_HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": url}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | places
    return subprocess.Popen(
        [sys.executable, "-m", "distillgan.cli.main", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.fixture
def called(tmp_path):
    """`called(*arguments)`: the command in this process, whose client talks to the hub of the fixture `hub`."""
    return lambda *arguments: distillgan(*arguments, DISTILLGAN_HOME=tmp_path / "home")


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """What gives this process's client a hub that nobody can reach, and an empty cache."""

    def turn():
        monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", NOWHERE + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    return turn


def test_where_fetch_verify_and_generate(hub, nowhere, called, tmp_path, trained):
    pin = f"vocoder.pin={write_pin(tmp_path / 'PIN', small_release())}"
    done = called("weights", pin)
    assert done.returncode == 0 and f"{CHECKPOINT}: not here" in done.stdout and str(tmp_path / "hub") in done.stdout
    done = called("weights", "--verify", pin)
    assert done.returncode == 2 and f"there is no {CONFIG}" in done.stderr
    assert not hub.requests, "only --fetch fetches"

    done = called("weights", "--fetch", pin)
    assert done.returncode == 0, done.stderr
    assert f"fetching {CHECKPOINT}, 1.3 MB" in done.stdout and done.stdout.count("as pinned: ") == 2
    done = called("weights", "--where", pin)
    assert f"{REPO} at {REVISION}" in done.stdout and "not here" not in done.stdout
    assert called("weights", "--verify", pin).returncode == 0

    (tmp_path / "home" / "models").mkdir()
    packed = (trained[0] / "models" / "tiny.distillgan").read_bytes()
    (tmp_path / "home" / "models" / "tiny.distillgan").write_bytes(packed)
    nowhere()
    done = called("generate", "vocoder=bigvgan", pin, "duration=0.5", "seed=3")
    assert done.returncode == 0, done.stderr
    assert "vocoder bigvgan: as asked for" in done.stdout
    assert soundfile.info(tmp_path / "home" / "audio" / "tiny_seed3.wav").frames == 22050


def test_without_a_network_there_is_one_clear_error_at_once(nowhere, called):
    nowhere()
    begun = time.monotonic()
    done = called("weights", "--fetch")
    assert time.monotonic() - begun < 10
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for words in ("nvidia/bigvgan_v2_44khz_128band_512x", "config.json", CHECKPOINT, "hub", "vocoder.weights_dir=PATH"):
        assert words in done.stderr


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_download(hub, tmp_path):
    hub.stall = True
    pin = f"vocoder.pin={write_pin(tmp_path / 'PIN', small_release())}"
    with start(tmp_path, hub.url, "weights", "--fetch", pin) as process:
        # Once the large file is on its way.
        while not any(path.startswith("/cdn") for path, _ in hub.gets()):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130 and "Traceback" not in err
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    hub.stall = False
    with start(tmp_path, hub.url, "weights", "--fetch", pin) as process:
        assert process.wait(60) == 0


@pytest.mark.parametrize("flags", [("--fetch", "--verify"), ("fetch=3",), ("--fetch", "vocoder=hifigan")])
def test_flags_that_make_no_sense(nowhere, called, flags):
    nowhere()
    done = called("weights", *flags)
    assert done.returncode == 2 and "error: " in done.stderr and "Traceback" not in done.stderr
