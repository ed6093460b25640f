"""The universal vocoder: BigVGAN-v2 (Lee et al. 2023) with released weights, behind the mel → wave contract."""

import math
from pathlib import Path

from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.base import Vocoder, blank, filled
from distillgan.models.vocoders.trained import (
    TOPOLOGY,
    checked_topology,
    context_frames,
    fold_weight_norm,
    read_checkpoint,
    read_config,
)
from distillgan.vendor.bigvgan.generator import ACTIVATIONS, BigVGANGenerator


class BigVGANVocoder(Vocoder):
    """A BigVGANGenerator with plain weights behind the mel → wave contract."""

    def __init__(self, generator: BigVGANGenerator, spec: MelSpec, context_frames: int):
        super().__init__(spec, context_frames)
        self.generator = generator
        self.eval().requires_grad_(False)

    def forward(self, mel: Tensor) -> Tensor:
        return self.generator(mel)

    @classmethod
    def from_files(
        cls, config_json: str | Path, checkpoint: str | Path, spec: MelSpec | None = None
    ) -> "BigVGANVocoder":
        """Load a release's config.json and bigvgan_generator.pt, as `HiFiGANVocoder.from_files` theirs.

        Raises UserError, naming the file and the fault.
        """
        spec = spec or MelSpec()
        config = Path(config_json)
        try:
            args = _read_args(config, spec)
        except UserError as error:
            raise UserError(f"{config}: {error}") from error
        generator = blank(BigVGANGenerator, args)
        filled(generator, fold_weight_norm(read_checkpoint(Path(checkpoint)), str(checkpoint)), str(checkpoint))
        before, reaches, after = generator.reaches
        return cls(generator, spec, context_frames(args, before, reaches, after))


def _read_args(path: Path, spec: MelSpec) -> dict:
    """The generator's arguments out of the release's config.json, whose mel must be `spec`."""
    config = read_config(path, (*TOPOLOGY, "activation", "snake_logscale"), spec)
    args = checked_topology(config)
    hop_length = math.prod(args["upsample_rates"])
    if hop_length != spec.hop_length:
        raise UserError(
            f"upsample_rates={args['upsample_rates']} multiply to {hop_length} samples a frame, but the mel has "
            f"hop_length={spec.hop_length}"
        )
    if config["activation"] not in ACTIVATIONS:
        raise UserError(f"activation={config['activation']!r} must be one of {list(ACTIVATIONS)}")
    # The first version's configs do not name the last two: it has a tanh and a bias.
    switches = {"snake_logscale": None, "use_tanh_at_final": True, "use_bias_at_final": True}
    switches = {key: config.get(key, default) for key, default in switches.items()}
    for key, value in switches.items():
        if not isinstance(value, bool):
            raise UserError(f"{key}={value!r} must be true or false")
    return {**args, "activation": config["activation"], **switches}
