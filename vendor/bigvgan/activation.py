"""The periodic activation and its alias-free form (Lee et al. 2023, "BigVGAN", sections 3.1 and 3.2)."""

import functools
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from distillgan.vendor.bigvgan.filters import TAPS, Downsample, Upsample

_logger = logging.getLogger(__name__)

try:
    from distillgan.vendor.bigvgan.fused import alias_free_snake
except Exception as error:  # no numba, or one that cannot compile or keep what it compiled here: it raises anything
    _logger.info("the plain activation is used, the fused one is not to be had: %s", error)
    alias_free_snake = None

_EPS = 1e-9  # keeps 1 / magnitude finite


@functools.cache
def _on_gpu(device: torch.device) -> Callable | None:
    """The fused form for this GPU, or None where it cannot be had: tried once, on one sample.

    Triton is imported no sooner: it takes a second, and only a GPU needs it.
    """
    try:
        from distillgan.vendor.bigvgan.fused_cuda import alias_free_snake

        one, taps = torch.zeros(1, 1, 1, device=device), torch.zeros(TAPS, device=device)
        alias_free_snake(one, one.flatten(), one.flatten(), taps, taps)
    except Exception as error:  # no Triton, no C compiler for it, a GPU too old for it: it raises anything
        _logger.info("the plain activation is used on %s, the fused one is not to be had: %s", device, error)
        return None
    return alias_free_snake


def _fused(device: torch.device) -> Callable | None:
    """The fused form on this device, or None."""
    if device.type == "cuda":
        return _on_gpu(device)
    return alias_free_snake if device.type == "cpu" else None


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

    Sample t depends on `reach` = 5 samples on each side. On a CPU or a CUDA GPU without gradients it is one fused pass.
    """

    reach = 5

    def __init__(self, act: Snake):
        super().__init__()
        self.act = act
        self.upsample = Upsample()
        self.downsample = Downsample()

    def forward(self, x: Tensor) -> Tensor:
        frequency, height = self.act.curve()
        learning = torch.is_grad_enabled() and any(value.requires_grad for value in (x, frequency, height))
        fused = None if learning or x.dtype != torch.float32 else _fused(x.device)
        if fused is None:
            return self.downsample(self.act(self.upsample(x)))
        return fused(x, frequency, height, self.upsample.filter, self.downsample.lowpass.filter)
