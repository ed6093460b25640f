"""The folded convolution is nn.Conv1d, forward and backward."""

import pytest
import torch
from torch import nn

from distillgan.models.vocoders.discriminators import FoldedConv1d


@pytest.mark.parametrize("samples", [64, 101, 1000])
@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "stride", "padding", "groups"),
    [
        (16, 16, 41, 2, 20, 4),
        (16, 32, 41, 2, 20, 16),
        (32, 64, 41, 4, 20, 16),
        (64, 128, 41, 4, 20, 16),
        (128, 128, 41, 1, 20, 16),
        (4, 8, 5, 3, 0, 2),
        (6, 6, 4, 1, 3, 3),
        (64, 64, 3, 1, 1, 2),  # wide enough as it is
        (1, 16, 15, 1, 7, 1),
        (4, 4, 3, 2, 1, 1),
    ],
)
def test_it_is_the_plain_convolution(channels, outputs, kernel, stride, padding, groups, samples):
    torch.manual_seed(0)
    plain = nn.Conv1d(channels, outputs, kernel, stride, padding, groups=groups).double()
    folded = FoldedConv1d(channels, outputs, kernel, stride, padding, groups=groups).double()
    folded.load_state_dict(plain.state_dict())
    x = torch.randn(3, channels, samples, dtype=torch.float64, requires_grad=True)
    expected = plain(x)
    pull = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, [x, *plain.parameters()], pull)
    made = folded(x)
    assert made.shape == expected.shape
    torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(torch.autograd.grad(made, [x, *folded.parameters()], pull), wanted)
