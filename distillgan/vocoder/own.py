"""A model's own vocoder out of its file: which class its header names."""

from collections.abc import Mapping

from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.vocoder.hifigan import HiFiGANVocoder
from distillgan.vocoder.trained import TrainedVocoder
from distillgan.vocoder.vocos import VocosVocoder

# A file names its vocoder in words: a path to a class, as in the configuration, would let it choose what is run.
_TYPES: dict[str, type[TrainedVocoder]] = {kind.name: kind for kind in (HiFiGANVocoder, VocosVocoder)}
OWN = tuple(_TYPES)


def load_own(description: Mapping, tensors: Mapping[str, Tensor], spec: MelSpec) -> TrainedVocoder:
    """From a header's {"name", "generator": arguments} and the file's tensors (those named vocoder.* are taken).

    Raises UserError if there is no such vocoder, or its parts do not fit together or to `spec`.
    """
    name = description["name"]
    if name not in _TYPES:
        raise UserError(f"its vocoder {name!r} is none that this version knows ({', '.join(_TYPES)})")
    state = {key.removeprefix("vocoder."): value for key, value in tensors.items() if key.startswith("vocoder.")}
    try:
        return _TYPES[name].from_state(description["generator"], state, spec)
    except RuntimeError as error:  # torch's own words for impossible sizes
        raise UserError(f"its vocoder cannot be built: {error}") from error
