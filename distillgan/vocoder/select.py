"""Which vocoder plays a model (DESIGN 6): an explicit choice is kept or refused, `auto` says what it took and why."""

import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.paths import Home, vendor_dir
from distillgan.progress import Cancelled, OnTransfer
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.own import OWN
from distillgan.vocoder.release import Release
from distillgan.vocoder.trained import TrainedVocoder
from distillgan.vocoder.weights_file import UNIVERSAL, read_packaged

if typing.TYPE_CHECKING:
    from distillgan.vocoder.weights import Weights

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
    own: TrainedVocoder | None,
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
    name = settings["name"]
    if name not in NAMES:
        raise UserError(f"vocoder={name or 'none'} cannot play: choose one of {', '.join(NAMES)}")
    if own is not None and name in ("auto", own.name):
        return Selected(own.name, own, "the model's own" if name == "auto" else "as asked for")
    if name == "universal":
        return Selected(name, _universal(spec, str(device)), "as asked for")
    if name not in ("auto", "bigvgan"):
        given = "has no vocoder of its own yet" if own is None else f"has a {own.name} of its own, not a {name}"
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
    from distillgan.vocoder.weights import Weights

    pin, folder = _path("vocoder.pin", settings["pin"]), _path("vocoder.weights_dir", settings["weights_dir"])
    release = Release.read(vendor_dir() / "bigvgan" / "PIN" if pin is None else pin)
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
    from distillgan.vocoder.bigvgan import BigVGANVocoder

    return BigVGANVocoder.from_files(config, checkpoint, spec).to(device)


@functools.lru_cache(maxsize=1)
def _universal(spec: MelSpec, device: str) -> Vocoder:
    """The packaged one, built once a process."""
    weights = read_packaged(UNIVERSAL)
    spec.require(weights.spec, "the model", "the universal vocoder")
    return weights.vocoder().to(device)
