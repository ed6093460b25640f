"""A generator's fast form where there is one that is faster and equal, else the generator itself."""

import logging
import platform
from collections.abc import Callable

import torch
from torch import Tensor, nn

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
    """Are the fast forms for this machine, and for tensors such as this one?"""
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
