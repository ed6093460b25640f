"""A value that may change over time: a number, or breakpoints such as "0:-5 8:7" (seconds:value)."""

import math
import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distillgan.errors import UserError

_POINT = re.compile(r"([^:\s]+):([^:\s]+)")


@dataclass(frozen=True)
class Curve:
    """Straight lines between breakpoints; before the first and after the last the value stays.

    seconds: ascending; values: one for each.
    """

    seconds: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, seconds: np.ndarray) -> np.ndarray:
        return np.interp(seconds, self.seconds, self.values)

    @property
    def extremes(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    def clamped(self, least: float, most: float) -> "Curve":
        """The curve where it lies between, else the bound; breakpoints are added where it crosses them."""
        seconds = set(self.seconds)
        for (first, begin), (last, end) in pairwise(zip(self.seconds, self.values, strict=True)):
            for bound in (least, most):
                if (begin - bound) * (end - bound) < 0:
                    seconds.add(first + (last - first) * (bound - begin) / (end - begin))
        at = np.array(sorted(seconds))
        return Curve(tuple(at.tolist()), tuple(np.clip(self.at(at), least, most).tolist()))

    def to_value(self) -> float | str:
        """What `parse` reads as this curve."""
        if len(self.seconds) == 1:
            return self.values[0]
        return " ".join(f"{at:.12g}:{value:.12g}" for at, value in zip(self.seconds, self.values, strict=True))

    @classmethod
    def parse(cls, key: str, value: object) -> "Curve":
        """Raises UserError, naming `key`, unless it is a finite number or breakpoints in ascending order."""
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return cls((0.0,), (float(value),))
        points = [_POINT.fullmatch(word) for word in str(value).split()] if isinstance(value, str) else []
        try:
            if not points or not all(points):
                raise ValueError
            seconds, values = zip(*[(float(point[1]), float(point[2])) for point in points], strict=True)
            if not all(map(math.isfinite, (*seconds, *values))):
                raise ValueError
        except ValueError:
            raise UserError(
                f'{key}={value} must be a number, or breakpoints as seconds:value, such as "0:-5 8:7"'
            ) from None
        if seconds[0] < 0 or any(later <= earlier for earlier, later in pairwise(seconds)):
            raise UserError(f"{key}={value}: the seconds of its breakpoints must begin at 0 or later, and rise")
        return cls(seconds, values)
