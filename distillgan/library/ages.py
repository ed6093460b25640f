"""Spans of time as people type them: 30min, 12h, 2d, 3w."""

import re

from distillgan.errors import UserError

_SECONDS = {"min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(key: str, text: str) -> float:
    """Raises UserError if it is no such span."""
    parts = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(min|h|d|w)", text, re.ASCII)
    if parts is None:
        raise UserError(f"{key}={text} must be a number with its unit: 30min, 12h, 2d or 3w")
    return float(parts[1]) * _SECONDS[parts[2]]
