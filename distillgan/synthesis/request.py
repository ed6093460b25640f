"""A sound that is to be rendered: one model, a recording, or a blend of several.

Several models at once: their mels morphed into one that one vocoder plays, or their waves mixed.

What is to be rendered: one model or several under their controls, or a recording; as blocks, and as parameters.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.control.sliders import Analysis, Controls, Curve
from distillgan.control.trajectory import SamplingStrategy as Way
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError, number, whole
from distillgan.models.base import Vocoder
from distillgan.synthesis.renderer import Model, play, reconstruct_blocks, rendered_mels, samples_of

MODES = ("mel", "audio")
MOST = 4
_FRAMES = 256  # mel frames that are morphed at once
_MEAN_OF = 1000  # moments of a weight that moves


@dataclass(frozen=True)
class Part:
    """One model of a blend, by name, and its weight over time (0 or more)."""

    model: str
    weight: Curve


def parse(words: object) -> list[Part]:
    """["rain:60", "wind:40"], or with weights over time "rain:0:100 8:0", → parts.

    Raises:
        UserError: there are not 2 to 4 of them, one is not name:weight, a weight is negative, or none is ever above 0.
    """
    if not isinstance(words, list) or not 2 <= len(words) <= MOST:
        raise UserError(
            f"blend={words} must list 2 to {MOST} models with their weights, such as blend=[rain:60,wind:40]"
        )
    parts = []
    for word in words:
        name, colon, weight = str(word).partition(":")
        if not name or not colon:
            raise UserError(f"blend: {word!r} must be a model and its weight, such as rain:60")
        try:
            value = float(weight)
        except ValueError:
            value = weight
        curve = Curve.parse(f"blend: the weight of {name}", value)
        if curve.extremes[0] < 0:
            raise UserError(f"blend: the weight of {name} ({weight}) must be 0 or more")
        parts.append(Part(name, curve))
    names = [part.model for part in parts]
    if len(set(names)) < len(names):
        raise UserError(f"blend={words} names a model twice: give it one weight")
    ends = sorted({second for part in parts for second in part.weight.seconds})
    if min(sum(part.weight.at(np.array(ends)) for part in parts)) <= 0:
        raise UserError(f"blend={words}: at some time all weights are 0")
    return parts


def morphed(parts: list[Part], mels: list[Iterable[Tensor]], spec: MelSpec) -> Iterator[Tensor]:
    """Log-clamp mels, each in blocks [1, n_mels, t], as many frames each → their weighted mean, in blocks.

    In the logarithm, so that half of a loud and half of a quiet spectrum are one in the middle.
    """
    first = 0
    for blocks in zip(*(_even(mel) for mel in mels), strict=True):
        seconds = (first + np.arange(blocks[0].shape[-1])) / spec.frame_rate
        yield sum(torch.from_numpy(share) * block for share, block in zip(_shares(parts, seconds), blocks, strict=True))
        first += blocks[0].shape[-1]


def mixed(parts: list[Part], waves: list[Iterable[np.ndarray]], rate: int) -> Iterator[np.ndarray]:
    """Waves in blocks [1, n], as many samples each → their weighted sum, in blocks; the weights' squares add up to 1.

    So that sounds which know nothing of each other are together as loud as each was.
    """
    first = 0
    for blocks in zip(*waves, strict=True):
        seconds = (first + np.arange(blocks[0].shape[-1])) / rate
        gains = np.sqrt(np.stack(_shares(parts, seconds)))
        yield sum(gain * block for gain, block in zip(gains, blocks, strict=True)).astype(np.float32)
        first += blocks[0].shape[-1]


def loudness(parts: list[Part], lufs: list[float], seconds: float, mode: str) -> float:
    """How loud a blend is whose models are of these LUFS: morphed in the mean of the logarithm, mixed in that of power.

    The mean is one over the whole time, as the weights go.
    """
    times = (np.arange(_MEAN_OF) + 0.5) * seconds / _MEAN_OF
    shares = np.array([share.mean(dtype=np.float64) for share in _shares(parts, times)])
    levels = np.array(lufs)
    return float(shares @ levels if mode == "mel" else 10 * np.log10(shares @ 10 ** (levels / 10)))


def _shares(parts: list[Part], seconds: np.ndarray) -> list[np.ndarray]:
    weights = np.stack([part.weight.at(seconds) for part in parts])
    return list((weights / weights.sum(0)).astype(np.float32))


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
class Voice:
    """A model and the positions of its sliders; `part` is its place in a blend, None if it plays alone."""

    model: Model
    controls: Controls
    part: Part | None


def open_voices(
    settings: Mapping, find: Callable[[str | None], Path], device: torch.device
) -> tuple[list[Voice], list[str]]:
    """The model or models that a configuration names, and warnings.

    In a blend each control moves those models that have it.

    Raises:
        UserError: a model cannot be found or loaded, the blend is none, the models' mels differ, or a control is
            unknown or inactive (in a blend: in every model).
    """
    words, name, wanted = settings["blend"]["models"], settings["model"]["name"], settings["controls"] or {}
    if not isinstance(wanted, Mapping):
        raise UserError(f"controls={wanted} must name its sliders, such as controls.brightness=3")
    if settings["blend"]["mode"] not in MODES:
        raise UserError(f"blend.mode={settings['blend']['mode']} must be one of {', '.join(MODES)}")
    if words is None:
        model = Model.load(find(name), device)
        controls, warnings = Controls.parse(wanted, model.analysis, model.header.name)
        return [Voice(model, controls, None)], warnings
    if name is not None:
        raise UserError("blend lists the models: leave out model")
    parts = parse(words)
    paths = [find(part.model) for part in parts]
    named: dict[Path, str] = {}
    for path, part in zip(paths, parts, strict=True):  # a name may be written as its beginning, or as a file
        if (other := named.setdefault(path.resolve(), part.model)) != part.model:
            raise UserError(f"blend={words}: {other} and {part.model} are one model, {path.stem}: give it one weight")
    models = [Model.load(path, device) for path in paths]
    for model in models[1:]:
        models[0].spec.require(model.spec, f"model {models[0].header.name}", f"model {model.header.name}")
    found, warnings = [{} for _ in parts], []
    for control, value in wanted.items():
        refusals = []
        for curves, model in zip(found, models, strict=True):
            try:
                controls, said = Controls.parse({control: value}, model.analysis, model.header.name)
            except UserError as refusal:
                refusals.append(refusal)
                continue
            curves |= controls.curves
            warnings += said
        if len(refusals) == len(models):
            raise refusals[0]
        warnings += map(str, refusals)
    return [Voice(m, Controls(c), p) for m, c, p in zip(models, found, parts, strict=True)], list(
        dict.fromkeys(warnings)
    )


def way_of(settings: Mapping) -> Way:
    """The configuration's path, evolution and source. Raises UserError if one is out of range."""
    return Way(settings["path"], number("evolution", settings["evolution"], 0, 1), settings["source"])


