"""What has become of a training in its model's file: whether it is in it, and how it compares with what was there."""

import math
from datetime import datetime

from distillgan.errors import UserError
from distillgan.modelheader import PENDING, Header
from distillgan.modellayout import read_header
from distillgan.paths import Home
from distillgan.ui.standing import Standing, part_of

_STATISTICS = {"model": "vae", "vocoder": "vocoder"}  # of the model's header, for each part

_PLAYS = "It plays on the Generate tab."


def finished(home: Home, name: str, stage: str) -> bool:
    """Does the model say that this part of it was trained to its end?"""
    header = _header(home, name)
    statistics = None if header is None else header.training.get(_STATISTICS[part_of(stage)])
    return bool(statistics and statistics.get("finished") and statistics.get("sliders") != PENDING)


def told(home: Home, name: str, standing: Standing) -> str:
    """In words, what is to be known of the model that came of a training that has ended."""
    header = _header(home, name)
    if header is None:
        return "Its model is not in the library any more."
    if part_of(standing.stage) == "model":
        pending = f" {header.no_sliders.capitalize()}." if header.sliders_pending else ""
        return f"{_grown(header)}{_PLAYS}{pending}"
    there = header.training.get("vocoder")
    if header.vocoder is None or not there:
        return "Its model has no vocoder of its own any more."
    packed, error = _moment(there.get("date")), there.get("mel_error")
    # Its steps end before it is packed; dates have whole seconds.
    if packed is None or packed >= math.floor(standing.written):
        return _PLAYS
    judged = f": its error is {error:.3f}, and the new one's is larger" if isinstance(error, float) else ""
    return (
        f"It is not in the model, which keeps the {header.vocoder['name']} vocoder that it had{judged}. "
        "To have the new one all the same, train it again as it was, without beginning anew, and let it take the "
        "other's place: that takes no more steps."
    )


def _grown(header: Header) -> str:
    statistics = header.training["vae"]
    before, now = statistics.get("old_error_before_db"), statistics.get("old_error_db")
    if not isinstance(before, float) or not isinstance(now, float):
        return ""
    return f"It has grown: its error on the old recordings was {before:.2f} dB before, and is {now:.2f} dB now. "


def _moment(date: object) -> float | None:
    """Seconds since 1970; None of what a stranger's file calls a date."""
    try:
        return datetime.fromisoformat(str(date)).timestamp()
    except ValueError:
        return None


def _header(home: Home, name: str) -> Header | None:
    try:
        return read_header(home.model(name))
    except UserError:
        return None
