"""Selection of the segments that follow one another, by weights that sliders change, and the gains laid over them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from distillgan.control.latents import FRAMES, Segments
from distillgan.control.sliders import Analysis, Controls
from distillgan.features.descriptors import NAMES

# Of a slider's target above 0, the share that its gates bring; the rest is left to the selection of segments.
BROUGHT = {"rhythm": 0.5, "pulse": 0.8, "density": 0.3}
_BEAT_SECONDS = (0.4, 0.75)
_BEAT_DB, _BEAT_FALL = 30.0, 0.15  # depth of a full slider's beats; s to fall to a third of it
_ACCENT_DB, _ACCENT_FALL, _ACCENTS = 18.0, 0.35, 3.0  # the last a second, at a full slider
_EVENT_DB, _EVENT_FALL, _EVENTS = 14.0, 0.06, 6.0
_UNEVEN = 0.7  # share by which the time from one to the next may be longer or shorter
_SOUND_SECONDS = (0.8, 1.6)
_MOST_REST = 0.85  # of the time, at a full slider
_REST_DB, _RISE_SECONDS, _RELEASE_SECONDS = -60.0, 0.1, 0.2


def envelope_db(
    rhythm: np.ndarray, pulse: np.ndarray, density: np.ndarray, frame_rate: float, rng: np.random.Generator
) -> np.ndarray | None:
    """Gain in dB, float32 [T], 0 or less, for sliders' positions over 10, each [T]; None where they ask for none.

    pulse above 0: beats at a steady tempo, drawn once; rhythm above 0: accents at irregular times; density above 0:
    short ones, more often; below 0: rests. The other directions are left to the selection of segments.
    """
    frames = len(pulse)
    beating, accenting, striking, resting = rng.spawn(4)
    gain = np.zeros(frames)
    if (pulse > 0).any():
        beat = beating.uniform(*_BEAT_SECONDS) * frame_rate
        gain += _decay(np.arange(frames) % beat, np.maximum(pulse, 0) * _BEAT_DB, _BEAT_FALL * frame_rate)
    for drive, rate, depth, fall, generator in (
        (np.maximum(rhythm, 0), _ACCENTS, _ACCENT_DB, _ACCENT_FALL, accenting),
        (np.maximum(density, 0), _EVENTS, _EVENT_DB, _EVENT_FALL, striking),
    ):
        if drive.any():
            since = _since_onset(drive * rate / frame_rate, generator)
            gain += _decay(since, depth * np.minimum(1, 2 * drive), fall * frame_rate)
    if (density < 0).any():
        gain += _rests(np.maximum(-density, 0), frame_rate, resting)
    return gain.astype(np.float32) if gain.any() else None


def _decay(since: np.ndarray, depth_db: np.ndarray, fall: float) -> np.ndarray:
    """Gain in dB, 0 at each onset and `depth_db` less long after it; `since` counts frames from the last onset."""
    return -depth_db * (1 - np.exp(-since / fall))


def _since_onset(rate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frames since the last of onsets at uneven times, [T]; `rate` [T] is how many come a frame on average."""
    passed, frames = np.cumsum(rate), np.arange(len(rate))
    due = np.cumsum(rng.uniform(1 - _UNEVEN, 1 + _UNEVEN, int(passed[-1] / (1 - _UNEVEN)) + 2))
    number = np.searchsorted(due, passed, "right")
    onset = np.append(True, number[1:] > number[:-1])
    return frames - np.maximum.accumulate(np.where(onset, frames, 0))


def _rests(share: np.ndarray, frame_rate: float, rng: np.random.Generator) -> np.ndarray:
    """Gain in dB of sound and silence by turns, silent for `share` [T] of the time (0…1.2, of _MOST_REST)."""
    frames, gain, at = len(share), np.zeros(len(share)), 0
    while at < frames:
        sound = int(rng.uniform(*_SOUND_SECONDS) * frame_rate)
        silent = min(0.97, share[min(at, frames - 1)] * _MOST_REST)
        rest = int(sound * silent / (1 - silent))
        begin, end = at + sound, min(at + sound + rest, frames)
        if begin < end:
            release = np.arange(end - begin) / (_RELEASE_SECONDS * frame_rate)
            rise = (end - np.arange(begin, end)) / (_RISE_SECONDS * frame_rate)
            gain[begin:end] = _REST_DB * np.minimum(np.minimum(release, 1), rise)
        at += sound + rest
    return gain


# Variances of the targets, how far the mean may stay from them for the sake of variety: where one is moved, and not.
_SLACK, _LOOSE = 0.02, 0.06
_STEPS = 50
_CLOSE = 1e-8


