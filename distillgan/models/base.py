"""The two contracts, `LatentModel` (mel ↔ latent sequence) and `Vocoder` (mel → wave), and what both are made with."""

import inspect
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.optim.swa_utils import AveragedModel

from distillgan.audio.mel import MelSpec
from distillgan.compute import counted, in_order
from distillgan.errors import UserError
from distillgan.models.plugins import VAE

Network = TypeVar("Network", bound=nn.Module)

_Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the network's weights; call `update_parameters(network)` after each step.

    The decay rises from 0.1 to `decay`, so that the first weights do not linger in a short run.
    """

    @torch.no_grad()
    def update(average: _Tensors, current: _Tensors, count: Tensor | int) -> None:
        ramp = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(average, current, 1 - ramp)

    return AveragedModel(network, multi_avg_fn=update).requires_grad_(False)


def check_arguments(network: type[nn.Module], arguments: Mapping[str, Any]) -> None:
    """Raises UserError unless these are the arguments of the network's constructor, all of them."""
    known = list(inspect.signature(network).parameters)
    wrong = sorted(set(arguments) ^ set(known))
    if wrong:
        raise UserError(f"the arguments {wrong} are missing or unknown; expected {known}")


def blank(network: type[Network], arguments: Mapping[str, Any]) -> Network:
    """The network of these arguments on the meta device: nothing is allocated or drawn before weights are known to fit.

    Raises UserError if an argument is missing, unknown or refused.
    """
    check_arguments(network, arguments)
    try:
        with torch.device("meta"):
            return network(**arguments)
    except (RuntimeError, TypeError, ValueError) as error:  # torch's own words for impossible sizes, or another's code
        raise UserError(f"it cannot be built: {error}") from error


def filled(network: Network, tensors: Mapping[str, Tensor], origin: str) -> Network:
    """The blank network with these weights. Raises UserError, naming `origin`, unless they are all of its own."""
    check_tensors(tensors, network.state_dict(), origin)
    network.load_state_dict(tensors, assign=True)
    return network


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


