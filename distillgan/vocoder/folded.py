"""A convolution of narrow groups, computed on a CPU as one of fewer steps and more channels: the same sums, faster.

With one to eight channels a group the vector units stay nearly empty, above all in the backward pass.
"""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LANES = 16  # channels a group that fill them
_MOST = 8  # outputs that become channels: more only add zeros to multiply


class FoldedConv1d(nn.Conv1d):
    """[B, C, N] → what nn.Conv1d gives; on a CPU neighbouring samples count as channels where groups are narrow.

    Its parameters are nn.Conv1d's. Dilation is not supported.
    """

    def forward(self, x: Tensor) -> Tensor:
        (stride,), width = self.stride, self.in_channels // self.groups
        fold = 1
        while fold * stride * width < _LANES and fold < _MOST:
            fold *= 2
        if x.device.type != "cpu" or fold * stride == 1 or width >= _LANES:
            return super().forward(x)
        return self._folded(x, fold)

    def _folded(self, x: Tensor, fold: int) -> Tensor:
        """Output q · fold + j becomes channel j of output q, input p · step + m channel m of input p."""
        (kernel,), (stride,), (padding,) = self.kernel_size, self.stride, self.padding
        batch, _, samples = x.shape
        step, outputs = stride * fold, (samples + 2 * padding - kernel) // stride + 1
        taps, before, after = _taps(kernel, stride, padding, fold)
        blocks = -(-outputs // fold)
        # Zeros before and after, up to whole blocks; or cut where no output reads.
        x = F.pad(x, (before * step, (blocks + after) * step - samples)).unflatten(2, (-1, step))
        x = x.transpose(2, 3).flatten(1, 2)
        # A tap that an output does not have is the zero behind the kernel's last.
        weight = F.pad(self.weight, (0, 1))[..., taps.to(x.device)]
        weight = weight.transpose(1, 2).reshape(self.out_channels * fold, -1, taps.shape[-1])
        bias = self.bias.repeat_interleave(fold)
        y = F.conv1d(x, weight, bias, groups=self.groups)
        y = y.view(batch, self.out_channels, fold, blocks).transpose(2, 3).reshape(batch, self.out_channels, -1)
        return y[..., :outputs]


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # made once for inference and training alike
def _taps(kernel: int, stride: int, padding: int, fold: int) -> tuple[Tensor, int, int]:
    """Which tap joins output j of a block to input m of the block p away: [fold, step, blocks], `kernel` for none;

    and how many blocks before and after its own an output reads.
    """
    step = stride * fold
    before, after = padding // step + (padding % step > 0), (stride * (fold - 1) + kernel - 1 - padding) // step
    taps = torch.full((fold, step, before + 1 + after), kernel)
    for j in range(fold):
        for tap in range(kernel):
            block, place = divmod(stride * j + tap - padding, step)
            taps[j, place, block + before] = tap
    return taps, before, after