class Piece:
    """New sound of one voice or a blend of several: `blocks` are float32 [1, n], `samples` in all.

    settings: the configuration's path, source, evolution and blend.mode. Raises UserError if one of them or the seed is
    out of range. `spent`: seconds for which it has been rendered already, see `prepared`.
    """

    spent = 0.0
    _ready: list[np.ndarray] | None = None

    def __init__(self, voices: list[Voice], vocoder: Vocoder, seconds: float, seed: int, settings: Mapping):
        self.voices, self.vocoder, self.seed = voices, vocoder, whole("seed", seed, 0, 2**32 - 1)
        self.spec: MelSpec = voices[0].model.spec
        self.samples, self._frames = samples_of(seconds, self.spec)
        self._way = way_of(settings)
        self._mode = settings["blend"]["mode"]
        self.spec.require(vocoder.spec, f"model {voices[0].model.header.name}", "the vocoder")

    @property
    def analysis(self) -> Analysis | None:
        """What the sound can be compared with: the recordings of its only model."""
        return self.voices[0].model.analysis if len(self.voices) == 1 else None

    @property
    def full_scale(self) -> float:
        """The level at which a vocoder has clipped; what waves that are mixed come to says nothing of that."""
        return np.inf if len(self.voices) > 1 and self._mode == "audio" else 1.0

    @property
    def source_lufs(self) -> float | None:
        """How loud the recordings are, as `Header.source_lufs`; of a blend the mean; None if a model does not tell."""
        known = [voice.model.header.source_lufs for voice in self.voices]
        if None in known or len(known) == 1:
            return None if None in known else known[0]
        parts = [voice.part for voice in self.voices]
        return loudness(parts, known, self.samples / self.spec.sample_rate, self._mode)

    def prepared(self) -> "Piece":
        """The same, its blocks rendered: it is a short one, and several are prepared side by side."""
        begun = time.perf_counter()
        self._ready = list(self._blocks(second=False))
        self.spent = time.perf_counter() - begun
        return self

    def blocks(self) -> Iterator[np.ndarray]:
        return self._blocks(second=False) if self._ready is None else iter(self._ready)

    def second(self) -> Iterator[np.ndarray] | None:
        """The same events with other slow deviations, in the same blocks; None if there are no deviations."""
        return self._blocks(second=True) if self._way.evolution else None

    def _blocks(self, second: bool) -> Iterator[np.ndarray]:
        mels = [rendered_mels(v.model, v.controls, self._frames, self.seed, self._way, second) for v in self.voices]
        parts = [voice.part for voice in self.voices]
        limits = [voice.model.band_limit_hz for voice in self.voices]
        if len(mels) == 1:
            return play(self.vocoder, mels[0], self.samples, limits[0])
        if self._mode == "mel":
            widest = max(limits) if all(limits) else 0.0
            return play(self.vocoder, morphed(parts, mels, self.spec), self.samples, widest)
        waves = [play(self.vocoder, mel, self.samples, limit) for mel, limit in zip(mels, limits, strict=True)]
        return mixed(parts, waves, self.spec.sample_rate)

    def parameters(self) -> dict:
        """As plain types: with the seed and the vocoder enough to render the same again."""
        return {
            "models": [_voice(voice) for voice in self.voices],
            "blend_mode": self._mode if len(self.voices) > 1 else None,
            "path": self._way.kind,
            "evolution": self._way.evolution,
            "source": self._way.source,
        }


class Reconstruction:
    """A recording as a model hears it, under its controls; the rest as of Piece."""

    spent = 0.0

    def __init__(self, voice: Voice, vocoder: Vocoder, clip: AudioClip):
        self.voice, self.vocoder, self.clip = voice, vocoder, clip
        self.spec, self.samples, self.analysis = voice.model.spec, clip.length, voice.model.analysis
        self.full_scale, self.source_lufs = 1 / clip.gain, clip.lufs

    def blocks(self) -> Iterator[np.ndarray]:
        return reconstruct_blocks(self.voice.model, self.vocoder, self.clip, self.voice.controls)

    def second(self) -> None:
        """A recording is one sound: there is no second."""

    def parameters(self) -> dict:
        return {"models": [_voice(self.voice)], "path": "reconstruct", "recording": self.clip.name}


def _voice(voice: Voice) -> dict:
    header = voice.model.header
    weight = None if voice.part is None else voice.part.weight.to_value()
    return {
        "name": header.name,
        "fingerprint": header.fingerprint,
        "weight": weight,
        "controls": voice.controls.to_dict(),
    }
