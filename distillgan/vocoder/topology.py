"""What HiFi-GAN and the networks built like it share: their config.json, what it must hold, how far they see."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError

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


def check_fits(args: dict, spec: MelSpec) -> None:
    """Raises UserError unless the bands and samples a frame of a checked topology are those of the mel."""
    if args["num_mels"] != spec.n_mels:
        raise UserError(f"num_mels={args['num_mels']}, but the mel has n_mels={spec.n_mels}")
    hop_length = math.prod(args["upsample_rates"])
    if hop_length != spec.hop_length:
        raise UserError(
            f"upsample_rates={args['upsample_rates']} multiply to {hop_length} samples a frame, "
            f"but the mel has hop_length={spec.hop_length}"
        )


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
