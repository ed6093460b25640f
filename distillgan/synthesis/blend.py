"""Loaded models under their controls, alone or blended, and the sound that they render, block by block.

Several models at once: their mels morphed into one that one vocoder plays, or their waves mixed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.control.sliders import Analysis, Controls, Curve
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.models.base import Vocoder
from distillgan.synthesis.renderer import Model, play, reconstruct_blocks, rendered_mels, samples_of
from distillgan.synthesis.request import RenderRequest

_FRAMES = 256  # mel frames that are morphed at once
_MEAN_OF = 1000  # moments of a weight that moves


def morphed(weights: Sequence[Curve], mels: list[Iterable[Tensor]], spec: MelSpec) -> Iterator[Tensor]:
    """Log-clamp mels, each in blocks [1, n_mels, t], as many frames each → their weighted mean, in blocks.

    In the logarithm, so that half of a loud and half of a quiet spectrum are one in the middle.
    """
    first = 0
    for blocks in zip(*(_even(mel) for mel in mels), strict=True):
        seconds = (first + np.arange(blocks[0].shape[-1])) / spec.frame_rate
        shares = map(torch.from_numpy, _shares(weights, seconds))
        yield sum(share * block for share, block in zip(shares, blocks, strict=True))
        first += blocks[0].shape[-1]


def mixed(weights: Sequence[Curve], waves: list[Iterable[np.ndarray]], rate: int) -> Iterator[np.ndarray]:
    """Waves in blocks [1, n], as many samples each → their weighted sum, in blocks; the weights' squares add up to 1.

    So that sounds which know nothing of each other are together as loud as each was.
    """
    first = 0
    for blocks in zip(*waves, strict=True):
        seconds = (first + np.arange(blocks[0].shape[-1])) / rate
        gains = np.sqrt(np.stack(_shares(weights, seconds)))
        yield sum(gain * block for gain, block in zip(gains, blocks, strict=True)).astype(np.float32)
        first += blocks[0].shape[-1]


def loudness(weights: Sequence[Curve], lufs: list[float], seconds: float, mode: str) -> float:
    """How loud a blend is whose models are of these LUFS: morphed in the mean of the logarithm, mixed in that of power.

    The mean is one over the whole time, as the weights go.
    """
    times = (np.arange(_MEAN_OF) + 0.5) * seconds / _MEAN_OF
    shares = np.array([share.mean(dtype=np.float64) for share in _shares(weights, times)])
    levels = np.array(lufs)
    return float(shares @ levels if mode == "mel" else 10 * np.log10(shares @ 10 ** (levels / 10)))


def _shares(weights: Sequence[Curve], seconds: np.ndarray) -> list[np.ndarray]:
    values = np.stack([weight.at(seconds) for weight in weights])
    return list((values / values.sum(0)).astype(np.float32))


def _even(blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same frames in blocks of _FRAMES: those of models with other strides have other lengths."""
    waiting = None
    for block in blocks:
        waiting = block if waiting is None else torch.cat([waiting, block], -1)
        while waiting.shape[-1] >= _FRAMES:
            yield waiting[..., :_FRAMES]
            waiting = waiting[..., _FRAMES:]
    if waiting is not None and waiting.shape[-1]:
        yield waiting


@dataclass(frozen=True)
class LoadedSource:
    """A model, the positions of its sliders, and its weight in a blend; None if it plays alone."""

    model: Model
    controls: Controls
    weight: Curve | None = None


def load_sources(
    request: RenderRequest, find: Callable[[str | None], Path], device: torch.device
) -> tuple[list[LoadedSource], list[str]]:
    """The model or models that a request names, and warnings. In a blend each control moves those that have it.

    Raises:
        UserError: a model cannot be found or loaded, two names are one model, the models' mels differ, or a control is
            unknown or inactive (in a blend: in every model).
    """
    if not request.blend:
        model = Model.load(find(request.model), device)
        controls, warnings = controls_for(model, request.controls)
        return [LoadedSource(model, controls)], warnings
    named: dict[Path, str] = {}
    for source in request.blend:  # a name may be written as its beginning, or as a file
        path = find(source.model)
        if (other := named.setdefault(path.resolve(), source.model)) != source.model:
            words = [str(source) for source in request.blend]
            raise UserError(f"blend={words}: {other} and {source.model} are one model, {path.stem}: give it one weight")
    models = [Model.load(find(source.model), device) for source in request.blend]
    for model in models[1:]:
        models[0].spec.require(model.spec, f"model {models[0].header.name}", f"model {model.header.name}")
    curves, warnings = [{} for _ in models], []
    for control, value in request.controls.items():
        refusals = []
        for found, model in zip(curves, models, strict=True):
            try:
                controls, clamped = controls_for(model, {control: value})
            except UserError as refusal:
                refusals.append(refusal)
                continue
            found |= controls.curves
            warnings += clamped
        if len(refusals) == len(models):
            raise refusals[0]
        warnings += map(str, refusals)
    loaded = zip(models, curves, request.blend, strict=True)
    sources = [LoadedSource(model, Controls(found), source.curve) for model, found, source in loaded]
    return sources, list(dict.fromkeys(warnings))


