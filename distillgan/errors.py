"""The one exception that is meant for the person at the keyboard, and checks of values that raise it.

The one exception that is meant for the person at the keyboard, and texts from elsewhere as it may show them.

Values of the configuration that must be numbers within limits: what is wrong is said with key, value and limit.
"""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta


class UserError(Exception):
    """Something the user can mend: the message names the file, the value, the limit and the remedy.

    The entries print it without a traceback and leave with exit code 2.
    """


def printable(text: str | os.PathLike) -> str:
    """A file name, or text from a file, for terminals and messages.

    Line breaks, control characters and stray bytes are shown as escapes.
    """
    text = os.fspath(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def message(error: Exception | str) -> str:
    """What is told of it: its lines as they are, nothing in them that a terminal would take for a command."""
    return "\n".join(map(printable, str(error).split("\n")))


@contextmanager
def within(key: str) -> Iterator[None]:
    """A context in which a refused value is one of those under `key`: its name gets `key` and a dot before it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}.{error}") from error


def whole(key: str, value: object, least: int, most: int | None = None) -> int:
    """`value` if it is a whole number from `least` to `most`. Raises UserError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise UserError(f"{key}={value} must be a whole number{_limits(least, most)}")
    return value


def number(key: str, value: object, least: float = -math.inf, most: float = math.inf) -> float:
    """`value` if it is a finite number from `least` to `most`. Raises UserError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{key}={value} must be a number{_limits(least, most)}")
    if not least <= value <= most:
        raise UserError(f"{key}={value} must be a number{_limits(least, most)}")
    return float(value)


def pair(key: str, value: object, least: float = -math.inf, most: float = math.inf) -> tuple[float, float]:
    """`value` if it is [low, high] with least ≤ low ≤ high ≤ most. Raises UserError."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise UserError(f"{key}={value} must be [low, high]{_limits(least, most)}")
    low, high = (number(key, item, least, most) for item in value)
    if low > high:
        raise UserError(f"{key}={list(value)} must be [low, high], the lower number first")
    return low, high


def duration(key: str, text: object) -> timedelta | None:
    """A time span written DD:HH:MM:SS, above zero; None for None. Raises UserError."""
    if text is None:
        return None
    parts = re.fullmatch(r"(\d+):(\d+):(\d+):(\d+)", str(text))
    if parts is None or not any(map(int, parts.groups())):
        raise UserError(f"{key}={text} must be DD:HH:MM:SS, such as 00:00:10:00 for ten minutes")
    days, hours, minutes, seconds = map(int, parts.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _limits(least: float, most: float | None) -> str:
    most = math.inf if most is None else most
    low, high = least != -math.inf, most != math.inf
    if low and high:
        return f" from {least:g} to {most:g}" if most < 1e6 else f" from {least} to {most}"
    return f" of at least {least:g}" if low else f" of at most {most:g}" if high else ""
