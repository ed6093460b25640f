"""Vocoders from outside, by module:callable: what is taken, and in which words the rest is refused."""

import sys

import numpy as np
import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.evaluation.vocoders import external

SPEC, CPU = MelSpec(), torch.device("cpu")
MODULE = """
import numpy as np
import torch
from distillgan.audio.mel import MelSpec
from distillgan.models.base import Vocoder

class Steps(Vocoder):
    "Each sample is its frame's first band; it begins in training mode."
    def __init__(self, spec):
        super().__init__(spec, context_frames=0)
        self.register_buffer("scale", torch.ones(()))
    def forward(self, mel):
        assert not self.training
        return self.scale * mel[:, :1].repeat_interleave(self.spec.hop_length, -1)

def function(spec):
    return lambda mel: np.repeat(mel[0, :1].double().numpy(), spec.hop_length, 1)

def other_mel(spec): return Steps(MelSpec(n_mels=64))
def nothing(spec): return None
def broken(spec): raise ZeroDivisionError("no way")
def short(spec): return lambda mel: torch.zeros(5)
def words(spec): return lambda mel: "wave"
def unlucky(spec): return lambda mel: 1 / 0
number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with modules in it, and a search path that nothing is left in."""
    (tmp_path / "mine_outside.py").write_text(MODULE)
    (tmp_path / "faulty_outside.py").write_text("def make(spec:\n")
    (tmp_path / "wanting_outside.py").write_text("import nosuch_library\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in [name for name in sys.modules if name.endswith("_outside")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["Steps", "function"])
def test_a_vocoder_and_a_function_play(here, name):
    player = external(f"mine_outside:{name}", SPEC, CPU)
    assert player.name == f"mine_outside:{name}"
    mel = torch.randn(1, SPEC.n_mels, 3)
    wave = player.play(mel)
    assert wave.shape == (3 * 512,) and wave.dtype == torch.float32
    np.testing.assert_array_equal(wave, mel[0, 0].repeat_interleave(512))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nosuch_outside:make", r"there is no module nosuch_outside in the current folder \(.*\), PYTHONPATH"),
        ("mine_outside.deeper:make", "there is no module mine_outside.deeper in"),
        (
            "wanting_outside:make",
            r"cannot be imported: ModuleNotFoundError: .*nosuch_library.*wanting_outside.py, line 1",
        ),
        ("faulty_outside:make", "cannot be imported: SyntaxError: .*faulty_outside.py, line 1"),
        ("mine_outside:made", "mine_outside has no made; it has .*Steps, function, other_mel"),
        ("mine_outside:number", "is a int, not something to call"),
        ("mine_outside:nothing", "gave a NoneType, neither a Vocoder nor a function"),
        ("mine_outside:broken", r"failed when called .*ZeroDivisionError: no way \(.*mine_outside.py, line 21\)"),
        ("mine_outside:other_mel", "n_mels=128"),
        ("../mine_outside:function", "is no module:callable, such as mine:make"),
        ("mine_outside:", "is no module:callable"),
        (":function", "is no module:callable"),
        ("a:b:c", "is no module:callable"),
    ],
)
def test_what_is_no_vocoder_is_refused_in_words(here, name, words):
    with pytest.raises(UserError, match=words):
        external(name, SPEC, CPU)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short", r"made a wave of shape \[5\] of a mel of 3 frames: it must have 1536 samples, 512 a frame"),
        ("words", "failed when it played: TypeError"),
        ("unlucky", r"failed when it played: ZeroDivisionError: .*mine_outside.py, line 24"),
    ],
)
def test_what_plays_amiss_is_told(here, name, words):
    player = external(f"mine_outside:{name}", SPEC, CPU)
    with pytest.raises(UserError, match=words):
        player.play(torch.zeros(1, SPEC.n_mels, 3))


def test_the_current_folder_comes_last(here):
    """A file of the name of a library's hides nothing."""
    (here / "colorsys.py").write_text("make = 1\n")
    sys.modules.pop("colorsys", None)
    with pytest.raises(UserError, match="colorsys has no make"):
        external("colorsys:make", SPEC, CPU)
