"""Where a vocoder's training starts: from nothing, from the universal weights, or from a file."""

from pathlib import Path

from omegaconf import DictConfig

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.paths import MODEL_SUFFIX
from distillgan.vocoder.module import VocoderModule
from distillgan.vocoder.weights_file import GeneratorWeights, read_packaged, read_weights

SCRATCH, UNIVERSAL = "scratch", "universal"


def start(module: VocoderModule, settings: DictConfig, spec: MelSpec, models: Path) -> str:
    """Give the module the starting weights that `settings.init` asks for; returns in words where it starts.

    None asks for the universal weights if there are any that fit this generator. A model is named as a file, or by its
    name in the folder `models`.

    Raises UserError if there are none, or they are another generator's or for another mel.
    """
    name, init = settings.name, settings.init
    if init == SCRATCH:
        return "from scratch"
    if init in (None, UNIVERSAL):
        weights, origin = read_packaged(name), "from the universal weights"
        if weights is None and init is None:
            return f"from scratch (there are no universal weights for {name})"
        if weights is None:
            raise UserError(f"vocoder.init=universal: there are none for {name}: use vocoder.init=scratch")
    else:
        path = models / f"{init}{MODEL_SUFFIX}"
        try:
            weights = read_weights(path if path.is_file() else str(init))
        except UserError as error:
            raise UserError(f"vocoder.init={init}: {error}") from error
        origin = f"from {weights.origin}"
    different = _differences(weights, name, module.generator.args)
    if different and init is None:
        return f"from scratch (the universal weights are those of another network: {different})"
    if different:
        raise UserError(f"vocoder.init={init}: its weights are those of another network: {different}")
    spec.require(weights.spec, "the configuration", weights.origin)
    module.start_from(weights.tensors, weights.origin, settings.init_rate)
    return origin


def go_on(settings: DictConfig) -> str:
    """In words: a training that has a checkpoint starts from nothing else."""
    if settings.init is None:
        return "on from its last checkpoint"
    return f"on from its last checkpoint (vocoder.init={settings.init} was for the beginning: resume=never begins anew)"


def _differences(weights: GeneratorWeights, name: str, arguments: dict) -> str:
    """In words; none if these are the weights of such a network."""
    if weights.name != name:
        return f"{weights.name} there, {name} here"
    theirs = weights.arguments
    different = [key for key in sorted(theirs.keys() | arguments.keys()) if theirs.get(key) != arguments.get(key)]
    return ", ".join(f"{key}={theirs.get(key)} there, {arguments.get(key)} here" for key in different)
