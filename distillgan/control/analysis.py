"""Measurement of a corpus's segments, and of what moves them, on sound that the model itself renders."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, log1p_to_log_clamp
from distillgan.compute import counted, in_order
from distillgan.control.latents import FRAMES, CorpusLatents, Segments
from distillgan.control.sliders import PERCENTILES, POSITIONS, Analysis, Axes, Controls, Curve
from distillgan.control.trajectory import DIRECT, Material, SamplingStrategy, decode, draw, mel_blocks
from distillgan.features.descriptors import DESCRIPTORS, NAMES, describe, mean_known, windows_of
from distillgan.models.base import LatentModel

Play = Callable[[Tensor], np.ndarray]  # log-clamp mel [1, n_mels, T] → wave float32 [T * hop_length]

_SPECTRAL = [number for number, item in enumerate(DESCRIPTORS) if not item.temporal]
_RIDGE = 0.05
_DAMPING = 0.05
_LONGEST = 3.0  # standard deviations of the latent that a direction may move for one of its descriptor's


class Analyser:
    """Measures a model's corpus through `play`, a vocoder.

    seconds, seeds: how long and how often each position of each slider is rendered; probes: the number of segments that
    the directions of the spectral descriptors are tried on.
    """

    def __init__(
        self,
        network: LatentModel,
        spec: MelSpec,
        corpus: CorpusLatents,
        play: Play,
        seconds: float,
        seeds: int,
        probes: int = 16,
    ):
        self.network, self.spec, self.corpus, self.play = network, spec, corpus, play
        self.segments = Segments.of(corpus)
        self.seconds, self.seeds, self.probes = seconds, seeds, probes
        self.latent_samples = spec.hop_length * network.stride
        self._step: Callable[[], None] = lambda: None

    @torch.inference_mode()
    def run(self, progress: Callable[[int, int], None] = lambda done, total: None) -> Analysis:
        """The same analysis each time; `progress` is called with parts done and in all."""
        renders = self.seeds * (1 + len(NAMES) * (len(POSITIONS) - 1))
        total = self.corpus.chunks + 2 * len(_SPECTRAL) + renders
        steps = iter(range(1, total + 1))
        self._step = lambda: progress(next(steps), total)
        values = self._described()
        known = np.isfinite(values).mean(0)
        means = np.nan_to_num(mean_known(values))
        percentiles = np.stack([_percentiles(column) for column in values.T])
        filled = np.where(np.isfinite(values), values, means)
        axes = Axes.of(self.corpus)
        directions, delivered = self._directions(filled, axes)
        still = np.zeros((len(NAMES), len(POSITIONS), len(NAMES)))
        analysis = Analysis(filled, known, percentiles, directions, delivered, still, axes)
        return replace(analysis, response=self._response(analysis))

    def _described(self) -> np.ndarray:
        """The descriptors of each segment, [W, 8], NaN where undefined."""
        firsts = np.searchsorted(self.segments.end, self.corpus.starts[1:])
        lasts = np.searchsorted(self.segments.end, self.corpus.starts[1:], "right")
        return np.concatenate(self._each(self._chunk, zip(range(self.corpus.chunks), firsts, lasts, strict=True)))

    def _chunk(self, which: tuple[int, int, int]) -> np.ndarray:
        """The descriptors of a chunk's own segments, from the first to before the last."""
        number, first, last = which
        begin = self.segments.first[first:last] - int(self.corpus.starts[number])
        windows = np.stack([begin, begin + self.segments.count[first:last]], 1) * self.latent_samples
        return describe(self.play(self._mel(self.corpus.chunk(number).T)), self.spec.sample_rate, windows)

    def _mel(self, z: Tensor) -> Tensor:
        return counted(log1p_to_log_clamp, decode(self.network, z, z.shape[-1] * self.network.stride), self.spec)

    def _directions(self, values: np.ndarray, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
        """What to add to the latent for a standard deviation more of a spectral descriptor, [8, D], and its yield, [8].

        The yield is how much of that reaches rendered sound for DIRECT of it. A ridge regression of the segments' means
        on all descriptors together says where the latent goes when one alone changes. These directions are then
        rendered on some segments, and mixed so that each moves its own descriptor and little else.
        """
        z = self.corpus.z.numpy()
        directions, delivered = np.zeros((len(NAMES), z.shape[1])), np.zeros(len(NAMES))
        if len(axes.spread) == 0:
            for _ in range(2 * len(_SPECTRAL)):
                self._step()
            return directions, delivered
        spread = np.maximum(values.std(0), 1e-6)
        scaled = np.clip((values - values.mean(0)) / spread, -3, 3)
        coordinates = axes.coordinates(self.segments.means(z))
        gram = scaled.T @ scaled + _RIDGE * len(scaled) * np.eye(len(NAMES))
        found = (np.linalg.solve(gram, scaled.T @ coordinates) * axes.spread @ axes.directions)[_SPECTRAL]
        probed = self._each(self._probe, [sign * direction for direction in found for sign in (1, -1)])
        both = zip(probed[::2], probed[1::2], strict=True)
        effect = [np.nan_to_num(mean_known(more - less)) / 2 / spread for more, less in both]
        effect = np.clip(np.array(effect), -2, 2)[:, _SPECTRAL]  # [4 directions, 4 descriptors], standard deviations
        mixing = np.linalg.solve(effect @ effect.T + _DAMPING * np.eye(len(effect)), effect).T
        mixed = mixing @ found
        length = np.linalg.norm(mixed @ axes.directions.T / axes.spread, axis=1)
        shrink = np.minimum(1, _LONGEST / np.maximum(length, 1e-9))
        directions[_SPECTRAL] = mixed * shrink[:, None]
        delivered[_SPECTRAL] = DIRECT * np.clip(shrink * np.diag(mixing @ effect), 0, 1)
        return directions, delivered

    def _probe(self, offset: np.ndarray) -> np.ndarray:
        """The descriptors of some segments with `offset` [D] added, [P, 8]."""
        chosen = np.unique(np.linspace(0, len(self.segments) - 1, self.probes).round().astype(int))
        z = self.corpus.z.numpy()
        parts = []
        for number in chosen:
            first, count = self.segments.first[number], self.segments.count[number]
            parts.append(np.resize(z[first : first + count], (FRAMES, z.shape[1])))
        played = self.play(self._mel(torch.from_numpy((np.concatenate(parts) + offset).T.astype(np.float32))))
        begin = np.arange(len(chosen))[:, None] * FRAMES
        return describe(played, self.spec.sample_rate, (begin + np.array([0, FRAMES])) * self.latent_samples)

    def _response(self, analysis: Analysis) -> np.ndarray:
        """The descriptors of rendered sound with each slider at each of POSITIONS, [8, 5, 8]; means over the seeds."""
        material = Material(self.corpus, analysis, self.spec.frame_rate, self.network.stride)

        def rendered(setting: tuple[Controls, int]) -> np.ndarray:
            controls, seed = setting
            frames = round(self.seconds * self.spec.frame_rate)
            trajectory = draw(material, controls, frames, seed, SamplingStrategy())
            wave = self.play(torch.cat(list(mel_blocks(self.network, self.spec, trajectory)), -1))
            return describe(wave, self.spec.sample_rate, windows_of(len(wave), self.spec.sample_rate))

        moved = [(slider, place) for slider in range(len(NAMES)) for place, at in enumerate(POSITIONS) if at]
        settings = [Controls(), *(Controls({NAMES[s]: Curve((0.0,), (POSITIONS[p],))}) for s, p in moved)]
        values = self._each(rendered, [(controls, seed) for controls in settings for seed in range(self.seeds)])
        starts = range(0, len(values), self.seeds)
        means = np.array([mean_known(np.concatenate(values[at : at + self.seeds])) for at in starts])
        means = np.where(np.isfinite(means), means, analysis.values.mean(0))
        response = np.tile(means[0], (*analysis.response.shape[:2], 1))
        response[tuple(np.transpose(moved))] = means[1:]
        return response

    def _each(self, function: Callable, items: Iterable) -> list:
        """function(item) of each item, side by side on a CPU; each is a step of progress."""
        found, on_cpu = [], next(self.network.parameters()).device.type == "cpu"
        with closing(in_order(function, items, on_cpu)) as results:
            for result in results:
                found.append(result)
                self._step()
        return found


def _percentiles(column: np.ndarray) -> np.ndarray:
    known = column[np.isfinite(column)]
    return np.percentile(known, PERCENTILES) if len(known) else np.zeros(len(PERCENTILES))
