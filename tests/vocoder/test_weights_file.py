"""Files of generator weights: read whole or refused in words."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.vocos import VocosGenerator
from distillgan.vocoder.weights_file import read_weights

SPEC = MelSpec()


def small() -> VocosGenerator:
    torch.manual_seed(0)
    return VocosGenerator(channels=16, layers=2)


def about(**changes) -> str:
    return json.dumps({"name": "vocos", "generator": small().args, "mel": SPEC.to_dict()} | changes)


def write(path, text=None, tensors=None):
    tensors = {key: value.half() for key, value in small().export_state().items()} if tensors is None else tensors
    save_file(tensors, path, metadata={"distillgan": about() if text is None else text})
    return path


def test_what_was_written_is_read(tmp_path):
    weights = read_weights(write(tmp_path / "w.safetensors"))
    assert (weights.name, weights.arguments, weights.spec) == ("vocos", small().args, SPEC)
    for key, value in small().export_state().items():
        assert weights.tensors[key].dtype == torch.float32
        torch.testing.assert_close(weights.tensors[key], value, rtol=1e-3, atol=1e-4)  # half precision


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.write_bytes(b"hello"), "is no whole file of vocoder weights"),
        (lambda path: path.write_bytes(write(path).read_bytes()[:5000]), "is no whole file of vocoder weights"),
        (lambda path: save_file({"a": torch.zeros(1)}, path), "does not say which vocoder"),
        (lambda path: write(path, "{"), "is no whole file of vocoder weights"),
        (lambda path: write(path, "3"), "does not say which vocoder"),
        (lambda path: write(path, about(name=3)), "does not say which vocoder"),
        (lambda path: write(path, about(mel={"n_mels": 3})), "mel spec has the fields"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, make, words):
    path = tmp_path / "w.safetensors"
    make(path)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
