"""Which of a file's channels are learnt, and how several become one."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from distillgan.audio.layouts import Layout
from distillgan.errors import UserError

MIX, FIRST, LEFT, RIGHT, EACH = "mix", "first", "left", "right", "each"
_CHOICES = (MIX, FIRST, LEFT, RIGHT, EACH)
MOST_CHANNELS = 1024
# One channel of three in front and two behind (ITU-R BS.775-3, annex 4, table 2, 1/0): the front pair at -3 dB, the
# centre as it is, what comes from behind at -6 dB, one speaker behind for two of them at -3 dB, no low effects. What
# the table does not know follows it: heights as what is behind, speakers between front and centre as the front.
_FRONT, _BEHIND = math.sqrt(0.5), 0.5
_WEIGHTS = {"FC": 1.0, "LFE": 0.0, "BC": _FRONT, "TC": _FRONT, "TFC": _FRONT, "TBC": _FRONT}
_WEIGHTS |= dict.fromkeys(("FL", "FR", "FLC", "FRC"), _FRONT)
_WEIGHTS |= dict.fromkeys(("BL", "BR", "SL", "SR", "TFL", "TFR", "TBL", "TBR"), _BEHIND)


class NoSuchChannel(Exception):
    """A file has no channel as asked for; its text says what it has."""


@dataclass(frozen=True)
class Downmix:
    """Weights of the channels, [C], that add up to 1; `note`: what the file's owner may want to know of them."""

    weights: tuple[float, ...]
    note: str = ""

    @property
    def only(self) -> int | None:
        """The one channel that is taken, if it is one."""
        taken = [number for number, weight in enumerate(self.weights) if weight]
        return taken[0] if len(taken) == 1 else None

    @property
    def even(self) -> bool:
        return len(set(self.weights)) == 1


def chosen(value: object) -> str:
    """`data.channels` as text: one of mix, first, left, right, each, or a number from 1. Raises UserError."""
    text = str(value).strip().lower()
    if isinstance(value, bool) or not isinstance(value, str | int):
        text = ""
    if text in _CHOICES:
        return text
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_CHANNELS:
        return str(int(text))
    raise UserError(f"data.channels={value} must be {', '.join(_CHOICES)}, or the number of a channel, counted from 1")


def downmix(layout: Layout, channels: int, choice: str) -> Downmix:
    """One channel of `channels`, as `chosen` says it (but each).

    mix: a sound field's omnidirectional W; loudspeakers by ITU-R BS.775 without low effects; the mean of channels of
    which nobody says what they are. left, right: by the layout, of an unknown one the first and second; mono is both.

    Raises:
        NoSuchChannel: it has no such channel.
    """
    if choice == MIX:
        return _mix(layout, channels)
    number = 0
    if choice in (LEFT, RIGHT):
        number = _side(layout, channels, choice)
    elif choice != FIRST:
        number = int(choice) - 1
    if number is None or number >= channels:
        has = "1 channel" if channels == 1 else f"{channels} channels"
        told = f" ({layout.name})" if layout.name and channels > 2 else " (ambisonic)" if layout.ambisonic else ""
        raise NoSuchChannel(f"it has {has}{told}")
    return Downmix(_one(number, channels))


def _mix(layout: Layout, channels: int) -> Downmix:
    if layout.ambisonic:
        return Downmix(_one(0, channels), "ambisonic: its omnidirectional channel W")
    if channels <= 2:
        return Downmix((1.0 / channels,) * channels)
    if layout.places:
        weights = [_WEIGHTS[place] for place in layout.places]
        left_out = " without low effects" if "LFE" in layout.places else ""
        return Downmix(_to_one(weights), f"{layout.name}: mixed by ITU-R BS.775{left_out}")
    note = f"{channels} channels, nothing says of what: their mean is learnt (data.channels takes one, or each)"
    return Downmix((1.0 / channels,) * channels, note)


def _side(layout: Layout, channels: int, side: str) -> int | None:
    if channels == 1:
        return 0
    if layout.ambisonic:
        return None
    place = "FL" if side == LEFT else "FR"
    if layout.places:
        return layout.places.index(place) if place in layout.places else None
    return 0 if side == LEFT else 1


def _one(number: int, channels: int) -> tuple[float, ...]:
    return tuple(float(at == number) for at in range(channels))


def _to_one(weights: Iterable[float]) -> tuple[float, ...]:
    weights = list(weights)
    total = sum(weights)
    return tuple(weight / total for weight in weights) if total else (1.0 / len(weights),) * len(weights)
