"""Which vocoder plays a model: its own, BigVGAN, or the universal one that ships.

A model's own vocoder out of its file: which class its header names.

Weights that a vocoder can start from, or play with as it is: those that ship with the package, or a file of them.

A weights file is safetensors, any float precision, whose metadata "distillgan" is the JSON of
{"name", "generator": arguments, "mel": the fields of MelSpec, …}.

Which vocoder plays a model: an explicit choice is kept or refused, `auto` says what it took and why.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.base import Vocoder
from distillgan.models.modelfile import read_model
from distillgan.models.vocoders.harmonic import HarmonicVocoder
from distillgan.models.vocoders.hifigan import HiFiGANVocoder
from distillgan.models.vocoders.trained import TrainedVocoder
from distillgan.paths import MODEL_SUFFIX, Home, current_kind
from distillgan.progress import Cancelled, OnTransfer
from distillgan.vendor import bigvgan

if TYPE_CHECKING:
    from distillgan.models.vocoders.weights import Weights


# A file names its vocoder in words: a path to a class, as in the configuration, would let it choose what is run.
_TYPES: dict[str, type[TrainedVocoder]] = {kind.name: kind for kind in (HiFiGANVocoder, HarmonicVocoder)}
OWN = tuple(_TYPES)
_PIN = Path(bigvgan.__file__).with_name("PIN")


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


UNIVERSAL = "harmonic"  # the generator whose packaged weights play a model without a vocoder of its own
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
    return GeneratorWeights(str(path), current_kind(about["name"]), about["generator"], spec, tensors)


NAMES = ("auto", "bigvgan", "universal", *OWN)


@dataclass(frozen=True)
class Selected:
    """A vocoder ready to play, its name, and why it is this one."""

    name: str
    vocoder: Vocoder
    reason: str


def select(
    settings: Mapping,
    model: str,
    own: Vocoder | None,
    spec: MelSpec,
    home: Home,
    device: torch.device,
    progress: OnTransfer | None = None,
) -> Selected:
    """The vocoder that the node `vocoder` of a configuration asks for.

    `own` is that of the model itself, if it has one; `spec` is the model's mel. `auto` takes it, else BigVGAN if its
    weights are there or can be had, else the small universal one that ships with the package. `progress` is told of a
    download.

    Raises:
        UserError: there is no such vocoder for this model, its weights cannot be had, or its mel is another.
    """
    name = current_kind(settings["name"])
    if name not in NAMES:
        raise UserError(f"vocoder={name or 'none'} cannot play: choose one of {', '.join(NAMES)}")
    if own is not None and name in ("auto", own.name):
        return Selected(own.name, own, "the model's own" if name == "auto" else "as asked for")
    if name == "universal":
        return Selected(name, _universal(spec, str(device)), "as asked for")
    if name not in ("auto", "bigvgan"):
        given = "has no vocoder of its own yet" if own is None else f"has {own.name} of its own, not {name}"
        train = f"distillgan train-vocoder {model} vocoder={name}"
        raise UserError(f"model {model} {given}: train one with `{train}`, or use vocoder=auto")
    weights, none = open_weights(settings, home), f"model {model} has no vocoder of its own"
    there = "are here" if weights.here() else "were fetched"
    try:
        files = weights.get(progress)
    except Cancelled:  # whoever does not want to wait may not want another vocoder either
        raise
    except UserError as error:
        if name == "bigvgan":
            raise
        why = str(error).partition("\n")[0]
        return Selected("universal", _universal(spec, str(device)), f"{none}, and BigVGAN cannot play: {why}")
    reason = "as asked for" if name == "bigvgan" else f"{none}, and BigVGAN's weights {there}"
    return Selected("bigvgan", _bigvgan(*files, spec, str(device)), reason)


def open_weights(settings: Mapping, home: Home) -> "Weights":
    """BigVGAN's weights as the settings `pin` and `weights_dir` say. Raises UserError if a path or the pin is none."""
    # It brings the hub's client along, a tenth of a second that who has a vocoder need not wait.
    from distillgan.models.vocoders.weights import Release, Weights

    pin, folder = _path("vocoder.pin", settings["pin"]), _path("vocoder.weights_dir", settings["weights_dir"])
    release = Release.read(_PIN if pin is None else pin)
    return Weights(release, home.root / "cache" / "weights.json", folder)


def _path(key: str, value: object) -> Path | None:
    """A path out of the configuration (where a name of digits is a number), or None for null."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip() or "\0" in str(value):
        raise UserError(f"{key}={value!r} must be a path, or left out")
    try:
        return Path(str(value)).expanduser()
    except RuntimeError as error:
        raise UserError(f"{key}={value}: {error}") from error


@functools.lru_cache(maxsize=1)
def _bigvgan(config: Path, checkpoint: Path, spec: MelSpec, device: str) -> Vocoder:
    """Built once a process: reading 122 M parameters takes a while."""
    # Its fused activation brings numba along, half a second that a model with a vocoder of its own need not wait.
    from distillgan.models.vocoders.bigvgan import BigVGANVocoder

    return BigVGANVocoder.from_files(config, checkpoint, spec).to(device)


@functools.lru_cache(maxsize=1)
def _universal(spec: MelSpec, device: str) -> Vocoder:
    """The packaged one, built once a process."""
    weights = read_packaged(UNIVERSAL)
    spec.require(weights.spec, "the model", "the universal vocoder")
    return weights.vocoder().to(device)
