"""What the tests share: a small corpus of real files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import tiny

from distillgan.train import train

RATE = 44100


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
    return home, train(tiny(home, recordings, "vocoder=hifigan", "licence=CC0", "note=hello"))
