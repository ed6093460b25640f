"""What is to be rendered: one model or several under their controls, or a recording; as blocks, and as parameters."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from distillgan.audio.mel import MelSpec
from distillgan.checks import number, whole
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.latent.controls import Controls
from distillgan.latent.sliders import Analysis
from distillgan.latent.trajectory import Path as Way
from distillgan.render import blend
from distillgan.render.engine import Model, play, reconstruct_blocks, rendered_mels, samples_of
from distillgan.vocoder.base import Vocoder


@dataclass(frozen=True)
class Voice:
    """A model and the positions of its sliders; `part` is its place in a blend, None if it plays alone."""

    model: Model
    controls: Controls
    part: blend.Part | None


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
    if settings["blend"]["mode"] not in blend.MODES:
        raise UserError(f"blend.mode={settings['blend']['mode']} must be one of {', '.join(blend.MODES)}")
    if words is None:
        model = Model.load(find(name), device)
        controls, warnings = Controls.parse(wanted, model.analysis, model.header.name)
        return [Voice(model, controls, None)], warnings
    if name is not None:
        raise UserError("blend lists the models: leave out model")
    parts = blend.parse(words)
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
        return blend.loudness(parts, known, self.samples / self.spec.sample_rate, self._mode)

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
            return play(self.vocoder, blend.morphed(parts, mels, self.spec), self.samples, widest)
        waves = [play(self.vocoder, mel, self.samples, limit) for mel, limit in zip(mels, limits, strict=True)]
        return blend.mixed(parts, waves, self.spec.sample_rate)

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
