"""Sliders and principal axes of a model, what each was measured to do, and their positions over time."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from distillgan.control.latents import FRAMES, CorpusLatents
from distillgan.errors import UserError
from distillgan.features.descriptors import DESCRIPTORS, NAMES, readable

_POINT = re.compile(r"([^:\s]+):([^:\s]+)")
_SHUFFLES = 100
_QUANTILE = 0.95
MAX_AXES = 32
PERCENTILES = (0.5, 2.0, 50.0, 98.0, 99.5)
FULL, LIMIT = 10.0, 12.0  # a slider's end, and that of the zone beyond it
_KNOTS = (-LIMIT, -FULL, 0.0, FULL, LIMIT)
POSITIONS = (-10.0, -5.0, 0.0, 5.0, 10.0)  # where each slider was measured
_LEAST_KNOWN = 0.25  # share of the segments in which a descriptor must be defined
_LEAST_RANK = 0.9
_MOST_CROSSTALK = 0.35  # as measured on few renders: so that it is under 0.5 when measured on many
_LEAST_MOVED = 0.5  # standard deviations of the corpus
_PREFIX = "latent.analysis."
_PARTS = ("values", "known", "percentiles", "directions", "delivered", "response")
_AXIS = "axis"


@dataclass(frozen=True)
class Curve:
    """A value over time: straight lines between breakpoints; before the first and after the last it stays.

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
        """The curve within the bounds, with further breakpoints where it crosses them."""
        seconds = set(self.seconds)
        for (first, begin), (last, end) in pairwise(zip(self.seconds, self.values, strict=True)):
            for bound in (least, most):
                if (begin - bound) * (end - bound) < 0:
                    seconds.add(first + (last - first) * (bound - begin) / (end - begin))
        at = np.array(sorted(seconds))
        return Curve(tuple(at.tolist()), tuple(np.clip(self.at(at), least, most).tolist()))

    def to_value(self) -> float | str:
        """The number or the breakpoints that `parse` reads as this curve."""
        if len(self.seconds) == 1:
            return self.values[0]
        return " ".join(f"{at:.12g}:{value:.12g}" for at, value in zip(self.seconds, self.values, strict=True))

    @classmethod
    def parse(cls, key: str, value: object) -> "Curve":
        """A number, or breakpoints as seconds:value, such as "0:-5 8:7". Raises UserError, naming `key`, for others."""
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


@dataclass(frozen=True)
class Axes:
    """Directions of the latent in which the segments of a corpus really differ.

    mean: [D]; directions: [n, D], of unit length, the widest first; spread: [n], standard deviation along each.
    """

    mean: np.ndarray
    directions: np.ndarray
    spread: np.ndarray

    def coordinates(self, z: np.ndarray) -> np.ndarray:
        """Coordinates [W, n] of z [W, D], in standard deviations."""
        return (z - self.mean) @ self.directions.T / self.spread

    @classmethod
    def of(cls, corpus: CorpusLatents, seed: int = 0) -> "Axes":
        """Principal axes of the means of groups of 16 frames, as many as stand out of chance.

        An axis is real while its variance is above the 95th percentile of the same axis's in 100 corpora whose frames
        are shuffled in each dimension by itself (parallel analysis: Horn 1965; Glorfeld 1995 for the percentile).
        """
        z, rng = corpus.z.numpy().astype(np.float64), np.random.default_rng(seed)
        groups = _groups(corpus.starts.numpy())
        means = _group_means(z, groups)
        mean = means.mean(0)
        _, singular, directions = np.linalg.svd(means - mean, full_matrices=False)
        chance = []
        for _ in range(_SHUFFLES):
            shuffled = _group_means(rng.permuted(z, axis=0), groups)
            chance.append(np.linalg.svd(shuffled - shuffled.mean(0), compute_uv=False))
        real = singular > np.maximum(np.quantile(chance, _QUANTILE, axis=0), 1e-9 * max(singular[0], 1e-30))
        count = min(MAX_AXES, len(real) if real.all() else int(np.argmin(real)))
        directions = directions[:count]
        # Which end of an axis is positive is arbitrary: that where its largest part is, so that it is always the same.
        largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
        return cls(mean, directions * np.sign(largest), singular[:count] / np.sqrt(len(means)))

    def extended(self, direction: np.ndarray, corpus: CorpusLatents) -> "Axes":
        """These and one more, along `direction` [D], as wide as the means of the corpus's groups are along it.

        Raises UserError unless it is D finite numbers along which they differ.
        """
        direction, latent_dim = np.asarray(direction, np.float64), len(self.mean)
        if direction.shape != (latent_dim,) or not np.isfinite(direction).all() or not direction.any():
            shape = list(direction.shape)
            raise UserError(f"a direction of shape {shape} must be [{latent_dim}], of finite numbers, not all 0")
        unit = direction / np.linalg.norm(direction)
        means = _group_means(corpus.z.numpy().astype(np.float64), _groups(corpus.starts.numpy()))
        spread = (means @ unit).std()
        if spread < 1e-6:
            raise UserError("the recordings do not differ along this direction: it would move nothing")
        return Axes(self.mean, np.vstack([self.directions, unit]), np.append(self.spread, spread))


