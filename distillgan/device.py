"""Which device computes: an explicit choice is kept or refused, never replaced."""

import torch

from distillgan.errors import UserError


def resolve(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `mps` → a device that is there; `auto` takes cuda, else mps, else the CPU.

    Raises:
        UserError: the named device is unknown, or this machine or this build of PyTorch has none.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if name not in there:
        raise UserError(f"device={name!r} is none of auto, {', '.join(sorted(there))}")
    if not there[name]:
        raise UserError(
            f"device={name} was asked for, but PyTorch {torch.__version__} sees none on this machine: "
            "use device=auto or device=cpu"
        )
    return torch.device(name)