def controls_for(model: Model, controls: Mapping[str, float | str | None]) -> tuple[Controls, list[str]]:
    """A request's controls as one model takes them, and warnings. Raises UserError as `Controls.parse`."""
    return Controls.parse(controls, model.analysis, model.header.name, model.header.sliders_pending)


class Rendering:
    """New sound of one model or a blend: `blocks` are float32 [1, n], `samples` in all; `request.count` is one of them.

    Raises UserError if the vocoder's mel is another. `spent`: seconds for which it has been rendered already, see
    `prepared`.
    """

    spent = 0.0
    _ready: list[np.ndarray] | None = None

    def __init__(self, sources: list[LoadedSource], vocoder: Vocoder, request: RenderRequest):
        self.sources, self.vocoder, self.request = sources, vocoder, request
        self.spec: MelSpec = sources[0].model.spec
        self.samples, self._frames = samples_of(request.seconds, self.spec)
        self.spec.require(vocoder.spec, f"model {sources[0].model.header.name}", "the vocoder")

    @property
    def analysis(self) -> Analysis | None:
        """What the sound can be compared with: the recordings of its only model."""
        return self.sources[0].model.analysis if len(self.sources) == 1 else None

    @property
    def full_scale(self) -> float:
        """The level at which a vocoder has clipped; what waves that are mixed come to says nothing of that."""
        return np.inf if len(self.sources) > 1 and self.request.blend_mode == "audio" else 1.0

    @property
    def source_lufs(self) -> float | None:
        """How loud the recordings are, as `Header.source_lufs`; of a blend the mean; None if a model does not tell."""
        known = [source.model.header.source_lufs for source in self.sources]
        if None in known or len(known) == 1:
            return None if None in known else known[0]
        return loudness(self._weights, known, self.samples / self.spec.sample_rate, self.request.blend_mode)

    @property
    def _weights(self) -> list[Curve]:
        return [source.weight for source in self.sources]

    def prepared(self) -> "Rendering":
        """The same, its blocks rendered: it is a short one, and several are prepared side by side."""
        begun = time.perf_counter()
        self._ready = list(self._blocks(second=False))
        self.spent = time.perf_counter() - begun
        return self

    def blocks(self) -> Iterator[np.ndarray]:
        return self._blocks(second=False) if self._ready is None else iter(self._ready)

    def second(self) -> Iterator[np.ndarray] | None:
        """The same events with other slow deviations, in the same blocks; None if there are no deviations."""
        return self._blocks(second=True) if self.request.evolution else None

    def _blocks(self, second: bool) -> Iterator[np.ndarray]:
        seed, strategy = self.request.seed, self.request.strategy
        mels = [rendered_mels(s.model, s.controls, self._frames, seed, strategy, second) for s in self.sources]
        limits = [source.model.band_limit_hz for source in self.sources]
        if len(mels) == 1:
            return play(self.vocoder, mels[0], self.samples, limits[0])
        if self.request.blend_mode == "mel":
            widest = max(limits) if all(limits) else 0.0
            return play(self.vocoder, morphed(self._weights, mels, self.spec), self.samples, widest)
        waves = [play(self.vocoder, mel, self.samples, limit) for mel, limit in zip(mels, limits, strict=True)]
        return mixed(self._weights, waves, self.spec.sample_rate)

    def parameters(self) -> dict:
        """As plain types: with the seed and the vocoder enough to render the same again."""
        return {
            "models": [_model(source) for source in self.sources],
            "blend_mode": self.request.blend_mode if len(self.sources) > 1 else None,
            "path": self.request.path,
            "evolution": self.request.strategy.evolution,
            "source": self.request.source,
        }


class Reconstruction:
    """A recording through a model under its controls; the rest as of Rendering."""

    spent = 0.0

    def __init__(self, source: LoadedSource, vocoder: Vocoder, request: RenderRequest, clip: AudioClip):
        self.source, self.vocoder, self.request, self.clip = source, vocoder, request, clip
        self.spec, self.samples, self.analysis = source.model.spec, clip.length, source.model.analysis
        self.full_scale, self.source_lufs = 1 / clip.gain, clip.lufs

    def blocks(self) -> Iterator[np.ndarray]:
        return reconstruct_blocks(self.source.model, self.vocoder, self.clip, self.source.controls)

    def second(self) -> None:
        """A recording is one sound: there is no second."""

    def parameters(self) -> dict:
        return {"models": [_model(self.source)], "path": "reconstruct", "recording": self.clip.name}


def _model(source: LoadedSource) -> dict:
    header = source.model.header
    return {
        "name": header.name,
        "fingerprint": header.fingerprint,
        "weight": None if source.weight is None else source.weight.to_value(),
        "controls": source.controls.to_dict(),
    }
