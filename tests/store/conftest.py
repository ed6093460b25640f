"""An empty home, its history and its presets."""

import pytest

from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.store.presets import Presets


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def history(home) -> History:
    return History(home)


@pytest.fixture
def presets(home) -> Presets:
    return Presets(home)
