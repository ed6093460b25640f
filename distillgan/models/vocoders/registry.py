"""Vocoders out of files, and which of them plays a model: its own, BigVGAN, or the universal one that ships.

A weights file is safetensors, any float precision, whose metadata "distillgan" is the JSON of
{"name", "generator": arguments, "mel": the fields of MelSpec, …}.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.base import Vocoder
from distillgan.models.modelfile import read_model
from distillgan.models.plugins import VOCODERS, kinds, load
from distillgan.paths import MODEL_SUFFIX, Home, current_kind
from distillgan.progress import Cancelled, OnTransfer
from distillgan.vendor import bigvgan

if TYPE_CHECKING:
    from distillgan.models.vocoders.weights import Weights

UNIVERSAL = "harmonic"  # the generator whose packaged weights play a model without a vocoder of its own
_PIN = Path(bigvgan.__file__).with_name("PIN")
_PACKAGED = Path(__file__).resolve().parent / "universal"


def load_own(description: Mapping[str, Any], tensors: Mapping[str, Tensor], spec: MelSpec) -> Vocoder:
    """A model's own vocoder, from its header's `vocoder` and the file's tensors (those named vocoder.* are taken).

    Raises UserError if its kind is not here, or its parts do not fit together or to `spec`.
    """
    state = {key.removeprefix("vocoder."): tensor for key, tensor in tensors.items() if key.startswith("vocoder.")}
    return load(VOCODERS, description, Vocoder).from_state(description["generator"], state, spec)


@dataclass(frozen=True)
class GeneratorWeights:
    """A generator as plain weights: where from, its header's `vocoder`, its mel, its tensors by their own names."""

    origin: str
    description: dict[str, Any]
    spec: MelSpec
    tensors: dict[str, Tensor]

    @property
    def name(self) -> str:
        return self.description["name"]

    @property
    def arguments(self) -> dict[str, Any]:
        return self.description["generator"]

    def vocoder(self) -> Vocoder:
        """The generator behind the contract. Raises UserError, naming the origin, if the parts do not fit together."""
        try:
            return load(VOCODERS, self.description, Vocoder).from_state(self.arguments, self.tensors, self.spec)
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
        return GeneratorWeights(str(path), header.vocoder, header.mel, plain)
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
    return GeneratorWeights(str(path), {**about, "name": current_kind(about["name"])}, spec, tensors)


def playable() -> list[str]:
    """What `vocoder=` takes to play a model: three choices, and each kind of an own vocoder."""
    return ["auto", "bigvgan", "universal", *kinds(VOCODERS)]


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

    `own` is that of the model itself, if it has one; `spec` is the model's mel. `auto` takes the model's own, else
    BigVGAN if its weights are there or can be had, else the small universal one. `progress` follows a download.

    Raises:
        UserError: there is no such vocoder for this model, its weights cannot be had, or its mel is another.
    """
    name = current_kind(settings["name"])
    if own is not None and name in ("auto", own.name):
        return Selected(own.name, own, "the model's own" if name == "auto" else "as asked for")
    if name == "universal":
        return Selected(name, _universal(spec, str(device)), "as asked for")
    if name not in ("auto", "bigvgan"):
        if name not in kinds(VOCODERS):
            raise UserError(f"vocoder={name or 'none'} cannot play: choose one of {', '.join(playable())}")
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
