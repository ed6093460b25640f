"""Published weights: reading them without running code, folding weight norm, checking that they fit the network."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from distillgan.errors import UserError

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


def check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], origin: str) -> None:
    """Raises UserError, naming `origin`, unless keys and shapes are the expected ones and all values are finite."""
    faults = {
        "missing": [key for key in expected if key not in tensors],
        "unexpected": [key for key in tensors if key not in expected],
        "of another shape": [
            f"{key} {list(tensors[key].shape)}, expected {list(value.shape)}"
            for key, value in expected.items()
            if key in tensors and tensors[key].shape != value.shape
        ],
        "not finite": [key for key, value in tensors.items() if not value.isfinite().all()],
    }
    found = [
        f"{len(keys)} {kind} ({'; '.join(keys[:3])}{'; …' if len(keys) > 3 else ''})"
        for kind, keys in faults.items()
        if keys
    ]
    if found:
        raise UserError(f"{origin}: the weights are not those of this network: {', '.join(found)}")
