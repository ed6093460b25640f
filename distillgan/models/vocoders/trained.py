"""Vocoders that can be trained: a generator behind the mel → wave contract, published weights, a fast form for CPUs."""

import json
import logging
import math
import pickle
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.base import Vocoder, blank, filled

TOPOLOGY = (
    "resblock",
    "upsample_rates",
    "upsample_kernel_sizes",
    "upsample_initial_channel",
    "resblock_kernel_sizes",
    "resblock_dilation_sizes",
    "num_mels",
)
_RESBLOCKS = ("1", "2")
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


def read_config(path: Path, required: Sequence[str], spec: MelSpec) -> dict:
    """All that the authors' config.json holds; it must have the `required` keys, and its mel must be `spec`.

    Raises UserError, which does not name the file, if it cannot be read, is not such a config, or differs.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"is not a JSON object of hyper-parameters but a {type(config).__name__}")
    missing = [key for key in required if key not in config]
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
    return config


def checked_topology(args: dict) -> dict:
    """The hyper-parameters named in TOPOLOGY as plain types: resblock "1" or "2", positive ints, lists of them.

    Raises UserError if one is something else or if they do not fit together.
    """
    all_dilations = args["resblock_dilation_sizes"]
    if not isinstance(all_dilations, Sequence):
        raise UserError(f"resblock_dilation_sizes={all_dilations!r} must be a list of lists")
    args = {
        "resblock": str(args["resblock"]),
        "upsample_rates": _integers("upsample_rates", args["upsample_rates"]),
        "upsample_kernel_sizes": _integers("upsample_kernel_sizes", args["upsample_kernel_sizes"]),
        "upsample_initial_channel": _integers("upsample_initial_channel", [args["upsample_initial_channel"]])[0],
        "resblock_kernel_sizes": _integers("resblock_kernel_sizes", args["resblock_kernel_sizes"]),
        "resblock_dilation_sizes": [_integers("resblock_dilation_sizes", sizes) for sizes in all_dilations],
        "num_mels": _integers("num_mels", [args["num_mels"]])[0],
    }
    rates, kernels = args["upsample_rates"], args["upsample_kernel_sizes"]
    sizes, dilations = args["resblock_kernel_sizes"], args["resblock_dilation_sizes"]
    if args["resblock"] not in _RESBLOCKS:
        raise UserError(f"resblock={args['resblock']!r} must be one of {list(_RESBLOCKS)}")
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
    return args


def context_frames(args: dict, before: int, reaches: Sequence[int], after: int) -> int:
    """Frames before or after frame t that its samples depend on, whichever is more.

    `before` is the reach of what precedes the upsampling, in frames, `reaches` that of each stage's residual blocks and
    `after` that of what follows the last, in samples at their own rates.

    The samples of one frame are followed back to the mel: a convolution widens the interval by its reach; a
    transposed one (kernel k, stride s, padding p) reads, for output n, inputs ceil((n+p-k+1)/s) … floor((n+p)/s).
    """
    rates, kernels = args["upsample_rates"], args["upsample_kernel_sizes"]
    first, last = -after, math.prod(rates) - 1 + after
    for rate, kernel, reach in reversed(list(zip(rates, kernels, reaches, strict=True))):
        padding = (kernel - rate) // 2
        first = -((kernel - 1 - padding - first + reach) // rate)
        last = (last + reach + padding) // rate
    return max(before - first, last + before)


def _integers(name: str, values: Sequence[int]) -> list[int]:
    """`values` as a list of positive ints; raises UserError otherwise."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise UserError(f"{name}={values!r} must be a list of positive whole numbers")
    if not all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values):
        raise UserError(f"{name}={list(values)} must hold positive whole numbers only")
    return list(values)


# Suffixes of (magnitude, direction) under weight norm: torch.nn.utils.weight_norm, and parametrizations after it.
_WEIGHT_NORM = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a published generator: `{"generator": state_dict}` or a bare state dict; no code in it is run.

    Raises UserError naming the file and the fault.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds something other than tensors, which could run code, or is no PyTorch checkpoint; not loaded"
        ) from error
    except Exception as error:  # a foreign or cut file makes the unpickler raise nearly anything
        raise UserError(f"{path}: is not a whole PyTorch checkpoint (cut short, or another kind of file)") from error
    tensors = content.get("generator", content) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not all(_is_weight(*item) for item in tensors.items()):
        raise UserError(f"{path}: is neither a state dict of plain real tensors nor {{'generator': state dict}}")
    return dict(tensors)


