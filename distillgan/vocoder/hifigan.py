"""HiFi-GAN's generator and the vocoder made of it (Kong, Kim, Bae 2020, "HiFi-GAN", section 2.2 and appendix A.1).

Parameters are named as the authors name them (conv_pre, ups.i, resblocks.i.convs1.j, conv_post), so that their
checkpoints load, with weight norm or with plain weights. Weight norm exists only while training.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.base import Vocoder, check_tensors, fold_weight_norm, read_checkpoint

_SLOPE = 0.1
_FINAL_SLOPE = 0.01
_TOPOLOGY = (
    "resblock",
    "upsample_rates",
    "upsample_kernel_sizes",
    "upsample_initial_channel",
    "resblock_kernel_sizes",
    "resblock_dilation_sizes",
    "num_mels",
)
# Names in the authors' config.json → names in MelSpec. Their window is as long as their FFT.
_MEL_NAMES = {
    "sampling_rate": "sample_rate",
    "n_fft": "n_fft",
    "win_size": "n_fft",
    "hop_size": "hop_length",
    "num_mels": "n_mels",
    "fmin": "f_min",
    "fmax": "f_max",
}


def _same_conv(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)


class ResBlock1(nn.Module):
    """[B, C, N] → [B, C, N]: for each dilation a dilated and a plain convolution, with a skip around both."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]):
        super().__init__()
        self.convs1 = nn.ModuleList(_same_conv(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same_conv(channels, kernel, 1) for _ in dilations)
        self.reach = sum((dilation + 1) * (kernel - 1) // 2 for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, _SLOPE)), _SLOPE))
        return x


class ResBlock2(nn.Module):
    """[B, C, N] → [B, C, N]: for each dilation one convolution with a skip (the authors' V3)."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]):
        super().__init__()
        self.convs = nn.ModuleList(_same_conv(channels, kernel, dilation) for dilation in dilations)
        self.reach = sum(dilation * (kernel - 1) // 2 for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(F.leaky_relu(x, _SLOPE))
        return x


_RESBLOCKS = {"1": ResBlock1, "2": ResBlock2}


class HiFiGANGenerator(nn.Module):
    """Log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1; hop_length is the product of the rates.

    The defaults are V2 for a hop of 512: 0.97 M parameters. `args` holds the arguments as plain types.
    Raises UserError if the arguments describe no network.
    """

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
        if not isinstance(resblock_dilation_sizes, Sequence):
            raise UserError(f"resblock_dilation_sizes={resblock_dilation_sizes!r} must be a list of lists")
        self.args = {
            "resblock": str(resblock),
            "upsample_rates": _integers("upsample_rates", upsample_rates),
            "upsample_kernel_sizes": _integers("upsample_kernel_sizes", upsample_kernel_sizes),
            "upsample_initial_channel": _integers("upsample_initial_channel", [upsample_initial_channel])[0],
            "resblock_kernel_sizes": _integers("resblock_kernel_sizes", resblock_kernel_sizes),
            "resblock_dilation_sizes": [_integers("resblock_dilation_sizes", d) for d in resblock_dilation_sizes],
            "num_mels": _integers("num_mels", [num_mels])[0],
        }
        _check_topology(self.args)
        rates, kernels = self.args["upsample_rates"], self.args["upsample_kernel_sizes"]
        channels = [upsample_initial_channel >> stage for stage in range(len(rates) + 1)]
        block = _RESBLOCKS[self.args["resblock"]]
        shapes = list(zip(self.args["resblock_kernel_sizes"], self.args["resblock_dilation_sizes"], strict=True))
        self.hop_length = math.prod(rates)
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
        x = self.conv_pre(mel)
        parallel = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, _SLOPE))
            blocks = self.resblocks[stage * parallel : (stage + 1) * parallel]
            x = sum(block(x) for block in blocks) / parallel
        return torch.tanh(self.conv_post(F.leaky_relu(x, _FINAL_SLOPE)))

    @property
    def context_frames(self) -> int:
        """Frames before or after frame t that its samples depend on, whichever is more.

        The samples of one frame are followed back to the mel: a convolution widens the interval by its reach; a
        transposed one (kernel k, stride s, padding p) reads, for output n, inputs ceil((n+p-k+1)/s) … floor((n+p)/s).
        """
        first, last = -3, self.hop_length - 1 + 3
        parallel = len(self.resblocks) // len(self.ups)
        for stage in reversed(range(len(self.ups))):
            reach = max(block.reach for block in self.resblocks[stage * parallel : (stage + 1) * parallel])
            up = self.ups[stage]
            (kernel,), (stride,), (padding,) = up.kernel_size, up.stride, up.padding
            first = -((kernel - 1 - padding - first + reach) // stride)
            last = (last + reach + padding) // stride
        return max(3 - first, last + 3)

    def add_weight_norm(self) -> None:
        """Reparametrise every convolution for training, in place; the function computed stays the same."""
        for module in list(self.modules()):
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                weight_norm(module)

    def export_state(self) -> dict[str, Tensor]:
        """Weights for a model file: the authors' names, weight norm folded, float32 on the CPU, no shared memory."""
        return {key: tensor.clone() for key, tensor in fold_weight_norm(self.state_dict(), "the generator").items()}


class HiFiGANVocoder(Vocoder):
    """A HiFiGANGenerator with plain weights behind the mel → wave contract."""

    def __init__(self, generator: HiFiGANGenerator, spec: MelSpec):
        super().__init__(spec, generator.context_frames)
        self.generator = generator
        self.eval().requires_grad_(False)

    def forward(self, mel: Tensor) -> Tensor:
        return self.generator(mel)

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
            generator = _blank(_read_args(config, spec), spec)
        except UserError as error:
            raise UserError(f"{config}: {error}") from error
        return cls._filled(generator, read_checkpoint(Path(checkpoint)), spec, str(checkpoint))

    @classmethod
    def from_state(cls, args: dict, tensors: dict[str, Tensor], spec: MelSpec) -> "HiFiGANVocoder":
        """Build from `HiFiGANGenerator.args` and `export_state()`, as a model file keeps them.

        Raises UserError if they do not belong together or to `spec`.
        """
        origin = "the model's vocoder"
        wrong = sorted(set(args) ^ set(_TOPOLOGY))
        if wrong:
            raise UserError(f"{origin}: the arguments {wrong} are missing or unknown; expected {list(_TOPOLOGY)}")
        try:
            generator = _blank(args, spec)
        except UserError as error:
            raise UserError(f"{origin}: {error}") from error
        return cls._filled(generator, tensors, spec, origin)

    @classmethod
    def _filled(
        cls, generator: HiFiGANGenerator, tensors: dict[str, Tensor], spec: MelSpec, origin: str
    ) -> "HiFiGANVocoder":
        tensors = fold_weight_norm(tensors, origin)
        check_tensors(tensors, generator.state_dict(), origin)
        generator.load_state_dict(tensors, strict=True, assign=True)
        return cls(generator, spec)


def check_generator(generator: HiFiGANGenerator, spec: MelSpec) -> None:
    """Raises UserError unless the generator's bands and samples a frame are those of the mel."""
    if generator.args["num_mels"] != spec.n_mels:
        raise UserError(f"num_mels={generator.args['num_mels']}, but the mel has n_mels={spec.n_mels}")
    if generator.hop_length != spec.hop_length:
        raise UserError(
            f"upsample_rates={generator.args['upsample_rates']} multiply to {generator.hop_length} samples a frame, "
            f"but the mel has hop_length={spec.hop_length}"
        )


def _blank(args: dict, spec: MelSpec) -> HiFiGANGenerator:
    # On the meta device nothing is allocated or drawn at random before the weights are known to fit.
    with torch.device("meta"):
        generator = HiFiGANGenerator(**args)
    check_generator(generator, spec)
    return generator


def _read_args(path: Path, spec: MelSpec) -> dict:
    """The generator's arguments out of the authors' config.json, whose mel must be `spec`."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"is not a JSON object of hyper-parameters but a {type(config).__name__}")
    missing = [key for key in _TOPOLOGY if key not in config]
    if missing:
        raise UserError(f"lacks {', '.join(missing)}")
    expected = spec.to_dict()
    differences = []
    for theirs, ours in _MEL_NAMES.items():
        # Theirs may leave fmax null: half the sample rate.
        value = config.get(theirs, expected[ours])
        value = spec.sample_rate / 2 if theirs == "fmax" and value is None else value
        if value != expected[ours]:
            differences.append(f"{theirs}={value} there, {ours}={expected[ours]} here")
    if differences:
        raise UserError(f"was made for another mel: {'; '.join(differences)}")
    return {key: config[key] for key in _TOPOLOGY}


def _integers(name: str, values: Sequence[int]) -> list[int]:
    """`values` as a list of positive ints; raises UserError otherwise."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise UserError(f"{name}={values!r} must be a list of positive whole numbers")
    if not all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values):
        raise UserError(f"{name}={list(values)} must hold positive whole numbers only")
    return list(values)


def _check_topology(args: dict) -> None:
    """Raises UserError if the parts do not fit together."""
    rates, kernels = args["upsample_rates"], args["upsample_kernel_sizes"]
    sizes, dilations = args["resblock_kernel_sizes"], args["resblock_dilation_sizes"]
    if args["resblock"] not in _RESBLOCKS:
        raise UserError(f"resblock={args['resblock']!r} must be one of {sorted(_RESBLOCKS)}")
    if len(rates) != len(kernels):
        raise UserError(f"upsample_rates={rates} and upsample_kernel_sizes={kernels} must be equally many")
    if len(sizes) != len(dilations):
        raise UserError(f"resblock_kernel_sizes={sizes} and resblock_dilation_sizes={dilations} must be equally many")
    if any(kernel < rate or (kernel - rate) % 2 for rate, kernel in zip(rates, kernels, strict=True)):
        raise UserError(
            f"upsample_kernel_sizes={kernels} must equal upsample_rates={rates} or be each larger by an even number"
        )
    if any(size % 2 == 0 for size in sizes):
        raise UserError(f"resblock_kernel_sizes={sizes} must be odd")
    if args["upsample_initial_channel"] % 2 ** len(rates):
        raise UserError(
            f"upsample_initial_channel={args['upsample_initial_channel']} must be a multiple of {2 ** len(rates)} "
            f"to be halved {len(rates)} times"
        )
