"""Blocks equal the whole, because the stated context is the network's true reach."""

import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.vocoder.hifigan import HiFiGANGenerator, HiFiGANVocoder

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


def test_a_long_mel_is_streamed_in_blocks_of_bounded_size(vocoder, monkeypatch):
    seen = []
    forward = vocoder.forward
    monkeypatch.setattr(vocoder, "forward", lambda mel: seen.append(mel.shape[-1]) or forward(mel))
    stream = vocoder.iterate(torch.randn(1, 128, 1000), block_frames=16)
    assert next(stream).shape == (1, 1, 16 * 512)
    assert len(seen) == 1  # nothing is rendered ahead
    for _ in range(4):
        assert not next(stream).requires_grad
    assert max(seen) == 16 + 2 * vocoder.context_frames


def test_a_block_of_no_frames_is_refused(vocoder):
    with pytest.raises(ValueError, match="block_frames=0"):
        vocoder.render(torch.zeros(1, 128, 4), block_frames=0)
