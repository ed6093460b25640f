"""The vocoders that can be trained: a generator with plain weights behind the contract, as a model file keeps it."""

import inspect
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.checkpoint import check_tensors, fold_weight_norm
from distillgan.vocoder.fast import FastForm, Function


class TrainedVocoder(Vocoder):
    """A generator behind the mel → wave contract; a subclass has a `name` and its `generator_type`.

    Such a generator maps log-clamp mel [B, num_mels, T] to wave [B, 1, T * hop_length] and has

        args                 its arguments as plain types; those named as fields of MelSpec are the mel's
        num_mels, hop_length, context_frames
        draws(mel, random)   its waves of one mel: one of a deterministic generator, two independent ones of another
        add_weight_norm()    reparametrises it for training
        export_state()       its plain weights, float32 on the CPU

    A subclass may also name a `fast_form`: from a generator it makes the same function, faster on a CPU (see FastForm).
    """

    name: ClassVar[str]
    generator_type: ClassVar[type[nn.Module]]
    fast_form: ClassVar[Callable[[nn.Module], Function] | None] = None

    def __init__(self, generator: nn.Module, spec: MelSpec):
        super().__init__(spec, generator.context_frames)
        self.generator = generator
        self._fast = FastForm(type(self).fast_form)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, mel: Tensor) -> Tensor:
        return self._fast(self.generator, mel)

    @classmethod
    def from_state(cls, args: dict, tensors: dict[str, Tensor], spec: MelSpec) -> "TrainedVocoder":
        """Build from the generator's `args` and `export_state()`, as a model file keeps them.

        Raises UserError if they do not belong together or to `spec`.
        """
        origin = "the model's vocoder"
        known = list(inspect.signature(cls.generator_type).parameters)
        wrong = sorted(set(args) ^ set(known))
        if wrong:
            raise UserError(f"{origin}: the arguments {wrong} are missing or unknown; expected {known}")
        try:
            generator = cls._blank(args, spec)
        except UserError as error:
            raise UserError(f"{origin}: {error}") from error
        return cls._filled(generator, tensors, spec, origin)

    @classmethod
    def _blank(cls, args: dict, spec: MelSpec) -> nn.Module:
        # On the meta device nothing is allocated or drawn at random before the weights are known to fit.
        with torch.device("meta"):
            generator = cls.generator_type(**args)
        check_mel(generator, spec)
        return generator

    @classmethod
    def _filled(cls, generator: nn.Module, tensors: dict[str, Tensor], spec: MelSpec, origin: str) -> "TrainedVocoder":
        tensors = fold_weight_norm(tensors, origin)
        check_tensors(tensors, generator.state_dict(), origin)
        generator.load_state_dict(tensors, strict=True, assign=True)
        return cls(generator, spec)


def check_mel(generator: nn.Module, spec: MelSpec) -> None:
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
