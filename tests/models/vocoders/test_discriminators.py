"""The paper's sizes, and the folded period."""

import pytest
import torch
from torch.nn import functional as F

from distillgan.models.vocoders.discriminators import (
    Discriminators,
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    PeriodDiscriminator,
)


def millions(network) -> float:
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def test_width_one_has_the_papers_parameters():
    assert millions(MultiPeriodDiscriminator(1.0)) == pytest.approx(41.1, abs=0.05)
    assert millions(MultiScaleDiscriminator(1.0)) == pytest.approx(29.6, abs=0.05)


@pytest.mark.parametrize("width", [0.01, 0.1, 0.125, 0.3, 0.5])
def test_any_width_runs_and_is_smaller_than_the_next(width):
    network = Discriminators(width)
    assert len(network(torch.randn(1, 1, 8192))) == 8
    assert millions(network) < millions(Discriminators(width * 1.5))


def test_no_width_is_refused():
    with pytest.raises(ValueError, match="width=0"):
        Discriminators(0)


def test_narrow_networks_keep_the_papers_groups():
    groups = [conv.groups for conv in Discriminators(0.125).scales.discriminators[1].convs]
    assert groups == [1, 4, 16, 16, 16, 16, 1]


def test_shapes_of_scores_and_features():
    batch, samples = 3, 8192
    verdicts = Discriminators(0.05)(torch.randn(batch, 1, samples))
    assert [len(features) for _, features in verdicts] == [6] * 5 + [8] * 3
    for (score, features), period in zip(verdicts, (2, 3, 5, 7, 11), strict=False):
        length = -(-samples // period)
        for feature, stride in zip(features[:4], (3, 9, 27, 81), strict=True):
            assert feature.shape[0] == batch * period
            assert feature.shape[2] == -(-length // stride)
        assert score.shape == (batch, period * features[-1].shape[2])
    # Three scales, each averaged to half of the one before: 64 fold strided convolutions after that.
    assert [score.shape for score, _ in verdicts[5:]] == [(batch, 128), (batch, 65), (batch, 33)]


def test_folding_the_period_equals_the_papers_two_dimensional_convolutions():
    torch.manual_seed(0)
    network = PeriodDiscriminator(5, 0.1)
    wave = torch.randn(2, 1, 1003)
    score, features = network(wave)
    x = F.pad(wave, (0, 2), mode="reflect").view(2, 1, 201, 5)
    for conv in network.convs:
        x = F.leaky_relu(F.conv2d(x, conv.weight[..., None], conv.bias, (conv.stride[0], 1), padding=(2, 0)), 0.1)
    assert torch.allclose(features[-2].view(2, 5, x.shape[1], -1), x.permute(0, 3, 1, 2), atol=1e-6)
    x = F.conv2d(x, network.conv_post.weight[..., None], network.conv_post.bias, padding=(1, 0))
    assert torch.allclose(score, x.permute(0, 3, 1, 2).flatten(1), atol=1e-6)


def test_stacked_items_are_judged_as_if_alone():
    torch.manual_seed(0)
    network = Discriminators(0.05).eval()  # eval: the spectral norm's estimate stands still
    real, fake = torch.randn(2, 2, 1, 4096)
    for (both, features), (alone, alone_features) in zip(network(torch.cat([real, fake])), network(fake), strict=True):
        assert torch.allclose(both.chunk(2)[1], alone, atol=1e-5)
        for feature, alone_feature in zip(features, alone_features, strict=True):
            assert torch.allclose(feature.chunk(2)[1], alone_feature, atol=1e-5)
