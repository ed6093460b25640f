"""Which device computes: an explicit choice is kept or refused, never replaced; and what it is."""

import os
import platform
from pathlib import Path

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


def hardware(device: torch.device) -> dict[str, str | int]:
    """What computes here, for a model's header; nothing that tells the machine or its user from others.

    hardware    the GPU's name, or the processor's
    cores       of the processor, as many as this process may use
    torch       its version
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"hardware": name, "cores": cores, "torch": str(torch.__version__)}


def _processor() -> str:
    """Linux alone says it in a file; elsewhere Python knows at least the kind."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text("utf-8", "replace").splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in names if name), platform.processor() or platform.machine() or "unknown")
