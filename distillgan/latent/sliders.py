"""What is known of a corpus for steering it, kept in the model file: its sliders, and what each of them does."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distillgan.errors import UserError
from distillgan.latent.axes import Axes
from distillgan.latent.descriptors import DESCRIPTORS, NAMES, readable

PERCENTILES = (0.5, 2.0, 50.0, 98.0, 99.5)
FULL, LIMIT = 10.0, 12.0  # a slider's end, and that of the zone beyond it
_KNOTS = (-LIMIT, -FULL, 0.0, FULL, LIMIT)
POSITIONS = (-10.0, -5.0, 0.0, 5.0, 10.0)  # where each slider was measured
_LEAST_KNOWN = 0.25  # share of the moments in which a descriptor must be defined
_LEAST_RANK = 0.9
_MOST_CROSSTALK = 0.35  # as measured on few renders: so that it is under 0.5 when measured on many
_LEAST_MOVED = 0.5  # standard deviations of the corpus
_PREFIX = "latent.analysis."
_PARTS = ("values", "known", "percentiles", "directions", "delivered", "response")


@dataclass(frozen=True)
class Slider:
    """One control of a model: `reason` says why it is inactive, None if it moves what it says.

    least, most: its ends; one of them is 0 where it moves nothing on that side. Of an axis nothing is measured.
    shown: the descriptor at each of POSITIONS as measured, in `unit`; corpus: the 2nd, 50th and 98th percentile of the
    recordings; rank: Spearman's correlation of position and descriptor; crosstalk: mean change of the other descriptors
    over its own, each in standard deviations of the corpus.
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


@dataclass(frozen=True)
class Analysis:
    """Measurements of the moments of a corpus (W of them), as the model plays them, and what follows for sliders.

    values: [W, 8], the descriptors of each moment, the mean where one is undefined; known: [8], share of the moments
    in which each is defined; percentiles: [8, 5], at PERCENTILES; directions: [8, D], what to add to a latent frame for
    a standard deviation more of a descriptor (zeros: nothing does); delivered: [8], how much of that is heard;
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
        """Standard deviation of each descriptor over the corpus's moments, [8]."""
        return np.maximum(self.values.std(0), 1e-6)

    def wished(self, positions: np.ndarray) -> np.ndarray:
        """Slider positions [8] → how far from the corpus's mean each descriptor is wished, in standard deviations.

        -10, 0 and 10 are the 2nd percentile, the mean and the 98th; beyond them the zones to 0.5th and 99.5th.
        """
        mean = self.values.mean(0)
        # A few far outliers take the mean beyond a percentile; at 0 it is the mean all the same.
        low, high = np.minimum(self.percentiles[:, :2].T, mean), np.maximum(self.percentiles[:, 3:].T, mean)
        knots = np.stack([*low, mean, *high], 1)
        wished = [np.interp(position, _KNOTS, knot) for position, knot in zip(positions, knots, strict=True)]
        return (np.array(wished) - mean) / self.spread

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

        A half only if it does so clearly, since three measurements are soon in order by chance.
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
            return f"the recordings have no range in it: {_range(item, low, high)}"
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
    def from_tensors(cls, tensors: dict[str, Tensor], latent_dim: int, moments: int, origin: str) -> "Analysis | None":
        """None if the model was packed without one. Raises UserError, naming `origin`, if the parts do not fit."""
        found = {name.removeprefix(_PREFIX): t for name, t in tensors.items() if name.startswith(_PREFIX)}
        if not found:
            return None
        count = found["axes_spread"].shape[0] if "axes_spread" in found and found["axes_spread"].dim() == 1 else 0
        shapes = {
            "values": (moments, len(NAMES)),
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


def _range(item, low: float, high: float) -> str:
    ends = sorted((item.shown(low), item.shown(high)))
    return f"{readable(ends[0])} to {readable(ends[1])} {item.unit}"