class LatentModel(nn.Module, ABC):
    """log1p mel [B, n_mels, T] ↔ latent sequence [B, latent_dim, L] with L = ceil(T / stride).

    The latent keeps time, so any T decodes, and what lies more than `context_frames` away changes nothing: long sounds
    are encoded and decoded in blocks whose results equal the whole. A subclass sets, in its constructor or as
    properties,

        latent_dim       channels of the latent sequence
        stride           mel frames a latent frame
        context_frames   latent frames on either side that decide on a frame's latent or mel; 0 if none do

    and has a `name`, by which the configuration and files name it. A model file holds the constructor's arguments as
    its header's `vae`, the name as `latent_model` (with distribution and version, of a kind from another package), and
    the state dict as tensors `vae.*`. Loading builds it on the meta device first: a buffer that is in no state dict
    must be made on a device of its own.
    """

    name: ClassVar[str]
    latent_dim: int
    stride: int
    context_frames: int

    @abstractmethod
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log1p mel [B, n_mels, T] → mean and log variance of the latent, each [B, latent_dim, L].

        One that draws nothing gives a log variance of -12 everywhere.
        """

    @abstractmethod
    def decode(self, z: Tensor, frames: int) -> Tensor:
        """Latent sequence [B, latent_dim, L] → log1p mel [B, n_mels, frames]; ValueError if frames > L · stride."""

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a mel of `frames` frames."""
        return -(-frames // self.stride)

    @classmethod
    def from_state(cls, arguments: Mapping[str, Any], tensors: Mapping[str, Tensor], origin: str) -> Self:
        """From a header's arguments and the state dict, for inference. Raises UserError, naming `origin`."""
        called = "VAE" if cls.name == VAE else f"latent model {cls.name}"
        try:
            network = blank(cls, arguments)
        except UserError as error:
            raise UserError(f"{origin}: its header describes no {called} that this version knows: {error}") from error
        return filled(network, tensors, f"{origin}: the {called}").eval().requires_grad_(False)


class Vocoder(nn.Module, ABC):
    """Log-clamp mel [B, n_mels, T] → wave [B, 1, T * hop_length] in -1…1, at `spec.sample_rate`.

    A subclass implements `forward` for a whole mel and states `context_frames`: how many frames on each side of a
    block make the block's samples equal those of the whole. It is for inference only: no gradients, eval mode.
    It has a parameter or a buffer, and plays on the device where the first of them lies.

    One whose operations are small sets `side_by_side`: on a CPU several blocks are then rendered at once, a thread
    each. What rounds otherwise with another number of threads it does by `compute.counted`: so the samples stay the
    same.

    A kind that model files hold has a `name`, too, and `from_state`; `TrainedVocoder` is the base class of those that
    are trained. A file holds the generator's arguments as its header's `vocoder["generator"]`, beside the name (and
    distribution and version, of a kind from another package), and the weights as tensors `vocoder.*`.
    """

    name: ClassVar[str] = ""
    side_by_side: ClassVar[bool] = False

    def __init__(self, spec: MelSpec, context_frames: int):
        super().__init__()
        self.spec = spec
        self.context_frames = context_frames

    @abstractmethod
    def forward(self, mel: Tensor) -> Tensor:
        """Log-clamp mel [B, n_mels, T] → wave [B, 1, T * hop_length]."""

    @classmethod
    def from_state(cls, arguments: Mapping[str, Any], tensors: Mapping[str, Tensor], spec: MelSpec) -> Self:
        """From what a file holds: the generator's arguments, and the tensors without their prefix.

        Raises UserError if they do not belong together or to `spec`.
        """
        raise UserError(f"{cls.__name__} is not made to be kept in files: it has no from_state")

    def carried(self, mel: Tensor, state: Any = None) -> tuple[Tensor | None, Any]:
        """What the frames of mel [B, n_mels, T] owe to all frames before them, [B, C, T] or None, and the next state.

        It is called with that state for the frames that come next. Without a state they are the first.
        """
        return None, None

    def block(self, mel: Tensor, carried: Tensor | None, first: int) -> Tensor:
        """As `forward`, for the frames from number `first` on of a longer mel; `carried` is of these frames."""
        return self(mel)

    def inner_block(self, mel: Tensor, carried: Tensor | None, first: int, context: tuple[int, int]) -> Tensor:
        """As `block`, without the wave of so many frames of context before and after.

        A vocoder that need not make that wave to begin with overrides it.
        """
        before, after = (frames * self.spec.hop_length for frames in context)
        wave = self.block(mel, carried, first)
        return wave[..., before : wave.shape[-1] - after].clone()

    @torch.no_grad()
    def stream(self, mels: Iterable[Tensor]) -> Iterator[Tensor]:
        """The wave of a mel that comes in blocks [B, n_mels, t], in order, a block [B, 1, t * hop_length] for each.

        The mels may lie on another device than the vocoder; the wave is on the vocoder's. Blocks of no frames are
        passed over. Each block is rendered with `context_frames` more frames on each side, so the blocks joined equal
        `self(the mels joined)`. It comes as soon as the frames after it are there: nothing else is kept, so memory
        depends on the blocks' lengths, not on their number.

        Raises:
            UserError: a mel has NaN or infinite values, which is no sound to any vocoder.
        """
        together = self.side_by_side and self._device.type == "cpu"
        render = self._rendered if together else partial(counted, self._rendered)
        with closing(in_order(render, self._pieces(mels), together)) as waves:
            yield from waves

    def iterate(self, mel: Tensor, block_frames: int = 256) -> Iterator[Tensor]:
        """The wave of mel [B, n_mels, T] as `stream` gives it, for blocks of `block_frames` (the last shorter).

        Raises ValueError if block_frames is below 1.
        """
        if block_frames < 1:
            raise ValueError(f"block_frames={block_frames} must be at least 1")
        return self.stream(mel.split(block_frames, dim=-1))

    def render(self, mel: Tensor, block_frames: int = 256) -> Tensor:
        """Mel [B, n_mels, T] → wave [B, 1, T * hop_length], rendered by `iterate`."""
        return torch.cat(list(self.iterate(mel, block_frames)), dim=-1)

    @property
    def _device(self) -> torch.device:
        return next(chain(self.parameters(), self.buffers())).device

    def _pieces(self, mels: Iterable[Tensor]) -> Iterator["_Piece"]:
        """What is to be rendered, in order, each as soon as the frames after it are there."""
        window, state, device = _Window(self.context_frames), None, self._device
        lengths: deque[int] = deque()
        for mel in mels:
            if not mel.shape[-1]:
                continue
            if not torch.isfinite(mel).all():
                raise UserError(
                    "the mel that is to be played has NaN or infinite values: the VAE that made it has diverged. Train "
                    "it with a lower learning rate (model.module.lr, half of it), or go back to an earlier model"
                )
            mel = mel.to(device)
            carried, state = counted(self.carried, mel, state)
            window.append(mel, carried)
            lengths.append(mel.shape[-1])
            while lengths and window.has_context(lengths[0]):
                yield window.cut(lengths.popleft())
        # At the true ends no context is made up: the network pads there exactly as it does for the whole.
        while lengths:
            yield window.cut(lengths.popleft())

    def _rendered(self, piece: "_Piece") -> Tensor:
        # By itself CUDA rounds convolutions to 10 bits (TF32), and may add in another order each time.
        with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False) if piece.mel.is_cuda else nullcontext():
            return self.inner_block(piece.mel, piece.carried, piece.first, piece.context)


@dataclass(frozen=True)
class _Piece:
    """Frames to be rendered, with their context.

    Mel [B, n_mels, T], what they owe to those before them, the number of the first of the T frames in the whole stream,
    and how many frames of context there are before and after.
    """

    mel: Tensor
    carried: Tensor | None
    first: int
    context: tuple[int, int]


class _Window:
    """The frames of a stream that are still wanted: those not rendered yet, and `context` before them.

    `start` is the number, in the whole stream, of the first frame that is not rendered yet.
    """

    def __init__(self, context: int):
        self.context, self.start = context, 0
        self._left = 0  # frames kept before `start`
        self._mel: Tensor | None = None
        self._carried: Tensor | None = None

    def append(self, mel: Tensor, carried: Tensor | None) -> None:
        self._mel = mel if self._mel is None else torch.cat([self._mel, mel], -1)
        if carried is not None:
            self._carried = carried if self._carried is None else torch.cat([self._carried, carried], -1)

    def has_context(self, length: int) -> bool:
        """Whether all of the context after the next `length` frames is there."""
        return self._mel is not None and self._left + length + self.context <= self._mel.shape[-1]

    def cut(self, length: int) -> _Piece:
        """The next `length` frames with what there is of context; those that are no longer context are let go of."""
        assert self._mel is not None, "there are no frames before the first `append`"
        right, left = self._left + length + self.context, self._left
        carried = None if self._carried is None else self._carried[..., :right]
        mel = self._mel[..., :right]
        piece = _Piece(mel, carried, self.start - left, (left, mel.shape[-1] - left - length))
        self.start, self._left = self.start + length, self._left + length
        surplus = max(0, self._left - self.context)
        self._mel = self._mel[..., surplus:]
        if self._carried is not None:
            self._carried = self._carried[..., surplus:]
        self._left -= surplus
        return piece
