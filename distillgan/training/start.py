"""Where a vocoder's training starts: from nothing, from the universal weights, or from a file."""

from omegaconf import DictConfig

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.module import VocoderModule
from distillgan.vocoder.weights_file import GeneratorWeights, packaged, read_weights

SCRATCH, UNIVERSAL = "scratch", "universal"


def start(module: VocoderModule, settings: DictConfig, spec: MelSpec) -> str:
    """Give the module the starting weights that `settings.init` asks for; returns in words where it starts.

    Raises UserError if there are none, or they are another generator's or for another mel.
    """
    name, arguments = settings.name, module.generator.args
    if settings.init == SCRATCH:
        return "from scratch"
    if settings.init is None:
        path = packaged(name)
        if path is None:
            return f"from scratch (there are no universal weights for {name})"
        weights = read_weights(path)
        if weights.arguments != arguments or weights.spec != spec:
            return f"from scratch (the universal {name} has other arguments: {_differences(weights, arguments)})"
        origin = "from the universal weights"
    elif settings.init == UNIVERSAL:
        path = packaged(name)
        if path is None:
            raise UserError(
                f"vocoder.init=universal: there are no universal weights for {name}: use vocoder.init=scratch"
            )
        weights, origin = read_weights(path), "from the universal weights"
    else:
        weights = read_weights(str(settings.init))
        origin = f"from {weights.origin}"
    if weights.name != name or weights.arguments != arguments:
        raise UserError(
            f"vocoder.init={settings.init}: its weights are those of another network: {weights.name}, "
            f"{_differences(weights, arguments) or 'the same arguments'}; here {name}"
        )
    spec.require(weights.spec, "the configuration", weights.origin)
    module.start_from(weights.tensors, weights.origin, settings.init_rate)
    return origin


def _differences(weights: GeneratorWeights, arguments: dict) -> str:
    theirs = weights.arguments
    different = [key for key in sorted(theirs.keys() | arguments.keys()) if theirs.get(key) != arguments.get(key)]
    return ", ".join(f"{key}={theirs.get(key)} there, {arguments.get(key)} here" for key in different)
