"""HiFi-GAN's generator in another memory layout: the same arithmetic, two to three times faster on an x86 CPU.

PyTorch keeps [B, C, N] with time running fastest, and for each convolution the library below it rearranges the wave.
With the channels running fastest (`torch.channels_last`) all of it stays as it is from the first layer to the last.
The channels are then what fills the vector registers, and the last stages have few: see `_folded`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LAYOUT = torch.channels_last
_LANES = 16  # channels with which a convolution runs at full speed
_WORTH = 1.4  # times as many taps, at most, for folding to pay; measured


class ChannelsLast:
    """A HiFiGANGenerator's function, [B, num_mels, T] → [B, 1, T * hop_length]; holds a copy of its weights."""

    def __init__(self, generator: nn.Module):
        self._slope, self._final_slope = generator.slopes
        parallel = len(generator.resblocks) // len(generator.ups)
        # The mean over the parallel blocks is their sum, and a smaller weight in what comes next.
        mean = 1 / parallel
        self._pre, self._post = _Convolution(generator.conv_pre), _Convolution(generator.conv_post, mean)
        self._stages, samples = [], 1
        for stage, up in enumerate(generator.ups):
            samples *= up.stride[0]
            blocks = [
                [[_Convolution(_folded(conv, samples)) for conv in convs] for convs in block.steps()]
                for block in generator.resblocks[stage * parallel : (stage + 1) * parallel]
            ]
            self._stages.append((_Convolution(up, mean if stage else 1.0), blocks))

    @torch.no_grad()
    def __call__(self, mel: Tensor) -> Tensor:
        x = self._pre(mel[:, :, None].contiguous(memory_format=_LAYOUT))
        for up, blocks in self._stages:
            x = up(F.leaky_relu_(x, self._slope))
            total = self._block(blocks[0], x)
            for block in blocks[1:]:
                total += self._block(block, x)
            x = total
        return torch.tanh_(self._post(F.leaky_relu_(x, self._final_slope)))[:, :, 0]

    def _block(self, steps: list[list["_Convolution"]], x: Tensor) -> Tensor:
        for first, *others in steps:
            h = first(F.leaky_relu(x, self._slope))
            for conv in others:
                h = conv(F.leaky_relu_(h, self._slope))
            x = _with_channels(h, x.shape[1]).add_(x)
        return x


class _Convolution:
    """A Conv1d or ConvTranspose1d over [B, C, 1, N], its weight (not its bias) times `scale`."""

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d, scale: float = 1.0):
        self._weight = (conv.weight.detach() * scale)[:, :, None].contiguous(memory_format=_LAYOUT)
        self._bias, self._padding = conv.bias.detach().clone(), (0, conv.padding[0])
        self._stride, self._dilation = (1, conv.stride[0]), (1, conv.dilation[0])
        self._transposed = isinstance(conv, nn.ConvTranspose1d)

    def __call__(self, x: Tensor) -> Tensor:
        if self._transposed:
            return F.conv_transpose2d(x, self._weight, self._bias, self._stride, self._padding)
        x = _with_channels(x, self._weight.shape[1])
        return F.conv2d(x, self._weight, self._bias, self._stride, self._padding, self._dilation)


def _with_channels(x: Tensor, channels: int) -> Tensor:
    """[B, C, 1, N] → [B, channels, 1, C * N / channels]: neighbours in time laid side by side as channels, or back.

    In this layout it is the same memory, nothing is moved.
    """
    if x.shape[1] == channels:
        return x
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], 1, -1, channels).permute(0, 3, 1, 2)


def _folded(conv: nn.Conv1d, samples: int) -> nn.Conv1d:
    """The convolution over `fold` samples at once, as many as fill the lanes and divide `samples`, if that is faster.

    [B, C, N] → [B, C, N] becomes [B, fold · C, N / fold] → the same: C · q + c is channel c of the q-th sample of each
    group, and the taps from a group to its neighbours are matrices, with zeros where the kernel does not reach.
    """
    channels, size, dilation = conv.in_channels, conv.kernel_size[0], conv.dilation[0]
    fold = max((n for n in range(1, _LANES // channels + 1) if samples % n == 0), default=1)
    reach = dilation * (size - 1) // 2
    side = (fold - 1 + reach) // fold  # groups on either side that the kernel reaches
    taps = 2 * side + 1
    if fold == 1 or taps > _WORTH * size:
        return conv
    weight = torch.zeros(fold, channels, fold, channels, taps)
    for place in range(fold):
        for tap in range(size):
            group, source = divmod(place + tap * dilation - reach, fold)
            weight[place, :, source, :, side + group] = conv.weight.detach()[:, :, tap]
    wide = nn.utils.skip_init(nn.Conv1d, fold * channels, fold * channels, taps, padding=side)
    wide.weight.data, wide.bias.data = weight.reshape(wide.weight.shape), conv.bias.detach().repeat(fold)
    return wide
