"""Where a vocoder's training starts: from nothing, or from the weights in a file."""

from omegaconf import DictConfig

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.module import VocoderModule
from distillgan.vocoder.weights_file import read_weights

SCRATCH = "scratch"


def start(module: VocoderModule, settings: DictConfig, spec: MelSpec) -> str:
    """Give the module the starting weights that `settings.init` asks for; returns in words where it starts.

    Raises UserError if there are none, or they are another generator's or for another mel.
    """
    if settings.init == SCRATCH:
        return "from scratch"
    weights, arguments = read_weights(str(settings.init)), module.generator.args
    theirs = weights.arguments
    different = [key for key in sorted(theirs.keys() | arguments.keys()) if theirs.get(key) != arguments.get(key)]
    if weights.name != settings.name or different:
        values = ", ".join(f"{key}={theirs.get(key)} there, {arguments.get(key)} here" for key in different)
        raise UserError(
            f"vocoder.init={settings.init}: its weights are those of another network: {weights.name} there, "
            f"{settings.name} here; {values or 'the same arguments'}"
        )
    spec.require(weights.spec, "the configuration", weights.origin)
    module.start_from(weights.tensors, weights.origin, settings.init_rate)
    return f"from {weights.origin}"
