"""Where a vocoder's training starts: from nothing, from the universal weights, or from a file."""

from omegaconf import DictConfig

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.module import VocoderModule
from distillgan.vocoder.weights_file import GeneratorWeights, packaged, read_weights

SCRATCH, UNIVERSAL = "scratch", "universal"


def start(module: VocoderModule, settings: DictConfig, spec: MelSpec) -> str:
    """Give the module the starting weights that `settings.init` asks for; returns in words where it starts.

    None asks for the universal weights if there are any that fit this generator.

    Raises UserError if there are none, or they are another generator's or for another mel.
    """
    if settings.init == SCRATCH:
        return "from scratch"
    if settings.init in (None, UNIVERSAL):
        path = packaged(settings.name)
        if path is None and settings.init is None:
            return f"from scratch (there are no universal weights for {settings.name})"
        if path is None:
            raise UserError(f"vocoder.init=universal: there are none for {settings.name}: use vocoder.init=scratch")
        weights, origin = read_weights(path), "from the universal weights"
        different = _differences(weights, settings.name, module.generator.args)
        if settings.init is None and different:
            return f"from scratch (the universal weights are those of another network: {different})"
    else:
        weights = read_weights(str(settings.init))
        origin = f"from {weights.origin}"
        different = _differences(weights, settings.name, module.generator.args)
    if different:
        raise UserError(f"vocoder.init={settings.init}: its weights are those of another network: {different}")
    spec.require(weights.spec, "the configuration", weights.origin)
    module.start_from(weights.tensors, weights.origin, settings.init_rate)
    return origin


def _differences(weights: GeneratorWeights, name: str, arguments: dict) -> str:
    """In words; none if these are the weights of such a network."""
    theirs = weights.arguments
    different = [key for key in sorted(theirs.keys() | arguments.keys()) if theirs.get(key) != arguments.get(key)]
    if weights.name == name and not different:
        return ""
    values = ", ".join(f"{key}={theirs.get(key)} there, {arguments.get(key)} here" for key in different)
    return f"{weights.name} there, {name} here; {values or 'the same arguments'}"
