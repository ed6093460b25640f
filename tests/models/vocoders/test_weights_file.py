"""Files of generator weights: read whole or refused in words, and the one that ships plays."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log_clamp
from distillgan.errors import UserError
from distillgan.models.vocoders import registry
from distillgan.models.vocoders.harmonic import HarmonicGenerator
from distillgan.models.vocoders.registry import UNIVERSAL, packaged, read_packaged, read_weights

SPEC = MelSpec()


def small() -> HarmonicGenerator:
    torch.manual_seed(0)
    return HarmonicGenerator(channels=16, layers=2)


def about(**changes) -> str:
    return json.dumps({"name": "harmonic", "generator": small().args, "mel": SPEC.to_dict()} | changes)


def write(path, text=None, tensors=None):
    tensors = {key: value.half() for key, value in small().export_state().items()} if tensors is None else tensors
    save_file(tensors, path, metadata={"distillgan": about() if text is None else text})
    return path


def test_what_was_written_is_read(tmp_path):
    weights = read_weights(write(tmp_path / "w.safetensors"))
    assert (weights.name, weights.arguments, weights.spec) == ("harmonic", small().args, SPEC)
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
        (lambda path: write(path, about(name="melgan")), "its vocoder 'melgan' is none that this version knows"),
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


def test_what_was_written_is_what_plays(tmp_path):
    vocoder = read_weights(write(tmp_path / "w.safetensors")).vocoder()
    mel = torch.randn(1, 128, 20) - 4
    assert (vocoder(mel) - small().eval()(mel)).abs().max() < 1e-3  # half precision
    assert all(parameter.dtype == torch.float32 for parameter in vocoder.parameters())


@pytest.fixture(scope="module")
def universal():
    return read_weights(packaged(UNIVERSAL)).vocoder()


def test_the_one_that_ships_fits_the_package():
    weights = read_weights(packaged(UNIVERSAL))
    assert weights.name == UNIVERSAL and weights.spec == SPEC
    assert weights.arguments == HarmonicGenerator().args, "so that vocoder=harmonic starts from it"
    assert packaged("hifigan") is None
    assert packaged(UNIVERSAL).with_name("CARD.md").is_file()


def played(vocoder, wave: torch.Tensor) -> torch.Tensor:
    """Through the mel, without the ends."""
    return vocoder(to_log_clamp(MelSpectrogram(SPEC)(wave[None])))[0, 0, 8192:-8192]


@pytest.mark.parametrize("hertz", [55, 110, 440, 1234.5, 3000, 8000])
def test_the_one_that_ships_keeps_a_tone_at_its_pitch_and_level(universal, hertz):
    made = played(universal, 0.3 * torch.sin(2 * torch.pi * hertz * torch.arange(44032 * 2) / 44100)).double()
    window = torch.hann_window(len(made), dtype=torch.float64)
    spectrum = torch.fft.rfft(made * window, 8 * len(made)).abs()
    assert abs(1200 * torch.log2(spectrum.argmax() * 44100 / (8 * len(made)) / hertz)) < 6, "cents"
    assert abs(20 * torch.log10(spectrum.max() * 2 / window.sum() / 0.3)) < 2, "dB"
    near = (torch.arange(len(spectrum)) * 44100 / (8 * len(made)) - hertz).abs() < 3
    rest = spectrum[~near].square().sum()
    assert 10 * torch.log10(spectrum[near].square().sum() / rest) > (12 if hertz < 60 else 20), "dB"


def test_the_one_that_ships_keeps_noise_and_silence(universal):
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(44032 * 2)
    assert abs(20 * torch.log10(played(universal, noise).std() / 0.1)) < 1, "dB"
    assert played(universal, 0 * noise).abs().max() < 1e-4


def test_damaged_packaged_weights_are_refused(tmp_path, monkeypatch):
    folder = packaged(UNIVERSAL).parent
    for file in folder.glob("harmonic.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(registry, "_PACKAGED", tmp_path)
    assert read_packaged(UNIVERSAL) is not None and read_packaged("hifigan") is None
    data = bytearray((tmp_path / "harmonic.safetensors").read_bytes())
    data[4_000_000] ^= 1
    (tmp_path / "harmonic.safetensors").write_bytes(data)
    with pytest.raises(UserError, match="is damaged: install distillgan again"):
        read_packaged(UNIVERSAL)
