"""The universal vocoder's recipe on several processes: one that dies ends the others, and the same command goes on."""

import importlib
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support import composed, trace

from distillgan.errors import UserError

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "experiments" / "universal_hifigan"


def test_a_process_that_dies_leaves_none_waiting_and_the_same_command_goes_on(tmp_path, recordings, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "train", raising=False)
    recipe = importlib.import_module("train")
    for part in ("train", "held_out"):
        (tmp_path / "corpus").mkdir(exist_ok=True)
        (tmp_path / "corpus" / part).symlink_to(recordings)
    settings = ["experiment=tiny", "vocoder=harmonic", "trainer=ddp", "name=small", f"data.dir={tmp_path / 'corpus'}"]
    kill = trace(tmp_path / "killed", "kill: VocoderModule")
    with pytest.raises(UserError, match=r"process 1 of the training was ended \(SIGKILL"):
        recipe.train_universal(composed("train", tmp_path, *settings, kill))
    recipe.train_universal(composed("train", tmp_path, *settings, trace(tmp_path / "last")))
    assert (tmp_path / "last.0").read_text().split("\n")[1].startswith("3 ")
    weights = load_file(tmp_path / "runs" / "small" / "universal_small.safetensors")
    assert weights and all(tensor.isfinite().all() for tensor in weights.values())
