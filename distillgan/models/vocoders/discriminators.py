"""HiFi-GAN's discriminators, multi-period and multi-scale (Kong, Kim, Bae 2020, section 2.3 and appendix A.2)."""

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from distillgan.models.vocoders.hifigan import folded_taps

_LANES = 16  # channels a group that fill the vector units
_MOST = 8  # outputs that become channels: more only add zeros to multiply
_SLOPE = 0.1
_PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)
_SCALE_LAYERS = (  # channels, kernel, stride, groups
    (128, 15, 1, 1),
    (128, 41, 2, 4),
    (256, 41, 2, 16),
    (512, 41, 4, 16),
    (1024, 41, 4, 16),
    (1024, 41, 1, 16),
    (1024, 5, 1, 1),
)

# Of one sub-discriminator: score [B, K], and the features [B·p, C, L] of each layer, its raw score included (p is the
# period, 1 for scales).
DiscriminatorOutput = tuple[Tensor, list[Tensor]]


class FoldedConv1d(nn.Conv1d):
    """[B, C, N] → what nn.Conv1d gives; on a CPU neighbouring samples count as channels where groups are narrow.

    With one to eight channels a group the vector units stay nearly empty, above all in the backward pass; of fewer
    steps and more channels the sums are the same and faster. Its parameters are nn.Conv1d's. Dilation is not supported.
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
        taps, before, after = folded_taps(kernel, fold, padding, stride=stride)
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


def _scaled(channels: int, width: float) -> int:
    """Channels at a width, in fours so that grouped convolutions keep their groups."""
    return max(4, 4 * round(channels * width / 4))


def _groups(wanted: int, inputs: int, outputs: int) -> int:
    """The largest number of groups up to `wanted` that divides both channel counts."""
    common = math.gcd(inputs, outputs)
    return max(groups for groups in range(1, wanted + 1) if common % groups == 0)


class _Stack(nn.Module):
    """Convolutions with leaky ReLUs between, then a score; `features` are what each layer gives."""

    def __init__(self, convs: list[nn.Conv1d], post: nn.Conv1d, norm):
        super().__init__()
        self.convs = nn.ModuleList(norm(conv) for conv in convs)
        self.conv_post = norm(post)

    def features(self, x: Tensor) -> list[Tensor]:
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), _SLOPE)
            features.append(x)
        return [*features, self.conv_post(x)]


class PeriodDiscriminator(_Stack):
    """Wave [B, 1, N] → output over every `period`-th sample.

    The paper's 2-D convolutions have kernels (5, 1): they never mix phases of the period, so the phases are folded into
    the batch and 1-D convolutions do the same sums, faster on a CPU.
    """

    def __init__(self, period: int, width: float):
        channels = [1, *(_scaled(c, width) for c in _PERIOD_CHANNELS)]
        strides = (3, 3, 3, 3, 1)
        super().__init__(
            [nn.Conv1d(a, b, 5, s, padding=2) for (a, b), s in zip(pairwise(channels), strides, strict=True)],
            nn.Conv1d(channels[-1], 1, 3, padding=1),
            weight_norm,
        )
        self.period = period

    def forward(self, wave: Tensor) -> DiscriminatorOutput:
        batch, _, samples = wave.shape
        wave = F.pad(wave, (0, -samples % self.period), mode="reflect")
        phases = wave.view(batch, -1, self.period).transpose(1, 2)
        features = self.features(phases.reshape(batch * self.period, 1, -1))
        return features[-1].reshape(batch, -1), features


class ScaleDiscriminator(_Stack):
    """Wave [B, 1, N] → output; `norm` is spectral for the raw wave, weight norm after pooling."""

    def __init__(self, width: float, norm):
        channels = [1, *(_scaled(layer[0], width) for layer in _SCALE_LAYERS)]
        super().__init__(
            [
                FoldedConv1d(a, b, kernel, stride, padding=kernel // 2, groups=_groups(groups, a, b))
                for (a, b), (_, kernel, stride, groups) in zip(pairwise(channels), _SCALE_LAYERS, strict=True)
            ],
            nn.Conv1d(channels[-1], 1, 3, padding=1),
            norm,
        )

    def forward(self, wave: Tensor) -> DiscriminatorOutput:
        features = self.features(wave)
        return features[-1].flatten(1), features


class MultiPeriodDiscriminator(nn.Module):
    """Wave [B, 1, N] → an output for each period (2, 3, 5, 7, 11); 41.1 M parameters at width 1."""

    def __init__(self, width: float):
        super().__init__()
        self.discriminators = nn.ModuleList(PeriodDiscriminator(period, width) for period in (2, 3, 5, 7, 11))

    def forward(self, wave: Tensor) -> list[DiscriminatorOutput]:
        return [discriminator(wave) for discriminator in self.discriminators]


class MultiScaleDiscriminator(nn.Module):
    """Wave [B, 1, N] → outputs for the wave, and for it averaged to a half and a quarter; 29.6 M at width 1."""

    def __init__(self, width: float):
        super().__init__()
        norms = (spectral_norm, weight_norm, weight_norm)
        self.discriminators = nn.ModuleList(ScaleDiscriminator(width, norm) for norm in norms)

    def forward(self, wave: Tensor) -> list[DiscriminatorOutput]:
        first, *others = self.discriminators
        outputs = [first(wave)]
        for discriminator in others:
            wave = F.avg_pool1d(wave, 4, 2, padding=2)
            outputs.append(discriminator(wave))
        return outputs


class Discriminators(nn.Module):
    """Wave [B, 1, N] → the outputs of five periods, then three scales; channels are the paper's times `width`.

    Raises ValueError if width is not above 0.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        if width <= 0:
            raise ValueError(f"width={width} must be above 0")
        self.periods = MultiPeriodDiscriminator(width)
        self.scales = MultiScaleDiscriminator(width)

    def forward(self, wave: Tensor) -> list[DiscriminatorOutput]:
        return self.periods(wave) + self.scales(wave)