def reweighted(values: np.ndarray, target: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Log weights [W] of the segments under which the mean of `values` [W, K] is near `target` [K].

    `moved` [K] says which columns are to change; the others are to stay. Values and target are in standard deviations.

    Of all such weights those nearest to equal ones (maximum entropy, Jaynes 1957): proportional to exp(values @ tilt),
    where the tilt minimises a convex function, by Newton's method. A target that no weights can reach is approached: it
    is taken to be uncertain (Dudík, Phillips and Schapire 2004, "Performance guarantees for regularized maximum entropy
    density estimation").
    """
    centred = values - values.mean(0)
    shift = target - values.mean(0)
    tilt, slack = np.zeros(values.shape[1]), np.where(moved, _SLACK, _LOOSE)

    def cost(tilt: np.ndarray) -> float:
        return np.logaddexp.reduce(centred @ tilt) - shift @ tilt + slack @ np.square(tilt) / 2

    for _ in range(_STEPS):
        scores = centred @ tilt
        weights = np.exp(scores - np.logaddexp.reduce(scores))
        mean = weights @ centred
        slope = mean - shift + slack * tilt
        spread = (centred * weights[:, None]).T @ centred - np.outer(mean, mean)
        step = np.linalg.solve(spread + np.diag(slack), slope)
        step *= min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))  # far from the minimum a whole step goes too far
        # And so does a shorter one where an outlier takes all the weight: halved until the cost falls (Armijo's rule).
        here = cost(tilt)
        while cost(tilt - step) > here - 0.1 * slope @ step and np.abs(step).max() > _CLOSE:
            step = step / 2
        tilt = tilt - step
        if np.abs(step).max() < _CLOSE:
            break
    scores = centred @ tilt
    return scores - np.logaddexp.reduce(scores)


_COUNT = (FRAMES, 2 * FRAMES + 1)  # latent frames of a grain, 1.5 to 3 s
_JITTER = 4
_LEAST_REST = 8
AXIS_SHARE = 0.5
_BROUGHT = np.array([BROUGHT.get(name, 0.0) for name in NAMES])


@dataclass(frozen=True)
class Grain:
    """Frames first … first + count of the corpus's latents, to begin at frame `at`; `segment` is its number."""

    at: int
    first: int
    count: int
    segment: int


class Selection:
    """Draws grains for the sliders' positions.

    Each segment has a Gumbel-distributed score that drifts from grain to grain; the largest sum of score and log weight
    wins (Gumbel-max: Maddison, Tarlow and Minka 2014). So a segment comes with exactly its weight, the drift says how
    fast one gives way to another, and moving a slider exchanges only those segments that no longer suit.
    """

    def __init__(
        self, segments: Segments, analysis: Analysis | None, controls: Controls, coordinates: np.ndarray | None
    ):
        self._segments, self._analysis, self._controls = segments, analysis, controls
        self._coordinates = coordinates
        self._known: dict[bytes, np.ndarray] = {}

    def log_weights(self, seconds: float) -> np.ndarray:
        """Log weights [W] for the sliders' positions at a time."""
        if self._analysis is None or not self._controls.curves:
            return np.zeros(len(self._segments))
        at = np.array([seconds])
        positions = np.round(self._controls.descriptors(at)[:, 0], 1)
        axes = {number: round(float(curve.at(at)[0]), 1) for number, curve in self._controls.axes().items()}
        key = positions.tobytes() + repr(axes).encode()
        if key not in self._known:
            self._known[key] = self._reweighted(positions, axes)
        return self._known[key]

    def _reweighted(self, positions: np.ndarray, axes: dict[int, float]) -> np.ndarray:
        if not positions.any() and not any(axes.values()):
            return np.zeros(len(self._segments))
        analysis = self._analysis
        values = (analysis.values - analysis.values.mean(0)) / analysis.spread
        target = analysis.targets(positions) * (1 - analysis.delivered)
        target = np.where(target > 0, target * (1 - _BROUGHT), target)
        for number, position in axes.items():
            values = np.column_stack([values, self._coordinates[:, number]])
            target = np.append(target, axis_target(position) * (1 - AXIS_SHARE))
        moved = np.append(positions != 0, np.ones(len(axes), bool))
        return reweighted(values, target, moved)

    def grains(
        self,
        frames: int,
        latent_rate: float,
        evolution: float,
        overlap: int,
        rng: np.random.Generator,
        apart: tuple[int, int] | None = None,
    ) -> Iterator[Grain]:
        """Grains that cover `frames` latent frames; two overlap by `overlap` frames, or by half of the shorter one.

        evolution: 0 stays with one segment, 1 draws each anew. apart: each begins so many frames (from, to) after the
        one before, however long it is.
        """
        segments, keep = self._segments, np.cos(np.pi / 2 * evolution)
        drift = rng.standard_normal(len(segments))
        end, before = 0, None
        while end < frames:
            uniform = torch.special.ndtr(torch.from_numpy(drift)).numpy()
            scores = self.log_weights(end / latent_rate) - np.log(-np.log(np.clip(uniform, 1e-12, 1 - 1e-12)))
            wanted, jitter = int(rng.integers(*_COUNT)), int(rng.integers(-_JITTER, _JITTER + 1))
            number = int(scores.argmax())
            first = self._first(number, jitter, before, overlap)
            count = min(wanted, int(segments.end[number]) - first)
            common = 0 if before is None else min(overlap, before.count // 2, count // 2)
            before = Grain(end - common, first, count, number)
            yield before
            end = before.at + (count if apart is None else int(rng.integers(*apart)))
            drift = keep * drift + np.sqrt(1 - keep**2) * rng.standard_normal(len(segments))

    def _first(self, number: int, jitter: int, before: Grain | None, overlap: int) -> int:
        """The frame that a grain of this segment begins with."""
        segments = self._segments
        own, end = int(segments.first[number]), int(segments.end[number])
        if before is not None and segments.end[before.segment] == end:
            # The same recording once more: it goes on, rather than to begin again.
            onward = before.first + before.count
            if abs(onward - own) <= FRAMES and end - onward >= _LEAST_REST:
                # The frames of the overlap are the same ones, at the same time.
                return onward - min(overlap, before.count // 2)
        chunk = int(segments.first[np.searchsorted(segments.end, end)])  # the first segment with the same end
        return max(chunk, min(own + jitter, end - _LEAST_REST))


def axis_target(position: float) -> float:
    """How far along an axis, in standard deviations: at a position of 10 as far as the 98th percentile."""
    return position / 10 * 2.05
