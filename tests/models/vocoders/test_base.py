"""Blocks equal the whole, because the stated context is the network's true reach."""

import itertools

import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.vocoders.hifigan import HiFiGANGenerator, HiFiGANVocoder
from distillgan.models.vocoders.registry import UNIVERSAL, read_packaged

NETWORKS = {
    "V2": {"upsample_initial_channel": 32},
    "resblock 2": {"resblock": "2", "upsample_initial_channel": 32},
    "kernels equal to rates": {
        "upsample_initial_channel": 32,
        "upsample_kernel_sizes": (8, 8, 2, 2, 2),
        "resblock_kernel_sizes": (3,),
        "resblock_dilation_sizes": ((1,),),
    },
}


def reach(generator: HiFiGANGenerator) -> int:
    """Frames, before or after its own, that the samples of one frame really depend on, by gradients."""
    centre, frames = 25, 51
    mel = torch.randn(1, generator.args["num_mels"], frames, dtype=torch.float64, requires_grad=True)
    wave = generator.double()(mel)
    hop = generator.hop_length
    # Random signs, so that no two paths cancel.
    (wave[0, 0, centre * hop : (centre + 1) * hop] * torch.randn(hop, dtype=torch.float64)).sum().backward()
    touched = mel.grad.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert touched.min() > 0
    assert touched.max() < frames - 1
    return int(max(centre - touched.min(), touched.max() - centre))


@pytest.mark.parametrize("name", NETWORKS)
def test_context_is_the_measured_receptive_field(name):
    torch.manual_seed(0)
    generator = HiFiGANGenerator(**NETWORKS[name])
    assert generator.context_frames == reach(generator)


@pytest.fixture(scope="module")
def vocoder():
    torch.manual_seed(0)
    generator = HiFiGANGenerator(upsample_initial_channel=64)
    for parameter in generator.parameters():
        parameter.data *= 1.5  # at its initial scale the network is nearly silent and any block would do
    return HiFiGANVocoder(generator, MelSpec())


@pytest.mark.parametrize("block_frames", [1, 16, 40, 400])
def test_blocks_equal_the_whole(vocoder, block_frames):
    mel = torch.randn(2, 128, 93 if block_frames > 1 else 5)
    whole = vocoder(mel)
    assert whole.std() > 1e-2
    assert (vocoder.render(mel, block_frames) - whole).abs().max() < 1e-5


def test_less_context_would_not_do(vocoder, monkeypatch):
    mel = torch.randn(1, 128, 60)
    monkeypatch.setattr(vocoder, "context_frames", 3)
    assert (vocoder.render(mel, 20) - vocoder(mel)).abs().max() > 1e-5


UNEVEN = [1, 30, 0, 2, 7, 64, 3, 1, 1, 40]


def test_a_stream_of_uneven_blocks_is_the_whole(vocoder):
    mel = torch.randn(2, 128, sum(UNEVEN))
    waves = list(vocoder.stream(mel.split(UNEVEN, dim=-1)))
    assert [wave.shape for wave in waves] == [(2, 1, 512 * length) for length in UNEVEN if length]
    assert (torch.cat(waves, -1) - vocoder(mel)).abs().max() < 1e-5


def test_a_stream_in_even_blocks_is_what_iterate_gives(vocoder):
    mel = torch.randn(1, 128, 100)
    streamed, iterated = vocoder.stream(iter(mel.split(16, dim=-1))), vocoder.iterate(mel, 16)
    assert all(torch.equal(one, other) for one, other in zip(streamed, iterated, strict=True))


def test_a_stream_of_nothing_is_nothing(vocoder):
    assert list(vocoder.stream([])) == []
    assert list(vocoder.stream([torch.zeros(1, 128, 0)])) == []


def test_a_stream_without_end_is_played_as_it_comes(vocoder, monkeypatch):
    """Never more blocks ahead than the context wants, and never more frames at once."""
    seen, taken = [], itertools.count()
    forward = vocoder.forward
    monkeypatch.setattr(vocoder, "forward", lambda mel: seen.append(mel.shape[-1]) or forward(mel))
    stream = vocoder.stream(torch.randn(1, 128, 16) for _ in taken)
    ahead = 1 + -(-vocoder.context_frames // 16)
    for block in range(20):
        wave = next(stream)
        assert wave.shape == (1, 1, 16 * 512) and not wave.requires_grad
        assert len(seen) == block + 1  # nothing is rendered ahead
    assert next(taken) == 20 + ahead - 1
    assert max(seen) == 16 + 2 * vocoder.context_frames


def test_a_block_of_no_frames_is_refused(vocoder):
    with pytest.raises(ValueError, match="block_frames=0"):
        vocoder.render(torch.zeros(1, 128, 4), block_frames=0)


def test_a_mel_that_has_diverged_is_refused_in_words():
    vocoder = read_packaged(UNIVERSAL).vocoder()
    mel = torch.zeros(1, 128, 300)
    for value in (float("nan"), float("inf")):
        mel[0, 5, 280] = value
        with pytest.raises(UserError, match="NaN or infinite values: the VAE that made it has diverged"):
            vocoder.render(mel)