def _groups(starts: np.ndarray) -> np.ndarray:
    """The group of each frame, int [F]: chunks cut into 16 frames, their rest with the last."""
    numbers, number = np.empty(starts[-1], int), 0
    for start, end in pairwise(starts):
        count = max(1, (end - start) // FRAMES)
        numbers[start:end] = number + np.minimum(np.arange(end - start) // FRAMES, count - 1)
        number += count
    return numbers


def _group_means(z: np.ndarray, groups: np.ndarray) -> np.ndarray:
    sums = np.stack([np.bincount(groups, column) for column in z.T], 1)
    return sums / np.bincount(groups)[:, None]


@dataclass(frozen=True)
class Slider:
    """One control of a model; of an axis nothing is measured.

    least, most: ends; one of them is 0 where it moves nothing on that side. shown: the descriptor at each of POSITIONS
    as measured, in `unit`; corpus: the 2nd, 50th and 98th percentile of the recordings; rank: Spearman's correlation of
    position and descriptor; crosstalk: mean change of the other descriptors over its own, each in standard deviations
    of the corpus; reason: why it is inactive, None if it moves its descriptor.
    """

    name: str
    about: str
    unit: str
    least: float
    most: float
    shown: tuple[float, ...]
    corpus: tuple[float, ...]
    rank: float | None
    crosstalk: float | None
    reason: str | None

    @property
    def range(self) -> str:
        """The positions that aim within the recordings, for people."""
        return f"{max(self.least, -FULL):g} … {min(self.most, FULL):g}"

    @property
    def readings(self) -> list[str]:
        """The descriptor as measured at -10, 0 and 10, for people."""
        return [readable(self.shown[place]) for place in (0, len(self.shown) // 2, -1)]


@dataclass(frozen=True)
class Analysis:
    """Measurements of a corpus's W segments, as the model plays them, and its sliders.

    values: [W, 8], the descriptors of each segment, the mean where one is undefined; known: [8], share of the segments
    in which each is defined; percentiles: [8, 5], at PERCENTILES; directions: [8, D], offset of a latent frame for a
    standard deviation more of a descriptor (zeros: none is known); delivered: [8], share of that in rendered sound;
    response: [8, 5, 8], the descriptors of rendered sound with each slider at each of POSITIONS; axes: the real ones.
    """

    values: np.ndarray
    known: np.ndarray
    percentiles: np.ndarray
    directions: np.ndarray
    delivered: np.ndarray
    response: np.ndarray
    axes: Axes

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of each descriptor over the corpus's segments, [8]."""
        return np.maximum(self.values.std(0), 1e-6)

    def targets(self, positions: np.ndarray) -> np.ndarray:
        """Targets [8] for slider positions [8]: distances from the corpus's means in standard deviations.

        -10, 0 and 10 are the 2nd percentile, the mean and the 98th; beyond them the zones to 0.5th and 99.5th.
        """
        mean = self.values.mean(0)
        # A few far outliers take the mean beyond a percentile; at 0 it is the mean all the same.
        low, high = np.minimum(self.percentiles[:, :2].T, mean), np.maximum(self.percentiles[:, 3:].T, mean)
        knots = np.stack([*low, mean, *high], 1)
        targets = [np.interp(position, _KNOTS, knot) for position, knot in zip(positions, knots, strict=True)]
        return (np.array(targets) - mean) / self.spread

    def sliders(self) -> list[Slider]:
        """The eight descriptors' sliders, then `axis1` … of the real axes."""
        sides = [self._side(number) for number in range(len(DESCRIPTORS))]
        active = np.array([self._fault(number, *side) is None for number, side in enumerate(sides)])
        return [self._slider(number, *side, active) for number, side in enumerate(sides)] + [
            Slider(f"axis{number + 1}", "principal axis of the latent", "", -LIMIT, LIMIT, (), (), None, None, None)
            for number in range(len(self.axes.spread))
        ]

    def _side(self, number: int) -> tuple[int, int]:
        """First and last of POSITIONS between which the slider moves its descriptor steadily: all, or one half.

        A half must be clear, since three measurements are soon in order by chance.
        """
        own, middle = self.response[number, :, number], len(POSITIONS) // 2
        if _rank(own) >= _LEAST_RANK:
            return 0, len(POSITIONS) - 1
        for first, last in ((middle, len(POSITIONS) - 1), (0, middle)):
            half = own[first : last + 1]
            clear = max(2 * _LEAST_MOVED * self.spread[number], DESCRIPTORS[number].noticeable)
            if (np.diff(half) > DESCRIPTORS[number].noticeable / 2).all() and half[-1] - half[0] > clear:
                return first, last
        return 0, len(POSITIONS) - 1

    def _fault(self, number: int, first: int, last: int) -> str | None:
        item, low, high = DESCRIPTORS[number], *self.percentiles[number, [1, 3]]
        own = self.response[number, first : last + 1, number]
        moved = own[-1] - own[0]
        if self.known[number] < _LEAST_KNOWN:
            return f"only {self.known[number]:.0%} of the recordings' moments have one"
        if high - low < 2 * item.noticeable:
            ends = sorted((item.shown(low), item.shown(high)))
            return f"the recordings have no range in it: {readable(ends[0])} to {readable(ends[1])} {item.unit}"
        if _rank(own) < _LEAST_RANK or moved < max(_LEAST_MOVED * self.spread[number], item.noticeable):
            return (
                f"moved from -10 to 10 it changes by {moved / self.spread[number]:.1f} standard deviations of the "
                f"recordings, with a rank correlation of {_rank(own):.2f} ({_LEAST_MOVED:g}, {_LEAST_RANK:g} wanted)"
            )
        return None

    def _slider(self, number: int, first: int, last: int, active: np.ndarray) -> Slider:
        item, used = DESCRIPTORS[number], slice(first, last + 1)
        crosstalk = self.crosstalk(number, np.array(POSITIONS[used]), self.response[number, used], active)
        reason = self._fault(number, first, last)
        if reason is None and crosstalk > _MOST_CROSSTALK:
            reason = f"it moves the others, too: by {crosstalk:.2f} of what it moves itself"
        ends = (-LIMIT if first == 0 else 0.0, LIMIT if last == len(POSITIONS) - 1 else 0.0)
        shown = tuple(float(item.shown(value)) for value in self.response[number, :, number])
        corpus = tuple(float(item.shown(value)) for value in self.percentiles[number, 1:4])
        rank = _rank(self.response[number, used, number])
        return Slider(item.name, item.about, item.unit, *ends, shown, corpus, rank, crosstalk, reason)

    def crosstalk(self, number: int, positions: np.ndarray, response: np.ndarray, active: np.ndarray) -> float:
        """Mean change of the other active descriptors over the slider's own, in standard deviations of the corpus.

        response: descriptors [P, 8] at the slider's positions [P]; a change is the slope of the line through them.
        """
        centred = positions - positions.mean()
        change = np.abs(centred @ (response - response.mean(0))) / self.spread
        others = active & (np.arange(len(active)) != number)
        return float(change[others].mean() / max(change[number], 1e-9)) if others.any() else 0.0

    def to_tensors(self) -> dict[str, Tensor]:
        parts = {name: getattr(self, name) for name in _PARTS}
        parts |= {"axes": self.axes.directions, "axes_mean": self.axes.mean, "axes_spread": self.axes.spread}
        return {f"{_PREFIX}{name}": torch.from_numpy(np.asarray(part, np.float32)) for name, part in parts.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], latent_dim: int, segments: int, origin: str) -> "Analysis | None":
        """None if the model was packed without one. Raises UserError, naming `origin`, if the parts do not fit."""
        found = {name.removeprefix(_PREFIX): t for name, t in tensors.items() if name.startswith(_PREFIX)}
        if not found:
            return None
        count = found["axes_spread"].shape[0] if "axes_spread" in found and found["axes_spread"].dim() == 1 else 0
        shapes = {
            "values": (segments, len(NAMES)),
            "known": (len(NAMES),),
            "percentiles": (len(NAMES), len(PERCENTILES)),
            "directions": (len(NAMES), latent_dim),
            "delivered": (len(NAMES),),
            "response": (len(NAMES), len(POSITIONS), len(NAMES)),
            "axes": (count, latent_dim),
            "axes_mean": (latent_dim,),
            "axes_spread": (count,),
        }
        for name, shape in shapes.items():
            if name not in found or tuple(found[name].shape) != shape or not torch.isfinite(found[name]).all():
                raise UserError(f"{origin}: the part {name} of its analysis is missing or not {list(shape)}: retrain")
        parts = {name: part.double().numpy() for name, part in found.items()}
        axes = Axes(parts.pop("axes_mean"), parts.pop("axes"), parts.pop("axes_spread"))
        return cls(**{name: parts[name] for name in _PARTS}, axes=axes)


def _rank(values: np.ndarray) -> float:
    return round(rank_correlation(np.arange(len(values)), values), 6)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of two rows [N], -1…1; 0 where one of them does not change."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Each value's place among them, 1 the least; equal ones share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


@dataclass(frozen=True)
class Controls:
    """Sliders that are set, by name, and their positions over time, -12…12; all others are at 0, without effect."""

    curves: Mapping[str, Curve] = field(default_factory=dict)

    def descriptors(self, seconds: np.ndarray) -> np.ndarray:
        """Positions [8, T] of the eight descriptors at `seconds` [T]."""
        return np.stack([self.position(name, seconds) for name in NAMES])

    def position(self, name: str, seconds: np.ndarray) -> np.ndarray:
        """Position [T] of one slider at `seconds` [T]."""
        return self.curves[name].at(seconds) if name in self.curves else np.zeros(len(seconds))

    def axes(self) -> dict[int, Curve]:
        """Numbers (from 0) of the axes that are set, and their positions."""
        return {
            int(name.removeprefix(_AXIS)) - 1: curve for name, curve in self.curves.items() if name.startswith(_AXIS)
        }

    def to_dict(self) -> dict[str, float | str]:
        """The settings that `parse` takes."""
        return {name: curve.to_value() for name, curve in self.curves.items()}

    @classmethod
    def parse(
        cls, settings: Mapping, analysis: Analysis | None, model: str, pending: bool = False
    ) -> tuple["Controls", list[str]]:
        """The `controls` of a request, for one model, and warnings of values that were clamped.

        pending: the model has no analysis because its training ended before the sliders were measured.

        Raises UserError if a value is neither number nor breakpoints, or the model has no such active slider.
        """
        curves, warnings = {}, []
        for name, value in settings.items():
            if value is None:
                continue
            curve = Curve.parse(f"controls.{name}", value)
            still = curve.extremes == (0.0, 0.0)  # nothing is asked of the slider, active or not
            if analysis is None:
                raise _no_analysis(str(name), model, pending)
            slider = _slider(str(name), analysis, model, still)
            if still:
                continue
            low, high = curve.extremes
            if low < slider.least or high > slider.most:
                ends = f"{slider.least:g} … {slider.most:g}"
                warnings.append(f"controls.{name}={value} is clamped to {ends}: {model} goes no further")
            curves[str(name)] = curve.clamped(slider.least, slider.most)
        return cls(curves), warnings


def _no_analysis(name: str, model: str, pending: bool) -> UserError:
    if pending:
        return UserError(
            f"controls.{name}: the sliders of model {model} are pending: its training was ended before they were "
            f"measured. The command that trained it, once more, measures them: distillgan train name={model} …"
        )
    return UserError(
        f"controls.{name}: model {model} was packed without an analysis, so it has no sliders. The command that "
        "trained it, once more, analyses it"
    )


def _slider(name: str, analysis: Analysis, model: str, still: bool) -> Slider:
    sliders = {slider.name: slider for slider in analysis.sliders()}
    active = ", ".join(name for name, slider in sliders.items() if slider.reason is None) or "none"
    if name not in sliders:
        raise UserError(f"controls.{name}: model {model} has no such slider. Its active ones are {active}")
    if sliders[name].reason is not None and not still:
        raise UserError(
            f"controls.{name}: inactive in model {model}: {sliders[name].reason}. Its active ones are {active}"
        )
    return sliders[name]
