"""The VAE's network: every length comes back exact, and what is far away in time does not matter."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from distillgan.control.trajectory import BLOCK, decode
from distillgan.errors import UserError
from distillgan.models.vae.network import VAENetwork
from distillgan.paths import conf_dir

TINY = {
    "n_mels": 128,
    "latent_dim": 4,
    "channels": 16,
    "blocks": 2,
    "expansion": 2,
    "fine_channels": 16,
    "fine_blocks": 1,
    "stride": 8,
    "kernel_size": 7,
}


def network(**values) -> VAENetwork:
    torch.manual_seed(0)
    made = VAENetwork(**{**TINY, **values}).eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        # At its initial scale a block hardly adds to what it is given.
        if name.endswith("scale"):
            parameter.fill_(1.0)
    return made


@pytest.fixture(scope="module")
def tiny():
    return network()


@pytest.mark.parametrize("frames", range(1, 71))
def test_any_length_comes_back(tiny, frames):
    x = torch.rand(2, 128, frames)
    mean, log_variance = tiny.encode(x)
    assert mean.shape == log_variance.shape == (2, 4, -(-frames // 8))
    assert tiny.latent_frames(frames) == mean.shape[-1]
    assert tiny.decode(mean, frames).shape == x.shape


@pytest.mark.parametrize("stride", [2, 4, 6])
def test_other_strides(stride):
    made = network(stride=stride)
    for frames in (1, stride, stride + 1, 5 * stride - 1):
        mean, _ = made.encode(torch.rand(1, 128, frames))
        assert mean.shape[-1] == -(-frames // stride)
        assert made.decode(mean, frames).shape[-1] == frames


def test_more_than_is_there_is_refused(tiny):
    with pytest.raises(ValueError, match="3 latent frames decode to at most 24, not 25"):
        tiny.decode(torch.zeros(1, 4, 3), 25)


def test_the_defaults_are_about_six_million_parameters():
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        arguments = compose("train").model.module.network
    made = VAENetwork(**arguments)
    assert 5e6 < sum(parameter.numel() for parameter in made.parameters()) < 7e6
    assert made.latent_dim == 32
    assert 44100 / 512 / made.stride == pytest.approx(10.8, abs=0.1)


SHAPES = [
    {},
    {"blocks": 5},
    {"fine_blocks": 4},
    {"kernel_size": 1},
    {"kernel_size": 15, "blocks": 3},
    {"stride": 2, "fine_blocks": 3},
    {"stride": 4, "blocks": 1, "fine_blocks": 0},
]


@pytest.mark.parametrize("values", SHAPES, ids=str)
def test_the_decoder_reaches_as_far_as_it_says(values):
    """By gradients: the latent frames on which the mel frames of one latent frame depend."""
    made = network(**values).double()
    centre, frames = 60, 121
    z = torch.randn(1, 4, frames, dtype=torch.float64, requires_grad=True)
    mel = made.decode(z, frames * made.stride)[..., centre * made.stride : (centre + 1) * made.stride]
    (mel * torch.randn(mel.shape, dtype=torch.float64)).sum().backward()
    touched = z.grad.abs().sum((0, 1)).nonzero().flatten()
    assert made.context_frames == max(centre - int(touched.min()), int(touched.max()) - centre)


def test_the_encoder_hears_only_what_is_near(tiny):
    x = torch.rand(1, 128, 400)
    far = x.clone()
    far[..., 300:] += 1
    here, there = tiny.encode(x), tiny.encode(far)
    for mine, other in zip(here, there, strict=True):
        assert torch.allclose(mine[..., :25], other[..., :25], atol=1e-6)
        assert not torch.allclose(mine[..., 37:], other[..., 37:], atol=1e-2)


@pytest.mark.parametrize("length", [1, 20, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 9, 2 * BLOCK, 2 * BLOCK + 40])
@pytest.mark.parametrize("values", [{}, {"blocks": 6}], ids=str)
def test_blocks_equal_the_whole(length, values):
    made = network(**values)
    z = torch.randn(4, length)
    for frames in {8 * length, max(1, 8 * length - 5)}:
        whole = made.decode(z[None], frames)
        assert decode(made, z, frames).shape == (1, 128, frames)
        assert (decode(made, z, frames) - whole).abs().max() < 1e-5
    assert whole.std() > 0.05


def test_less_context_would_not_do(tiny, monkeypatch):
    z = torch.randn(4, BLOCK + 40)
    whole = tiny.decode(z[None], 8 * (BLOCK + 40))
    monkeypatch.setattr(VAENetwork, "context_frames", 4)
    assert (decode(tiny, z, whole.shape[-1]) - whole).abs().max() > 1e-4


def test_silence_and_extremes_stay_numbers(tiny):
    for x in (torch.zeros(1, 128, 40), torch.full((1, 128, 40), 12.0), torch.full((1, 128, 40), 1e4)):
        x.requires_grad_()
        mean, log_variance = tiny.encode(x)
        made = tiny.decode(mean, 40)
        (made.sum() + log_variance.exp().sum()).backward()
        assert torch.isfinite(made).all() and torch.isfinite(x.grad).all()
        assert log_variance.min().item() >= -12 and log_variance.max().item() <= 6


@pytest.mark.parametrize("bias", [1e4, -1e4])
def test_the_posterior_can_neither_vanish_nor_explode(bias):
    made = network()
    made.encoder[-1].bias.fill_(bias)
    _, log_variance = made.encode(torch.rand(1, 128, 16))
    assert log_variance.exp().min() > 1e-6 and log_variance.exp().max() < 1000


def test_items_of_a_batch_do_not_touch(tiny):
    x = torch.rand(3, 128, 50)
    mean, _ = tiny.encode(x)
    alone, _ = tiny.encode(x[1:2])
    assert torch.allclose(mean[1:2], alone, atol=1e-5)


def test_it_can_learn_a_clip_by_heart():
    torch.manual_seed(0)
    made = VAENetwork(**{**TINY, "channels": 32, "fine_channels": 32})
    x = 3 + torch.sin(torch.arange(128)[:, None] / 9 + torch.arange(64) / 5)[None]
    optimizer = torch.optim.Adam(made.parameters(), 3e-3)
    for _ in range(120):
        loss = (made.decode(made.encode(x)[0], 64) - x).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.15


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stride": 7}, "stride=7 must be an even number, 2 or more"),
        ({"stride": 0}, "stride=0 must be"),
        ({"kernel_size": 4}, "kernel_size=4 must be odd"),
        ({"kernel_size": -1}, "kernel_size=-1 must be a whole number"),
    ],
)
def test_impossible_values(values, words):
    with pytest.raises(UserError, match=words):
        network(**values)
