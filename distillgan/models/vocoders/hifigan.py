"""HiFi-GAN's generator and the vocoder made of it (Kong, Kim, Bae 2020, "HiFi-GAN", section 2.2 and appendix A.1).

Parameters are named as the authors name them (conv_pre, ups.i, resblocks.i.convs1.j, conv_post), so that their
checkpoints load, with weight norm or with plain weights. Weight norm exists only while training.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.base import blank, filled
from distillgan.models.vocoders.trained import (
    TOPOLOGY,
    Generator,
    TrainedVocoder,
    check_mel,
    checked_topology,
    context_frames,
    fold_weight_norm,
    read_checkpoint,
    read_config,
    worth_it,
)

_LAYOUT = torch.channels_last
_LANES = 16  # channels with which a convolution runs at full speed
_WORTH = 1.4  # times as many taps, at most, for folding to pay; measured
_SLOPE, _FINAL_SLOPE = 0.1, 0.01  # of all leaky ReLUs but the last, and of that


class ResBlock(nn.Module):
    """[B, C, N] → [B, C, N]: for each dilation a dilated and a plain convolution, with a skip around both.

    Of kind "2" (the authors' V3) there is no plain one.
    """

    def __init__(self, kind: str, channels: int, kernel: int, dilations: Sequence[int]):
        super().__init__()

        def convolutions(dilations: Sequence[int]) -> nn.ModuleList:
            paddings = [dilation * (kernel - 1) // 2 for dilation in dilations]
            self.reach += sum(paddings)
            return nn.ModuleList(
                nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=padding)
                for dilation, padding in zip(dilations, paddings, strict=True)
            )

        self.reach = 0  # samples on each side that one depends on
        if kind == "1":
            self.convs1, self.convs2 = convolutions(dilations), convolutions([1] * len(dilations))
        else:
            self.convs = convolutions(dilations)

    def steps(self) -> list[tuple[nn.Conv1d, ...]]:
        """The convolutions inside each skip, in order; a leaky ReLU precedes each."""
        return list(zip(*self.children(), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        for convs in self.steps():
            h = x
            for conv in convs:
                h = conv(F.leaky_relu(h, _SLOPE))
            x = x + h
        return x


class HiFiGANGenerator(Generator):
    """Log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1; hop_length is the product of the rates.

    The defaults are V2 for a hop of 512: 0.97 M parameters. `args` holds the arguments as plain types.
    Raises UserError if the arguments describe no network.
    """

    slopes = (_SLOPE, _FINAL_SLOPE)

    def __init__(
        self,
        resblock: str = "1",
        upsample_rates: Sequence[int] = (8, 8, 2, 2, 2),
        upsample_kernel_sizes: Sequence[int] = (16, 16, 4, 4, 4),
        upsample_initial_channel: int = 128,
        resblock_kernel_sizes: Sequence[int] = (3, 7, 11),
        resblock_dilation_sizes: Sequence[Sequence[int]] = ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        num_mels: int = 128,
    ):
        super().__init__()
        self.args = checked_topology(
            {
                "resblock": resblock,
                "upsample_rates": upsample_rates,
                "upsample_kernel_sizes": upsample_kernel_sizes,
                "upsample_initial_channel": upsample_initial_channel,
                "resblock_kernel_sizes": resblock_kernel_sizes,
                "resblock_dilation_sizes": resblock_dilation_sizes,
                "num_mels": num_mels,
            }
        )
        rates, kernels = self.args["upsample_rates"], self.args["upsample_kernel_sizes"]
        channels = [upsample_initial_channel >> stage for stage in range(len(rates) + 1)]
        shapes = list(zip(self.args["resblock_kernel_sizes"], self.args["resblock_dilation_sizes"], strict=True))
        self.num_mels, self.hop_length = self.args["num_mels"], math.prod(rates)
        self.conv_pre = nn.Conv1d(num_mels, channels[0], 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(channels[i], channels[i + 1], kernel, rate, padding=(kernel - rate) // 2)
            for i, (rate, kernel) in enumerate(zip(rates, kernels, strict=True))
        )
        self.resblocks = nn.ModuleList(
            ResBlock(self.args["resblock"], width, kernel, dilations)
            for width in channels[1:]
            for kernel, dilations in shapes
        )
        self.conv_post = nn.Conv1d(channels[-1], 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        if self.training and worth_it(mel):
            return ChannelsLast(self)(mel)
        x = self.conv_pre(mel)
        for up, blocks in self.stages():
            x = up(F.leaky_relu(x, _SLOPE))
            x = sum(block(x) for block in blocks) / len(blocks)
        return torch.tanh(self.conv_post(F.leaky_relu(x, _FINAL_SLOPE)))

    def stages(self) -> list[tuple[nn.ConvTranspose1d, list[ResBlock]]]:
        """Each upsampling, and the residual blocks after it, whose mean is taken."""
        parallel = len(self.resblocks) // len(self.ups)
        return [(up, list(self.resblocks)[i * parallel : (i + 1) * parallel]) for i, up in enumerate(self.ups)]

    @property
    def context_frames(self) -> int:
        """Frames before or after frame t that its samples depend on, whichever is more."""
        return context_frames(self.args, 3, [max(block.reach for block in blocks) for _, blocks in self.stages()], 3)

    def add_weight_norm(self) -> None:
        """Reparametrise every convolution for training, in place; the function computed stays the same."""
        for module in list(self.modules()):
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                weight_norm(module)

    def export_state(self) -> dict[str, Tensor]:
        """Weights for a model file: the authors' names, weight norm folded, float32 on the CPU, no shared memory."""
        return {key: tensor.clone() for key, tensor in fold_weight_norm(self.state_dict(), "the generator").items()}


class ChannelsLast:
    """A HiFiGANGenerator's function, [B, num_mels, T] → [B, 1, T * hop_length], two to three times faster on x86 CPUs.

    PyTorch keeps [B, C, N] with time running fastest, and for each convolution the library below it rearranges the
    wave. With the channels running fastest all of it stays as it is from the first layer to the last. The channels are
    then what fills the vector registers, and the last stages have few: see `folded_taps`.

    It holds a copy of the weights. Gradients flow to the generator's parameters, if it is made and called where they
    are wanted.
    """

    def __init__(self, generator: "HiFiGANGenerator"):
        # The mean over the parallel blocks is their sum, and a smaller weight in what comes next.
        mean = len(generator.ups) / len(generator.resblocks)
        self._pre, self._post = _Convolution(generator.conv_pre), _Convolution(generator.conv_post, mean)
        self._stages, samples = [], 1
        for up, blocks in generator.stages():
            samples *= up.stride[0]
            steps = [
                [[_Convolution(conv, samples=samples) for conv in convs] for convs in block.steps()] for block in blocks
            ]
            self._stages.append((_Convolution(up, mean if self._stages else 1.0), steps))

    def __call__(self, mel: Tensor) -> Tensor:
        x = self._pre(mel[:, :, None].contiguous(memory_format=_LAYOUT))
        for up, blocks in self._stages:
            x = up(F.leaky_relu_(x, _SLOPE))
            total = self._block(blocks[0], x)
            for block in blocks[1:]:
                total += self._block(block, x)
            x = total
        return torch.tanh_(self._post(F.leaky_relu_(x, _FINAL_SLOPE)))[:, :, 0]

    def _block(self, steps: list[list["_Convolution"]], x: Tensor) -> Tensor:
        for first, *others in steps:
            h = first(F.leaky_relu(x, _SLOPE))
            for conv in others:
                h = conv(F.leaky_relu_(h, _SLOPE))
            x = _with_channels(h, x.shape[1]).add_(x)
        return x


class _Convolution:
    """A Conv1d or ConvTranspose1d over [B, C, 1, N], its weight (not its bias) times `scale`.

    Where it has as many channels out as in, it works on several neighbouring samples at once: as many as fill the lanes
    and divide `samples`, if that is faster.
    """

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d, scale: float = 1.0, samples: int = 1):
        weight, self._bias = conv.weight * scale, conv.bias.clone()
        self._padding, self._stride, self._dilation = (0, conv.padding[0]), (1, conv.stride[0]), (1, conv.dilation[0])
        self._transposed = isinstance(conv, nn.ConvTranspose1d)
        (size,), channels = conv.kernel_size, conv.in_channels
        fold = max((n for n in range(1, _LANES // channels + 1) if samples % n == 0), default=1)
        taps = folded_taps(size, fold, conv.padding[0], conv.dilation[0])[0] if fold > 1 else None
        if taps is not None and taps.shape[-1] <= _WORTH * size:
            # A tap that joins no two samples is the zero behind the kernel's last.
            weight = F.pad(weight, (0, 1))[..., taps].permute(2, 0, 3, 1, 4).flatten(2, 3).flatten(0, 1)
            self._bias = self._bias.repeat(fold)
            self._padding, self._dilation = (0, taps.shape[-1] // 2), (1, 1)
        self._weight = weight[:, :, None].contiguous(memory_format=_LAYOUT)

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


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # made once for inference and training alike
def folded_taps(kernel: int, fold: int, padding: int, dilation: int = 1, stride: int = 1) -> tuple[Tensor, int, int]:
    """The taps of a convolution whose neighbouring samples count as channels, `fold` outputs at a time.

    [fold, step, blocks]: which tap joins output j of a block to input m of the block p away, `kernel` for none; a block
    has step = fold · stride inputs. And how many blocks before and after its own an output reads.
    """
    step = stride * fold
    before, after = -(-padding // step), (stride * (fold - 1) + dilation * (kernel - 1) - padding) // step
    taps = torch.full((fold, step, before + 1 + after), kernel)
    for output in range(fold):
        for tap in range(kernel):
            block, place = divmod(stride * output + tap * dilation - padding, step)
            taps[output, place, block + before] = tap
    return taps, before, after


class HiFiGANVocoder(TrainedVocoder):
    """A HiFiGANGenerator with plain weights behind the mel → wave contract."""

    name = "hifigan"
    generator_type = HiFiGANGenerator
    fast_form = ChannelsLast

    @classmethod
    def from_files(
        cls, config_json: str | Path, checkpoint: str | Path, spec: MelSpec | None = None
    ) -> "HiFiGANVocoder":
        """Load the authors' config.json and generator checkpoint; no code in either is run.

        The checkpoint is `{"generator": state_dict}` or a state dict, weight-normed (weight_g/weight_v, or the
        parametrizations names of newer torch) or plain. `spec` is the package's mel by default.

        Raises UserError, naming the file and the fault: missing, not whole, holding objects other than tensors,
        other keys or shapes than the config describes, a config that is incomplete or made for another mel.
        """
        spec = spec or MelSpec()
        config = Path(config_json)
        try:
            generator = blank(HiFiGANGenerator, checked_topology(read_config(config, TOPOLOGY, spec)))
            check_mel(generator, spec)
        except UserError as error:
            raise UserError(f"{config}: {error}") from error
        tensors = fold_weight_norm(read_checkpoint(Path(checkpoint)), str(checkpoint))
        return cls(filled(generator, tensors, str(checkpoint)), spec)
