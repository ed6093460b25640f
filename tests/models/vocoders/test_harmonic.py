"""The frame-rate generator: tones and noise come out as they went in, its reach is as stated, misfits are refused."""

import math
import re

import numpy as np
import pytest
import torch

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log_clamp
from distillgan.errors import UserError
from distillgan.models.base import Vocoder
from distillgan.models.vocoders.harmonic import HarmonicGenerator, HarmonicVocoder, InverseSTFT
from distillgan.models.vocoders.registry import load_own

SMALL = {"channels": 16, "layers": 3}


def lively(**arguments) -> HarmonicGenerator:
    """At its initial scale every block hardly changes anything."""
    torch.manual_seed(0)
    generator = HarmonicGenerator(**SMALL | arguments)
    for parameter in generator.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    generator.head.weight.data *= 0.1
    return generator


@pytest.fixture(scope="module")
def vocoder() -> HarmonicVocoder:
    return HarmonicVocoder(lively(), MelSpec())


@pytest.fixture(scope="module")
def untrained() -> HarmonicVocoder:
    torch.manual_seed(0)
    return HarmonicVocoder(HarmonicGenerator(**SMALL), MelSpec())


def through(vocoder: HarmonicVocoder, wave: torch.Tensor) -> torch.Tensor:
    """What the middle of a wave [N] becomes, by way of its mel."""
    return vocoder(to_log_clamp(MelSpectrogram(vocoder.spec)(wave[None])))[0, 0, 4096:-4096]


@pytest.mark.parametrize("hertz", [55, 110, 440, 1234.5, 3000, 8000])
def test_a_steady_tone_keeps_its_pitch_and_is_clean(untrained, hertz):
    """And is not drawn to a multiple of the frame rate, 86.1 Hz, nor rough; this takes no training."""
    time = torch.arange(44032 * 2) / 44100
    made = through(untrained, 0.3 * torch.sin(2 * math.pi * hertz * time)).double()
    window = torch.hann_window(len(made), dtype=torch.float64)
    spectrum = torch.fft.rfft(made * window, 8 * len(made)).abs()
    assert 1200 * math.log2(spectrum.argmax() * 44100 / (8 * len(made)) / hertz) == pytest.approx(0, abs=6)
    near = (torch.arange(len(spectrum)) * 44100 / (8 * len(made)) - hertz).abs() < 3
    clean = 10 * torch.log10(spectrum[near].square().sum() / spectrum[~near].square().sum())
    assert clean > (15 if hertz < 60 else 30)  # so low it meets its own mirror image


def test_noise_stays_as_loud_and_as_random(untrained):
    torch.manual_seed(1)
    wave = 0.1 * torch.randn(44032 * 2)
    made = through(untrained, wave)
    assert 20 * math.log10(made.std() / 0.1) == pytest.approx(0, abs=1.5)
    assert (made**4).mean() / (made**2).mean() ** 2 == pytest.approx(3, abs=0.3)  # a Gauss curve's
    turns = torch.fft.rfft(made.view(-1, 512)[:, :512])  # no wave that repeats every hop
    steady = turns.mean(0).abs().square().sum() / turns.abs().square().mean(0).sum()
    assert steady < 3 / len(turns)


def test_silence_stays_silent(untrained):
    assert through(untrained, torch.zeros(44032)).abs().max() < 1e-4


def test_draws_differ_in_their_noise_alone_and_come_from_the_given_source(untrained):
    mel = torch.randn(2, 128, 20) - 4
    one, two = untrained.generator.draws(mel, torch.Generator().manual_seed(0))
    again, _ = untrained.generator.draws(mel, torch.Generator().manual_seed(0))
    assert torch.equal(one, again) and (one - two).std() > 0.1 * one.std()


@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 512), (1024, 512), (64, 16), (96, 16)])
def test_the_inverse_of_the_mels_own_frames_is_the_wave(n_fft, hop):
    wave = torch.randn(2, 20 * hop)
    pad = (n_fft - hop) // 2
    padded = torch.nn.functional.pad(wave[:, None], (pad, pad), mode="reflect")[:, 0]
    spectra = torch.stft(padded, n_fft, hop, window=torch.hann_window(n_fft), center=False, return_complex=True)
    made = InverseSTFT(n_fft, hop)(spectra)
    assert made.shape == (2, 1, 20 * hop)
    assert (made[:, 0] - wave).abs().max() < 1e-5


@pytest.mark.parametrize("projections", [0, 2])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("n_fft", [1024, 2048])
def test_context_is_the_measured_receptive_field(layers, n_fft, projections):
    generator = lively(layers=layers, n_fft=n_fft, projections=projections).double()
    centre, hop = 24, 512
    mel = torch.randn(1, 128, 2 * centre + 1, dtype=torch.float64, requires_grad=True)
    wave = generator(mel, torch.rand(1, 128, 2 * centre + 1, dtype=torch.float64))
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


def test_a_stream_of_uneven_blocks_is_the_whole(vocoder):
    lengths = [1, 30, 0, 2, 7, 64, 3, 1, 1, 40]
    mel = torch.randn(2, 128, sum(lengths))
    streamed = torch.cat(list(vocoder.stream(iter(mel.split(lengths, dim=-1)))), -1)
    assert (streamed - vocoder(mel)).abs().max() < 1e-5


