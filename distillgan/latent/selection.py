"""Which moments of a corpus follow one another: drawn by weight, and the wishes of the sliders are in the weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from distillgan.latent.controls import Controls
from distillgan.latent.descriptors import NAMES
from distillgan.latent.gates import BROUGHT
from distillgan.latent.moments import FRAMES, Moments
from distillgan.latent.sliders import Analysis
from distillgan.latent.tilt import tilted

_COUNT = (FRAMES, 2 * FRAMES + 1)  # latent frames of a slot, 1.5 to 3 s
_JITTER = 4
_LEAST_REST = 8
AXIS_SHARE = 0.5
_BROUGHT = np.array([BROUGHT.get(name, 0.0) for name in NAMES])


@dataclass(frozen=True)
class Slot:
    """Frames first … first + count of the corpus's latents, to begin at frame `at`; `moment` is its number."""

    at: int
    first: int
    count: int
    moment: int


class Selection:
    """Draws slots for the sliders' positions.

    Each moment has a Gumbel-distributed score that drifts from slot to slot; the largest sum of score and log weight
    wins (Gumbel-max: Maddison, Tarlow and Minka 2014). So a moment comes with exactly its weight, the drift says how
    fast one gives way to another, and moving a slider exchanges only those moments that no longer suit.
    """

    def __init__(self, moments: Moments, analysis: Analysis | None, controls: Controls, coordinates: np.ndarray | None):
        self._moments, self._analysis, self._controls = moments, analysis, controls
        self._coordinates = coordinates
        self._known: dict[bytes, np.ndarray] = {}

    def log_weights(self, seconds: float) -> np.ndarray:
        """[W], for the sliders' positions at a time."""
        if self._analysis is None or not self._controls.curves:
            return np.zeros(len(self._moments))
        at = np.array([seconds])
        positions = np.round(self._controls.descriptors(at)[:, 0], 1)
        axes = {number: round(float(curve.at(at)[0]), 1) for number, curve in self._controls.axes().items()}
        key = positions.tobytes() + repr(axes).encode()
        if key not in self._known:
            self._known[key] = self._tilted(positions, axes)
        return self._known[key]

    def _tilted(self, positions: np.ndarray, axes: dict[int, float]) -> np.ndarray:
        if not positions.any() and not any(axes.values()):
            return np.zeros(len(self._moments))
        analysis = self._analysis
        values = (analysis.values - analysis.values.mean(0)) / analysis.spread
        wish = analysis.wished(positions) * (1 - analysis.delivered)
        wish = np.where(wish > 0, wish * (1 - _BROUGHT), wish)
        for number, position in axes.items():
            values = np.column_stack([values, self._coordinates[:, number]])
            wish = np.append(wish, axis_wish(position) * (1 - AXIS_SHARE))
        moved = np.append(positions != 0, np.ones(len(axes), bool))
        return tilted(values, wish, moved)

    def slots(
        self,
        frames: int,
        latent_rate: float,
        evolution: float,
        overlap: int,
        rng: np.random.Generator,
        apart: tuple[int, int] | None = None,
    ) -> Iterator[Slot]:
        """Slots that cover `frames` latent frames, each begun `overlap` frames before the last ends, or half of either.

        evolution: 0 stays with one moment, 1 draws each anew. apart: each begins so many frames (from, to) after the
        one before, however long it is.
        """
        moments, keep = self._moments, np.cos(np.pi / 2 * evolution)
        drift = rng.standard_normal(len(moments))
        end, before = 0, None
        while end < frames:
            scores = self.log_weights(end / latent_rate) - np.log(-np.log(np.clip(_uniform(drift), 1e-12, 1 - 1e-12)))
            wanted, jitter = int(rng.integers(*_COUNT)), int(rng.integers(-_JITTER, _JITTER + 1))
            number = int(scores.argmax())
            first = self._first(number, jitter, before, overlap)
            count = min(wanted, int(moments.end[number]) - first)
            common = 0 if before is None else min(overlap, before.count // 2, count // 2)
            before = Slot(end - common, first, count, number)
            yield before
            end = before.at + (count if apart is None else int(rng.integers(*apart)))
            drift = keep * drift + np.sqrt(1 - keep**2) * rng.standard_normal(len(moments))

    def _first(self, number: int, jitter: int, before: Slot | None, overlap: int) -> int:
        """The frame that a slot of this moment begins with."""
        moments = self._moments
        own, end = int(moments.first[number]), int(moments.end[number])
        if before is not None and moments.end[before.moment] == end:
            # The same recording once more: it goes on, rather than to begin again.
            onward = before.first + before.count
            if abs(onward - own) <= FRAMES and end - onward >= _LEAST_REST:
                # What both have in common is the same frames, at the same time.
                return onward - min(overlap, before.count // 2)
        return max(self._start(number), min(own + jitter, end - _LEAST_REST))

    def _start(self, number: int) -> int:
        """Where the piece begins in which a moment lies: the first moment with the same end."""
        return int(self._moments.first[np.searchsorted(self._moments.end, self._moments.end[number])])


def axis_wish(position: float) -> float:
    """An axis's position, -12…12 → how far along it, in standard deviations: at 10 as far as the 98th percentile."""
    return position / 10 * 2.05


def _uniform(drift: np.ndarray) -> np.ndarray:
    """Standard normal numbers → uniform ones, in 0…1."""
    return torch.special.ndtr(torch.from_numpy(drift)).numpy()
