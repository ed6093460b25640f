"""Which vocoder plays a model (DESIGN 6): an explicit choice is kept or refused, `auto` says what it took and why."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.paths import Home, vendor_dir
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.download import Progress
from distillgan.vocoder.release import Release
from distillgan.vocoder.weights import Weights

NAMES = ("auto", "bigvgan", "hifigan")


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
    progress: Progress | None = None,
) -> Selected:
    """The vocoder that the node `vocoder` of a configuration asks for.

    `own` is that of the model itself, if it has one; `spec` is the model's mel. `auto` takes it, else BigVGAN if its
    weights are there or can be had. `progress` is told of their download.

    Raises:
        UserError: there is no such vocoder for this model, its weights cannot be had, or its mel is another.
    """
    name = settings["name"]
    if name not in NAMES:
        raise UserError(f"vocoder={name or 'none'} cannot play: choose one of {', '.join(NAMES)}")
    if name == "hifigan" and own is None:
        raise UserError(
            f"model {model} has no vocoder of its own yet: train one with `distillgan train-vocoder {model}`, "
            "or use vocoder=bigvgan"
        )
    if own is not None and name != "bigvgan":
        return Selected("hifigan", own, "the model's own" if name == "auto" else "as asked for")
    weights = open_weights(settings, home)
    reason = "as asked for"
    if name == "auto":
        there = "its weights are here" if weights.here() else "its weights could be fetched"
        reason = f"model {model} has no vocoder of its own, {there}"
    try:
        config, checkpoint = weights.get(progress)
    except UserError as error:
        if name == "bigvgan":
            raise
        raise UserError(
            f"nothing can play model {model}: it has no vocoder of its own (train one: "
            f"`distillgan train-vocoder {model}`), and BigVGAN's weights are not here:\n{error}"
        ) from error
    return Selected("bigvgan", _universal(config, checkpoint, spec, str(device)), reason)


def open_weights(settings: Mapping, home: Home) -> Weights:
    """BigVGAN's weights as the settings `pin` and `weights_dir` say. Raises UserError if the pin cannot be read."""
    release = Release.read(settings["pin"] or vendor_dir() / "bigvgan" / "PIN")
    return Weights(release, home.root / "cache" / "weights.json", settings["weights_dir"])


@functools.lru_cache(maxsize=1)
def _universal(config: Path, checkpoint: Path, spec: MelSpec, device: str) -> Vocoder:
    """Built once a process: reading 122 M parameters takes seconds."""
    # Its fused activation brings numba along, half a second that a model with a vocoder of its own need not wait.
    from distillgan.vocoder.bigvgan import BigVGANVocoder

    return BigVGANVocoder.from_files(config, checkpoint, spec).to(device)
