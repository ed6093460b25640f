"""Files of generator weights: read whole or refused in words, and the one that ships plays."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log_clamp
from distillgan.errors import UserError
from distillgan.vocoder.vocos import VocosGenerator
from distillgan.vocoder.weights_file import UNIVERSAL, packaged, read_weights

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


def test_what_was_written_is_what_plays(tmp_path):
    vocoder = read_weights(write(tmp_path / "w.safetensors")).vocoder()
    mel = torch.randn(1, 128, 20)
    assert (vocoder(mel) - small().eval()(mel)).abs().max() < 1e-3  # half precision
    assert all(parameter.dtype == torch.float32 for parameter in vocoder.parameters())


def test_the_one_that_ships_fits_the_package():
    weights = read_weights(packaged(UNIVERSAL))
    assert weights.name == UNIVERSAL and weights.spec == SPEC
    assert weights.arguments == VocosGenerator().args, "so that vocoder=vocos starts from it"
    assert packaged("hifigan") is None


@pytest.mark.parametrize("hertz", [110, 440, 1000, 3000])
def test_the_one_that_ships_keeps_a_tone_at_its_pitch_and_level(hertz):
    wave = 0.3 * torch.sin(2 * torch.pi * hertz * torch.arange(44100) / 44100)
    made = read_weights(packaged(UNIVERSAL)).vocoder()(to_log_clamp(MelSpectrogram(SPEC)(wave[None])))[0, 0]
    middle = slice(8192, 8192 + 2**14)
    true, heard = (torch.fft.rfft(w[middle] * torch.hann_window(2**14)).abs() for w in (wave, made))
    assert abs(12 * torch.log2(heard.argmax() / true.argmax())) < 1, "a semitone"
    assert abs(20 * torch.log10(made[middle].std() / wave[middle].std())) < 6, "dB"


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
        (lambda path: write(path, about(name="melgan")), "its vocoder 'melgan' is none that this version knows"),
        (lambda path: write(path, about(mel={"n_mels": 3})), "mel spec has the fields"),
        (lambda path: write(path, tensors={"a": torch.zeros(1)}), "the weights are not those of this network"),
        (lambda path: write(path, about(generator={})), "are missing or unknown"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, make, words):
    path = tmp_path / "w.safetensors"
    make(path)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        read_weights(path).vocoder()
    assert str(path) in str(caught.value)
