"""What made a sound and what it is like: kept beside it, in the history and, where it is needed again, within it."""

import json
from collections.abc import Mapping
from typing import Any

import torch

from distillgan import __version__
from distillgan.data.generated import MARK
from distillgan.render.export import Exported
from distillgan.render.inspect import Report
from distillgan.render.normalization import Level
from distillgan.render.piece import Piece, Reconstruction

_WITHIN = ("settings", "models", "vocoder", "device", "seed", "versions")


def origin_of(settings: Mapping[str, Any], piece: Piece | Reconstruction, vocoder: str, device: str) -> dict[str, Any]:
    """What a sound comes of, as plain values. settings: those that tell `generate` to make it again."""
    return {
        "settings": dict(settings),
        **piece.parameters(),
        "vocoder": vocoder,
        "device": device,
        "seed": settings["seed"] if isinstance(piece, Piece) else None,
        "versions": {"distillgan": __version__, "torch": str(torch.__version__)},
    }


def account_of(
    origin: Mapping[str, Any], piece: Piece | Reconstruction, made: Exported, report: Report
) -> dict[str, Any]:
    """The origin, and how it went."""
    return {
        **origin,
        "sample_rate": origin["settings"]["export"]["sample_rate"],
        "duration": piece.samples / piece.spec.sample_rate,  # asked for: what is broken off is not a shorter sound
        "seconds": made.seconds,
        "interrupted": made.interrupted,
        "gain_db": made.gain_db,
        "level": made.level.to_dict(),
        "sound": made.digest,
        "check": report.to_dict(),
    }


def comment_of(origin: Mapping[str, Any], digest: str, interrupted: bool, level: Level) -> str:
    """What a file says of itself in its tags: enough to make it again. Of paths only the names."""
    settings = dict(origin["settings"])
    settings["recording"] = _name(settings.get("recording"))
    settings["spatial"] = {key: _name(value) for key, value in settings["spatial"].items()}
    within = {**{key: origin[key] for key in _WITHIN}, "settings": settings}
    went = {"sound": digest, "interrupted": interrupted, "gain_db": level.gain_db, "level": level.to_dict()}
    return json.dumps({MARK: __version__, **within, **went}, separators=(",", ":"), default=str)


def _name(value: Any) -> Any:
    return value.replace("\\", "/").rpartition("/")[2] if isinstance(value, str) else value