def _is_weight(key: object, value: object) -> bool:
    if not isinstance(key, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and value.is_floating_point() and value.device.type == "cpu"


def fold_weight_norm(tensors: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """Weights with weight norm folded, w = g · v / ‖v‖ over all axes but the first; all float32 on the CPU.

    Salimans and Kingma 2016, equation 2. Plain weights pass. `origin` names the source in errors.

    Raises UserError if a magnitude does not belong to its direction.
    """
    folded = dict(tensors)
    for magnitude, direction in _WEIGHT_NORM:
        for key in [key for key in folded if key.endswith(magnitude)]:
            layer = key.removesuffix(magnitude)
            if layer + direction not in folded:
                raise UserError(f"{origin}: has {key} but not {layer + direction}")
            g, v = folded.pop(key).float(), folded.pop(layer + direction).float()
            if g.shape != v.shape[:1] + (1,) * (v.dim() - 1):
                raise UserError(f"{origin}: {key} {list(g.shape)} does not fit {layer + direction} {list(v.shape)}")
            folded[layer + ".weight"] = v * (g / v.flatten(1).norm(dim=1).view_as(g))
    return {key: tensor.detach().float().cpu() for key, tensor in folded.items()}


Function = Callable[[Tensor], Tensor]

TOLERANCE = 1e-4
_FRAMES = 16  # of the mel that both forms are compared on
_MEASURED = {"x86_64", "amd64"}

_log = logging.getLogger(__name__)


class FastForm:
    """Calls `make(generator)`'s result in place of the generator where mel and weights are float32 on an x86 CPU.

    It is made at the first call, and again when the weights have changed; it must then agree with the generator within
    TOLERANCE on a fixed mel, or the generator itself is called from there on. Which of both it is depends on nothing
    but the machine and the weights. `make` is None for a generator that has no fast form; it may raise RuntimeError.
    """

    def __init__(self, make: Callable[[nn.Module], Function] | None):
        self._make = make
        self._made: tuple[object, Function | None] = (None, None)

    def __call__(self, generator: nn.Module, mel: Tensor) -> Tensor:
        return (self._function(generator, mel) or generator)(mel)

    def _function(self, generator: nn.Module, mel: Tensor) -> Function | None:
        if self._make is None or not _plain(mel) or not all(_plain(weight) for weight in generator.parameters()):
            return None
        weights = _state(generator)
        if self._made[0] != weights:
            self._made = (weights, self._checked(generator))
        return self._made[1]

    def _checked(self, generator: nn.Module) -> Function | None:
        fault = _unsupported()
        if fault is None:
            try:
                function = self._make(generator)
                difference = _difference(generator, function)
            except RuntimeError as error:
                fault = str(error).partition("\n")[0]
            else:
                if difference <= TOLERANCE:
                    return function
                fault = f"it differs by {difference:.2g}, more than {TOLERANCE:g}"
        _log.info("%s plays in its plain form: the fast one is not used, %s", type(generator).__name__, fault)
        return None


def worth_it(tensor: Tensor) -> bool:
    """Whether the fast forms are for this machine, and for tensors such as this one."""
    return _plain(tensor) and _unsupported() is None


def _plain(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


def _state(generator: nn.Module) -> tuple:
    """Something else whenever a weight has been replaced or written to."""
    # Tensors made in inference mode count no versions.
    return tuple(
        (weight.data_ptr(), -1 if weight.is_inference() else weight._version) for weight in generator.parameters()
    )


def _unsupported() -> str | None:
    """Why the fast forms are not for this machine."""
    if platform.machine().lower() not in _MEASURED:
        return f"it has not been measured on {platform.machine()}"
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return "oneDNN, which makes it fast, is not there"
    return None


@torch.no_grad()
def _difference(generator: nn.Module, function: Function) -> float:
    """The largest difference between samples of both (NaN if there are any), on a random mel, always the same."""
    random = torch.Generator().manual_seed(0)
    mel = 2 * torch.randn(1, generator.num_mels, _FRAMES, generator=random) - 4
    return (generator(mel) - function(mel)).abs().max().item()


class Generator(nn.Module):
    """A network that can be trained as a vocoder: log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length].

    A subclass sets, in its constructor or as properties,

        args             all arguments of the constructor as plain types; those named as fields of MelSpec are the mel's
        num_mels         bands of the mel
        hop_length       samples a frame
        context_frames   frames before or after frame t that its samples depend on, whichever is more

    Loading builds it on the meta device first: a buffer that is in no state dict must be made on a device of its own.
    """

    args: dict[str, Any]
    num_mels: int
    hop_length: int
    context_frames: int

    def draws(self, mel: Tensor, random: torch.Generator) -> list[Tensor]:
        """The waves of one mel: one of a deterministic generator, two independent ones of one that makes noise."""
        return [self(mel)]

    def add_weight_norm(self) -> None:
        """Reparametrise it for training, in place; the function computed stays the same."""

    def export_state(self) -> dict[str, Tensor]:
        """The plain weights for a model file: float32 on the CPU, no shared memory."""
        return {key: tensor.detach().float().cpu().clone() for key, tensor in self.state_dict().items()}


class TrainedVocoder(Vocoder):
    """A generator behind the mel → wave contract; a subclass has a `name` and its `generator_type`.

    It may also name a `fast_form`: from a generator it makes the same function, faster on a CPU (see FastForm).
    """

    name: ClassVar[str]
    generator_type: ClassVar[type[Generator]]
    fast_form: ClassVar[Callable[[nn.Module], Function] | None] = None

    def __init__(self, generator: Generator, spec: MelSpec):
        super().__init__(spec, generator.context_frames)
        self.generator = generator
        self._fast = FastForm(type(self).fast_form)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, mel: Tensor) -> Tensor:
        return self._fast(self.generator, mel)

    @classmethod
    def from_state(cls, arguments: Mapping[str, Any], tensors: Mapping[str, Tensor], spec: MelSpec) -> Self:
        origin = "the model's vocoder"
        try:
            generator = blank(cls.generator_type, arguments)
            check_mel(generator, spec)
        except UserError as error:
            raise UserError(f"{origin}: {error}") from error
        return cls(filled(generator, fold_weight_norm(tensors, origin), origin), spec)


def check_mel(generator: Generator, spec: MelSpec) -> None:
    """Raises UserError unless bands, samples a frame and whatever else of a mel the generator has are the mel's."""
    if generator.num_mels != spec.n_mels:
        raise UserError(f"num_mels={generator.num_mels}, but the mel has n_mels={spec.n_mels}")
    if generator.hop_length != spec.hop_length:
        raise UserError(
            f"it makes {generator.hop_length} samples a frame, but the mel has hop_length={spec.hop_length}"
        )
    for key, value in spec.to_dict().items():
        if generator.args.get(key, value) != value:
            raise UserError(f"{key}={generator.args[key]}, but the mel has {key}={value}")
