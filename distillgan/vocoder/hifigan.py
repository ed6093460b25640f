"""HiFi-GAN's generator and the vocoder made of it (Kong, Kim, Bae 2020, "HiFi-GAN", section 2.2 and appendix A.1).

Parameters are named as the authors name them (conv_pre, ups.i, resblocks.i.convs1.j, conv_post), so that their
checkpoints load, with weight norm or with plain weights. Weight norm exists only while training.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.channels_last import ChannelsLast
from distillgan.vocoder.checkpoint import fold_weight_norm, read_checkpoint
from distillgan.vocoder.fast import worth_it
from distillgan.vocoder.topology import TOPOLOGY, checked_topology, context_frames, read_config
from distillgan.vocoder.trained import TrainedVocoder

_SLOPE = 0.1
_FINAL_SLOPE = 0.01


def _same_conv(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)


class ResBlock1(nn.Module):
    """[B, C, N] → [B, C, N]: for each dilation a dilated and a plain convolution, with a skip around both."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]):
        super().__init__()
        self.convs1 = nn.ModuleList(_same_conv(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same_conv(channels, kernel, 1) for _ in dilations)
        self.reach = sum((dilation + 1) * (kernel - 1) // 2 for dilation in dilations)

    def steps(self) -> list[tuple[nn.Conv1d, ...]]:
        """The convolutions inside each skip, in order; a leaky ReLU precedes each."""
        return list(zip(self.convs1, self.convs2, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in self.steps():
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, _SLOPE)), _SLOPE))
        return x


class ResBlock2(nn.Module):
    """[B, C, N] → [B, C, N]: for each dilation one convolution with a skip (the authors' V3)."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]):
        super().__init__()
        self.convs = nn.ModuleList(_same_conv(channels, kernel, dilation) for dilation in dilations)
        self.reach = sum(dilation * (kernel - 1) // 2 for dilation in dilations)

    def steps(self) -> list[tuple[nn.Conv1d, ...]]:
        """The convolution inside each skip; a leaky ReLU precedes it."""
        return [(conv,) for conv in self.convs]

    def forward(self, x: Tensor) -> Tensor:
        for (conv,) in self.steps():
            x = x + conv(F.leaky_relu(x, _SLOPE))
        return x


_RESBLOCKS = {"1": ResBlock1, "2": ResBlock2}


class HiFiGANGenerator(nn.Module):
    """Log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1; hop_length is the product of the rates.

    The defaults are V2 for a hop of 512: 0.97 M parameters. `args` holds the arguments as plain types.
    Raises UserError if the arguments describe no network.
    """

    slopes = (_SLOPE, _FINAL_SLOPE)  # of all leaky ReLUs but the last, and of that

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
        block = _RESBLOCKS[self.args["resblock"]]
        shapes = list(zip(self.args["resblock_kernel_sizes"], self.args["resblock_dilation_sizes"], strict=True))
        self.num_mels, self.hop_length = self.args["num_mels"], math.prod(rates)
        self.conv_pre = nn.Conv1d(num_mels, channels[0], 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(channels[i], channels[i + 1], kernel, rate, padding=(kernel - rate) // 2)
            for i, (rate, kernel) in enumerate(zip(rates, kernels, strict=True))
        )
        self.resblocks = nn.ModuleList(
            block(width, kernel, dilations) for width in channels[1:] for kernel, dilations in shapes
        )
        self.conv_post = nn.Conv1d(channels[-1], 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        if self.training and worth_it(mel):
            return ChannelsLast(self)(mel)
        x = self.conv_pre(mel)
        parallel = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, _SLOPE))
            blocks = self.resblocks[stage * parallel : (stage + 1) * parallel]
            x = sum(block(x) for block in blocks) / parallel
        return torch.tanh(self.conv_post(F.leaky_relu(x, _FINAL_SLOPE)))

    def draws(self, mel: Tensor, random: torch.Generator) -> list[Tensor]:
        """One wave: there is nothing random in it."""
        return [self(mel)]

    @property
    def context_frames(self) -> int:
        """Frames before or after frame t that its samples depend on, whichever is more."""
        parallel = len(self.resblocks) // len(self.ups)
        stages = [self.resblocks[start : start + parallel] for start in range(0, len(self.resblocks), parallel)]
        return context_frames(self.args, 3, [max(block.reach for block in blocks) for blocks in stages], 3)

    def add_weight_norm(self) -> None:
        """Reparametrise every convolution for training, in place; the function computed stays the same."""
        for module in list(self.modules()):
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                weight_norm(module)

    def export_state(self) -> dict[str, Tensor]:
        """Weights for a model file: the authors' names, weight norm folded, float32 on the CPU, no shared memory."""
        return {key: tensor.clone() for key, tensor in fold_weight_norm(self.state_dict(), "the generator").items()}


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
            generator = cls._blank(checked_topology(read_config(config, TOPOLOGY, spec)), spec)
        except UserError as error:
            raise UserError(f"{config}: {error}") from error
        return cls._filled(generator, read_checkpoint(Path(checkpoint)), spec, str(checkpoint))
