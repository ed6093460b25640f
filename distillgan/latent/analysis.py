"""What the moments of a corpus are like and how to move them: measured on sound that the model itself renders."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, log1p_to_log_clamp
from distillgan.latent.axes import Axes
from distillgan.latent.controls import Controls
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.curves import Curve
from distillgan.latent.descriptors import DESCRIPTORS, NAMES, describe, mean_known, windows_of
from distillgan.latent.moments import FRAMES, Moments
from distillgan.latent.sliders import PERCENTILES, POSITIONS, Analysis
from distillgan.latent.sounding import decode, mel_blocks
from distillgan.latent.trajectory import DIRECT, Material, Path, draw
from distillgan.vae.network import VAENetwork

Play = Callable[[Tensor], np.ndarray]  # log-clamp mel [1, n_mels, T] → wave float32 [T * hop_length]

_TIMBRES = [number for number, item in enumerate(DESCRIPTORS) if not item.temporal]
_RIDGE = 0.05
_DAMPING = 0.05
_LONGEST = 3.0  # standard deviations of the latent that a direction may move for one of its descriptor's


class Analyser:
    """Measures a model's corpus through `play`, a vocoder.

    seconds, seeds: how long and how often each position of each slider is rendered to measure what it does; probes: the
    number of moments that the directions of timbre are tried on.
    """

    def __init__(
        self,
        network: VAENetwork,
        spec: MelSpec,
        corpus: CorpusLatents,
        play: Play,
        seconds: float,
        seeds: int,
        probes: int = 16,
    ):
        self.network, self.spec, self.corpus, self.play = network, spec, corpus, play
        self.moments = Moments.of(corpus)
        self.seconds, self.seeds, self.probes = seconds, seeds, probes
        self.latent_samples = spec.hop_length * network.stride

    @torch.inference_mode()
    def run(self, progress: Callable[[int, int], None] | None = None) -> Analysis:
        """`progress` is told of parts done and in all. Deterministic."""
        renders = self.seeds * (1 + len(NAMES) * (len(POSITIONS) - 1))
        total = self.corpus.pieces + 2 * len(_TIMBRES) + renders
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)

        values = self._described(step)
        known = np.isfinite(values).mean(0)
        means = np.nan_to_num(mean_known(values))
        percentiles = np.stack([_percentiles(column) for column in values.T])
        filled = np.where(np.isfinite(values), values, means)
        axes = Axes.of(self.corpus)
        directions, delivered = self._directions(filled, axes, step)
        still = np.zeros((len(NAMES), len(POSITIONS), len(NAMES)))
        analysis = Analysis(filled, known, percentiles, directions, delivered, still, axes)
        return replace(analysis, response=self._response(analysis, step))

    def _described(self, step: Callable[[], None]) -> np.ndarray:
        """The descriptors of each moment, [W, 8], NaN where undefined."""
        parts, first = [], 0
        for number in range(self.corpus.pieces):
            z = self.corpus.piece(number).T
            count = int((self.moments.end == int(self.corpus.starts[number + 1])).sum())
            own = slice(first, first + count)
            begin = self.moments.first[own] - int(self.corpus.starts[number])
            windows = np.stack([begin, begin + self.moments.count[own]], 1) * self.latent_samples
            parts.append(describe(self.play(self._mel(z)), self.spec.sample_rate, windows))
            first += count
            step()
        return np.concatenate(parts)

    def _mel(self, z: Tensor) -> Tensor:
        return log1p_to_log_clamp(decode(self.network, z, z.shape[-1] * self.network.stride), self.spec)

    def _directions(self, values: np.ndarray, axes: Axes, step: Callable[[], None]) -> tuple[np.ndarray, np.ndarray]:
        """For each timbre what to add to the latent for a standard deviation more of it, [8, D]; and how much comes of

        DIRECT of that, [8].

        A ridge regression of the moments' means on all descriptors together says where the latent goes when one alone
        changes. What those directions do is heard by adding them to some moments, and they are mixed so that each does
        its own and little else.
        """
        z = self.corpus.z.numpy()
        directions, delivered = np.zeros((len(NAMES), z.shape[1])), np.zeros(len(NAMES))
        if len(axes.spread) == 0:
            for _ in range(2 * len(_TIMBRES)):
                step()
            return directions, delivered
        spread = np.maximum(values.std(0), 1e-6)
        scaled = np.clip((values - values.mean(0)) / spread, -3, 3)
        coordinates = axes.coordinates(self.moments.means(z))
        gram = scaled.T @ scaled + _RIDGE * len(scaled) * np.eye(len(NAMES))
        found = (np.linalg.solve(gram, scaled.T @ coordinates) * axes.spread @ axes.directions)[_TIMBRES]
        heard = []
        for direction in found:
            both = []
            for sign in (1, -1):
                both.append(self._probe(sign * direction))
                step()
            heard.append(np.nan_to_num(mean_known(both[0] - both[1])) / 2 / spread)
        heard = np.clip(np.array(heard), -2, 2)[:, _TIMBRES]  # [4 directions, 4 timbres], in standard deviations
        mixing = np.linalg.solve(heard @ heard.T + _DAMPING * np.eye(len(heard)), heard).T
        mixed = mixing @ found
        length = np.linalg.norm(mixed @ axes.directions.T / axes.spread, axis=1)
        shrink = np.minimum(1, _LONGEST / np.maximum(length, 1e-9))
        directions[_TIMBRES] = mixed * shrink[:, None]
        delivered[_TIMBRES] = DIRECT * np.clip(shrink * np.diag(mixing @ heard), 0, 1)
        return directions, delivered

    def _probe(self, offset: np.ndarray) -> np.ndarray:
        """The descriptors of some moments with `offset` [D] added, [P, 8]."""
        chosen = np.unique(np.linspace(0, len(self.moments) - 1, self.probes).round().astype(int))
        z = self.corpus.z.numpy()
        parts = []
        for number in chosen:
            first, count = self.moments.first[number], self.moments.count[number]
            parts.append(np.resize(z[first : first + count], (FRAMES, z.shape[1])))
        played = self.play(self._mel(torch.from_numpy((np.concatenate(parts) + offset).T.astype(np.float32))))
        begin = np.arange(len(chosen))[:, None] * FRAMES
        return describe(played, self.spec.sample_rate, (begin + np.array([0, FRAMES])) * self.latent_samples)

    def _response(self, analysis: Analysis, step: Callable[[], None]) -> np.ndarray:
        """The descriptors of rendered sound with each slider at each of POSITIONS, [8, 5, 8]."""
        material = Material(self.corpus, analysis, self.spec.frame_rate, self.network.stride)
        neutral = self._rendered(material, Controls(), analysis, step)
        response = np.empty_like(analysis.response)
        for slider, name in enumerate(NAMES):
            for place, position in enumerate(POSITIONS):
                if position == 0:
                    response[slider, place] = neutral
                else:
                    controls = Controls({name: Curve((0.0,), (position,))})
                    response[slider, place] = self._rendered(material, controls, analysis, step)
        return response

    def _rendered(
        self, material: Material, controls: Controls, analysis: Analysis, step: Callable[[], None]
    ) -> np.ndarray:
        """Mean descriptors over the seeds, [8]; that of the corpus where one is undefined throughout."""
        frames, values = round(self.seconds * self.spec.frame_rate), []
        for seed in range(self.seeds):
            trajectory = draw(material, controls, frames, seed, Path())
            wave = self.play(torch.cat(list(mel_blocks(self.network, self.spec, trajectory)), -1))
            values.append(describe(wave, self.spec.sample_rate, windows_of(len(wave), self.spec.sample_rate)))
            step()
        found = mean_known(np.concatenate(values))
        return np.where(np.isfinite(found), found, analysis.values.mean(0))


def _percentiles(column: np.ndarray) -> np.ndarray:
    known = column[np.isfinite(column)]
    return np.percentile(known, PERCENTILES) if len(known) else np.zeros(len(PERCENTILES))
