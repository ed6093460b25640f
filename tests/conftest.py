"""What the tests share: a small corpus of real files."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hub import Hub, serve, small_release
from huggingface_hub import constants
from support import tiny, trace

from distillgan.training.pipeline import train

RATE = 44100
TESTS = Path(__file__).parent
PICTURES = "callbacks.preview.every=2"
# What takes longest comes first, so that at the end no process waits for another (--no-loadscope-reorder).
LONGEST = (
    *("training/test_training", "training/test_start", "test_configs", "training/test_team", "ui/test_trainings"),
    *("training/test_extend", "ui/test_elsewhere", "training/test_sweep", "test_notebooks", "commands/test_push_pull"),
    *("training", "ui", "test_cli", "commands"),
)

# A shell starts what it puts into the background with Ctrl-C ignored, nohup with SIGHUP; so it would be here and in all
# that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    def place(item) -> int:
        path = item.path.relative_to(TESTS).with_suffix("").as_posix()
        return next((number for number, name in enumerate(LONGEST) if f"{path}/".startswith(f"{name}/")), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> Path:
    """Six files of half a second to a second: tones, noise and clicks, all different."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(5)
    for number in range(6):
        time = np.arange(int(RATE * (0.5 + 0.1 * number))) / RATE
        wave = 0.3 * np.sin(2 * np.pi * 220 * (number + 1) * time) * np.exp(-3 * time)
        wave += 0.02 * rng.standard_normal(len(time))
        soundfile.write(folder / f"take{number}.wav", wave, RATE)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory, recordings) -> tuple[Path, float]:
    """A home with a tiny model called tiny, both stages trained in one go, and the error that train returned."""
    home = tmp_path_factory.mktemp("home")
    return home, train(tiny(home, recordings, PICTURES, "vocoder=hifigan", "licence=CC0", "note=hello"))


@pytest.fixture(scope="session")
def together(tmp_path_factory, recordings) -> Path:
    """A home in which two processes have trained both stages; their traces are ranks.0 and ranks.1."""
    home = tmp_path_factory.mktemp("together")
    threads = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    train(tiny(home, recordings, PICTURES, "trainer=ddp", "vocoder=hifigan", trace(home / "ranks")))
    assert (torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")) == threads, "as before for what comes next"
    return home


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with a small generator; this process's client talks to it, with an empty cache of its own."""
    hub = Hub(small_release())
    server = serve(hub)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template[template.index("/{repo_id}") :])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    # Of these small files, too, several pieces arrive; the client keeps whole pieces when a connection breaks.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    yield hub
    hub.done.set()
    server.shutdown()
    server.server_close()
