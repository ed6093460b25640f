"""Weights that a vocoder can start from, or play with as it is: those that ship with the package, or a file of them.

A weights file is safetensors, any float precision, whose metadata "distillgan" is the JSON of
{"name", "generator": arguments, "mel": the fields of MelSpec, …}.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.modelfile import read_model
from distillgan.paths import MODEL_SUFFIX
from distillgan.vocoder.own import load_own
from distillgan.vocoder.trained import TrainedVocoder

UNIVERSAL = "vocos"  # the generator whose packaged weights play a model without a vocoder of its own
_PACKAGED = Path(__file__).resolve().parent / "universal"


@dataclass(frozen=True)
class GeneratorWeights:
    """A generator as plain weights: which, its arguments, its mel, its tensors by the generator's own names."""

    origin: str
    name: str
    arguments: dict
    spec: MelSpec
    tensors: dict[str, Tensor]

    def vocoder(self) -> TrainedVocoder:
        """The generator behind the contract. Raises UserError, naming the origin, if the parts do not fit together."""
        state = {f"vocoder.{key}": tensor for key, tensor in self.tensors.items()}
        try:
            return load_own({"name": self.name, "generator": self.arguments}, state, self.spec)
        except UserError as error:
            raise UserError(f"{self.origin}: {error}") from error


def packaged(name: str) -> Path | None:
    """The weights of the generator `name` that ship with the package, if there are any."""
    path = _PACKAGED / f"{name}.safetensors"
    return path if path.is_file() else None


def read_packaged(name: str) -> GeneratorWeights | None:
    """The weights of the generator `name` that ship with the package, if there are any.

    Raises UserError if they are damaged.
    """
    path = packaged(name)
    if path is None:
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != path.with_suffix(".sha256").read_text().strip():
        raise UserError(f"{path} is damaged: install distillgan again")
    return read_weights(path)


def read_weights(path: str | Path) -> GeneratorWeights:
    """A weights file, or the vocoder of a model file; no code in either is run.

    Raises UserError, naming the file and the fault.
    """
    path = Path(path).expanduser()
    if path.suffix == MODEL_SUFFIX:
        header, tensors = read_model(path, "vocoder.")
        if header.vocoder is None:
            raise UserError(f"{path}: the model has no vocoder of its own to start from")
        plain = {key.removeprefix("vocoder."): tensor for key, tensor in tensors.items()}
        return GeneratorWeights(str(path), header.vocoder["name"], header.vocoder["generator"], header.mel, plain)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of vocoder weights")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("distillgan", "null"))
            tensors = {key: file.get_tensor(key).float() for key in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: is no whole file of vocoder weights ({error})") from error
    wanted = {"name": str, "generator": dict, "mel": dict}
    if not isinstance(about, dict) or any(not isinstance(about.get(key), kind) for key, kind in wanted.items()):
        raise UserError(f"{path}: does not say which vocoder its weights belong to")
    try:
        spec = MelSpec.from_dict(about["mel"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return GeneratorWeights(str(path), about["name"], about["generator"], spec, tensors)