@pytest.mark.parametrize("lengths", [[50], [7] * 7 + [1], [1] * 50])
def test_phases_go_on_from_block_to_block(vocoder, lengths):
    mel, state, parts = torch.randn(1, 128, 50), None, []
    for block in mel.split(lengths, dim=-1):
        phases, state = vocoder.carried(block, state)
        parts.append(phases)
    off = torch.cat(parts, -1) - vocoder.carried(mel)[0]
    assert ((off + 0.5) % 1 - 0.5).abs().max() < 1e-5


@pytest.mark.parametrize("hertz", [440, 3000])
def test_a_minute_of_a_tone_in_a_stream_neither_drifts_nor_clicks(untrained, hertz):
    """Its phase against the tone's own is a straight line for a minute, as smooth between blocks as inside them."""
    block, blocks = 64, 81
    time = torch.arange(block * 512 * 3, dtype=torch.float64) / 44100
    steady = to_log_clamp(MelSpectrogram(untrained.spec)(0.3 * torch.sin(2 * math.pi * hertz * time).float()[None]))
    mels = (steady[..., block : 2 * block] for _ in range(blocks))
    made = torch.cat(list(untrained.stream(mels)), -1)[0, 0].double()
    time = torch.arange(len(made), dtype=torch.float64) / 44100
    turned = made * torch.exp(-2j * math.pi * hertz * time)
    hann = torch.hann_window(1024, periodic=False, dtype=torch.float64)
    spun = (turned.unfold(0, 1024, 512) * hann).sum(-1)
    turn = np.unwrap(spun.angle().numpy()) / (2 * math.pi)
    place = np.arange(len(turn))
    slope, level = np.polyfit(place[8:-8], turn[8:-8], 1)
    assert abs(slope) * 44100 / 512 < hertz * (2 ** (6 / 1200) - 1)  # 6 cents
    assert np.abs(turn - slope * place - level)[8:-8].max() < 0.02
    # The third difference lets through what is far above the tone.
    rough = torch.diff(made, n=3).unfold(0, 32, 16).abs().amax(-1)
    edges = torch.arange(1, blocks) * (block * 512 // 16) - 1  # each with 16 samples on both of its sides
    assert rough[edges].max() < 1.1 * rough[64:-64].quantile(0.999)


def test_without_the_phases_carried_a_block_would_not_do(vocoder, monkeypatch):
    mel = torch.randn(1, 128, 90)
    monkeypatch.setattr(HarmonicVocoder, "inner_block", Vocoder.inner_block)
    monkeypatch.setattr(HarmonicVocoder, "block", Vocoder.block)
    assert (vocoder.render(mel, 30) - vocoder(mel)).abs().max() > 1e-2


def test_it_stays_within_bounds_whatever_comes(vocoder):
    for level in (-1e3, 0.0, 1e3):
        wave = vocoder(torch.full((1, 128, 9), level))
        assert torch.isfinite(wave).all() and wave.abs().max() <= 1


def test_default_size():
    generator = HarmonicGenerator()
    assert 3.6e6 < sum(parameter.numel() for parameter in generator.parameters()) < 3.8e6
    assert generator.context_frames == 36


def test_packed_and_loaded_it_is_the_same(vocoder):
    state = {f"vocoder.{name}": tensor for name, tensor in vocoder.generator.export_state().items()}
    loaded = load_own(
        {"name": "harmonic", "generator": vocoder.generator.args}, state | {"vae.x": torch.zeros(1)}, MelSpec()
    )
    mel = torch.randn(1, 128, 30)
    assert torch.equal(loaded(mel), vocoder(mel))


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("melgan", {}, "its vocoder 'melgan' is none that this version knows (hifigan, harmonic)"),
        ("harmonic", {"width": 3}, "the arguments ['width'] are missing or unknown"),
        ("harmonic", {"num_mels": 80}, "num_mels=80, but the mel has n_mels=128"),
        ("harmonic", {"hop_length": 256}, "it makes 256 samples a frame, but the mel has hop_length=512"),
        ("harmonic", {"hop_length": 500}, "must be a multiple, twice or more, of hop_length=500, and that of 8"),
        ("harmonic", {"n_fft": 512}, "must be a multiple, twice or more, of hop_length=512"),
        ("harmonic", {"f_max": 16000}, "f_max=16000.0, but the mel has f_max=22050.0"),
        ("harmonic", {"projections": -1}, "vocoder.generator.projections=-1 must be a whole number"),
        ("harmonic", {"channels": 24}, "of another shape"),
        ("harmonic", {"layers": 2}, "unexpected"),
        ("harmonic", {"layers": 4}, "missing"),
        ("harmonic", {"channels": "wide"}, "vocoder.generator.channels=wide must be a whole number"),
    ],
)
def test_a_file_whose_parts_do_not_fit(vocoder, name, arguments, words):
    state = {f"vocoder.{key}": tensor for key, tensor in vocoder.generator.export_state().items()}
    with pytest.raises(UserError, match=re.escape(words)):
        load_own({"name": name, "generator": vocoder.generator.args | arguments}, state, MelSpec())
