"""BigVGAN's generator (Lee et al. 2023, section 3 and figure 1), with the parameters named as in the release."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distillgan.vendor.bigvgan.activation import AliasFree, Snake, SnakeBeta

ACTIVATIONS = {"snake": Snake, "snakebeta": SnakeBeta}


def _same_conv(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)


class AMPBlock1(nn.Module):
    """[B, C, N] → [B, C, N]: for each dilation a dilated and a plain convolution, with a skip around both."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int], activation):
        super().__init__()
        self.convs1 = nn.ModuleList(_same_conv(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same_conv(channels, kernel, 1) for _ in dilations)
        self.activations = nn.ModuleList(activation(channels) for _ in range(2 * len(dilations)))
        self.reach = sum((dilation + 1) * (kernel - 1) // 2 + 2 * AliasFree.reach for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        firsts, seconds = self.activations[::2], self.activations[1::2]
        for first, dilated, second, plain in zip(firsts, self.convs1, seconds, self.convs2, strict=True):
            x = plain(second(dilated(first(x)))).add_(x)
        return x


class AMPBlock2(nn.Module):
    """[B, C, N] → [B, C, N]: for each dilation one convolution with a skip."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int], activation):
        super().__init__()
        self.convs = nn.ModuleList(_same_conv(channels, kernel, dilation) for dilation in dilations)
        self.activations = nn.ModuleList(activation(channels) for _ in dilations)
        self.reach = sum(dilation * (kernel - 1) // 2 + AliasFree.reach for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for activate, conv in zip(self.activations, self.convs, strict=True):
            x = conv(activate(x)).add_(x)
        return x


_BLOCKS = {"1": AMPBlock1, "2": AMPBlock2}


class BigVGANGenerator(nn.Module):
    """Log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1; hop_length is the product of the rates.

    The arguments are those of the release's config.json and taken as checked. Convolutions have plain weights: weight
    norm is folded before loading.
    """

    def __init__(
        self,
        resblock: str,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        upsample_initial_channel: int,
        resblock_kernel_sizes: Sequence[int],
        resblock_dilation_sizes: Sequence[Sequence[int]],
        num_mels: int,
        activation: str,
        snake_logscale: bool,
        use_tanh_at_final: bool,
        use_bias_at_final: bool,
    ):
        super().__init__()

        def alias_free(width: int) -> AliasFree:
            return AliasFree(ACTIVATIONS[activation](width, snake_logscale))

        channels = [upsample_initial_channel >> stage for stage in range(len(upsample_rates) + 1)]
        shapes = list(zip(resblock_kernel_sizes, resblock_dilation_sizes, strict=True))
        self.hop_length = math.prod(upsample_rates)
        self.use_tanh_at_final = use_tanh_at_final
        self.conv_pre = nn.Conv1d(num_mels, channels[0], 7, padding=3)
        # Each in a list of its own, as the release names them.
        self.ups = nn.ModuleList(
            nn.ModuleList(
                [nn.ConvTranspose1d(channels[i], channels[i + 1], kernel, rate, padding=(kernel - rate) // 2)]
            )
            for i, (rate, kernel) in enumerate(zip(upsample_rates, upsample_kernel_sizes, strict=True))
        )
        self.resblocks = nn.ModuleList(
            _BLOCKS[str(resblock)](width, kernel, dilations, alias_free)
            for width in channels[1:]
            for kernel, dilations in shapes
        )
        self.activation_post = alias_free(channels[-1])
        self.conv_post = nn.Conv1d(channels[-1], 1, 7, padding=3, bias=use_bias_at_final)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        parallel = len(self.resblocks) // len(self.ups)
        for stage, (up,) in enumerate(self.ups):
            x = up(x)
            blocks = self.resblocks[stage * parallel : (stage + 1) * parallel]
            # In place: at this size each new tensor costs as much as the sum itself.
            total = blocks[0](x)
            for block in blocks[1:]:
                total.add_(block(x))
            x = total.div_(parallel)
        x = self.conv_post(self.activation_post(x))
        return torch.tanh(x) if self.use_tanh_at_final else x.clamp(-1, 1)

    @property
    def reaches(self) -> tuple[int, list[int], int]:
        """Samples on each side that one depends on, at their own rates: before, in and after the upsampling stages."""
        parallel = len(self.resblocks) // len(self.ups)
        stages = [self.resblocks[start : start + parallel] for start in range(0, len(self.resblocks), parallel)]
        return 3, [max(block.reach for block in blocks) for blocks in stages], AliasFree.reach + 3
