"""The frame-rate generator: its inverse STFT is exact, its reach is as stated, and what does not fit is refused."""

import re

import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.own import load_own
from distillgan.vocoder.vocos import InverseSTFT, VocosGenerator, VocosVocoder

SMALL = {"channels": 16, "layers": 3}


def lively(**arguments) -> VocosGenerator:
    """At its initial scale every block hardly changes anything."""
    torch.manual_seed(0)
    generator = VocosGenerator(**SMALL | arguments)
    for parameter in generator.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    generator.head.weight.data *= 0.1
    return generator


@pytest.fixture(scope="module")
def vocoder() -> VocosVocoder:
    return VocosVocoder(lively(), MelSpec())


@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 512), (1024, 512), (64, 16), (96, 16)])
def test_the_inverse_of_the_mels_own_frames_is_the_wave(n_fft, hop):
    wave = torch.randn(2, 20 * hop)
    pad = (n_fft - hop) // 2
    padded = torch.nn.functional.pad(wave[:, None], (pad, pad), mode="reflect")[:, 0]
    spectra = torch.stft(padded, n_fft, hop, window=torch.hann_window(n_fft), center=False, return_complex=True)
    made = InverseSTFT(n_fft, hop)(spectra)
    assert made.shape == (2, 1, 20 * hop)
    assert (made[:, 0] - wave).abs().max() < 1e-5


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("n_fft", [1024, 2048])
def test_context_is_the_measured_receptive_field(layers, n_fft):
    generator = lively(layers=layers, n_fft=n_fft).double()
    centre, hop = 20, 512
    mel = torch.randn(1, 128, 2 * centre + 1, dtype=torch.float64, requires_grad=True)
    wave = generator(mel).double()
    (wave[0, 0, centre * hop : (centre + 1) * hop] * torch.randn(hop, dtype=torch.float64)).sum().backward()
    touched = mel.grad.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert touched.min() > 0 and touched.max() < 2 * centre
    assert generator.context_frames == max(centre - touched.min(), touched.max() - centre)


@pytest.mark.parametrize("block_frames", [1, 16, 40, 400])
def test_blocks_equal_the_whole(vocoder, block_frames):
    mel = torch.randn(2, 128, 93 if block_frames > 1 else 5)
    whole = vocoder(mel)
    assert whole.shape == (2, 1, mel.shape[-1] * 512) and whole.std() > 1e-3 and whole.abs().max() <= 1
    assert (vocoder.render(mel, block_frames) - whole).abs().max() < 1e-5


def test_less_context_would_not_do(vocoder, monkeypatch):
    mel = torch.randn(1, 128, 60)
    monkeypatch.setattr(vocoder, "context_frames", 3)
    assert (vocoder.render(mel, 20) - vocoder(mel)).abs().max() > 1e-5


def test_it_stays_within_bounds_whatever_comes(vocoder):
    for level in (-1e3, 0.0, 1e3):
        wave = vocoder(torch.full((1, 128, 9), level))
        assert torch.isfinite(wave).all() and wave.abs().max() <= 1


def test_default_size():
    generator = VocosGenerator()
    assert 8.0e6 < sum(parameter.numel() for parameter in generator.parameters()) < 8.5e6
    assert generator.context_frames == 29


def test_packed_and_loaded_it_is_the_same(vocoder):
    state = {f"vocoder.{name}": tensor for name, tensor in vocoder.generator.export_state().items()}
    loaded = load_own(
        {"name": "vocos", "generator": vocoder.generator.args}, state | {"vae.x": torch.zeros(1)}, MelSpec()
    )
    mel = torch.randn(1, 128, 30)
    assert torch.equal(loaded(mel), vocoder(mel))


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("melgan", {}, "its vocoder 'melgan' is none that this version knows (hifigan, vocos)"),
        ("vocos", {"width": 3}, "the arguments ['width'] are missing or unknown"),
        ("vocos", {"num_mels": 80}, "num_mels=80, but the mel has n_mels=128"),
        ("vocos", {"hop_length": 256}, "it makes 256 samples a frame, but the mel has hop_length=512"),
        ("vocos", {"hop_length": 500}, "must be a multiple, twice or more, of an even hop_length=500"),
        ("vocos", {"n_fft": 512}, "must be a multiple, twice or more, of an even hop_length=512"),
        ("vocos", {"channels": 24}, "of another shape"),
        ("vocos", {"layers": 2}, "unexpected"),
        ("vocos", {"layers": 4}, "missing"),
        ("vocos", {"channels": "wide"}, "vocoder.generator.channels=wide must be a whole number"),
    ],
)
def test_a_file_whose_parts_do_not_fit(vocoder, name, arguments, words):
    state = {f"vocoder.{key}": tensor for key, tensor in vocoder.generator.export_state().items()}
    with pytest.raises(UserError, match=re.escape(words)):
        load_own({"name": name, "generator": vocoder.generator.args | arguments}, state, MelSpec())
