"""The periodic activation and its alias-free form (Lee et al. 2023, "BigVGAN", sections 3.1 and 3.2)."""

import logging

import torch
from torch import Tensor, nn

from distillgan.vendor.bigvgan.filters import Downsample, Upsample

try:
    from distillgan.vendor.bigvgan.fused import alias_free_snake
except Exception as error:  # no numba, or one that cannot compile or keep what it compiled here: it raises anything
    logging.getLogger(__name__).info("the plain activation is used, the fused one is not to be had: %s", error)
    alias_free_snake = None

_EPS = 1e-9  # keeps 1 / magnitude finite


class Snake(nn.Module):
    """[B, C, T] → x + sin²(αx) / α with an α a channel (Ziyin et al. 2020); `log_scale`: the parameter is log α."""

    def __init__(self, channels: int, log_scale: bool):
        super().__init__()
        self.log_scale = log_scale
        self.alpha = nn.Parameter(torch.zeros(channels) if log_scale else torch.ones(channels))

    def _linear(self, parameter: Tensor) -> Tensor:
        return parameter.exp() if self.log_scale else parameter

    def curve(self) -> tuple[Tensor, Tensor]:
        """Frequency and height [C] of the sin² that is added to x."""
        alpha = self._linear(self.alpha)
        return alpha, 1 / (alpha + _EPS)

    def forward(self, x: Tensor) -> Tensor:
        frequency, height = (value[:, None] for value in self.curve())
        return x + height * torch.sin(frequency * x).square()


class SnakeBeta(Snake):
    """[B, C, T] → x + sin²(αx) / β: frequency and height are learned apart (BigVGAN-v2)."""

    def __init__(self, channels: int, log_scale: bool):
        super().__init__(channels, log_scale)
        self.beta = nn.Parameter(self.alpha.detach().clone())

    def curve(self) -> tuple[Tensor, Tensor]:
        return self._linear(self.alpha), 1 / (self._linear(self.beta) + _EPS)


class AliasFree(nn.Module):
    """[B, C, T] → [B, C, T]: ×2 up, snake, ×2 down, so that the harmonics it makes do not fold back into the band.

    Sample t depends on `reach` = 5 samples on each side. On a CPU without gradients it is one fused pass.
    """

    reach = 5

    def __init__(self, act: Snake):
        super().__init__()
        self.act = act
        self.upsample = Upsample()
        self.downsample = Downsample()

    def forward(self, x: Tensor) -> Tensor:
        frequency, height = self.act.curve()
        learning = torch.is_grad_enabled() and (x.requires_grad or frequency.requires_grad)
        if alias_free_snake is None or learning or x.device.type != "cpu" or x.dtype != torch.float32:
            return self.downsample(self.act(self.upsample(x)))
        return alias_free_snake(x, frequency, height, self.upsample.filter, self.downsample.lowpass.filter)
