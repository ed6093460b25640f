"""Requests: all that a sound is made from, as frozen values, and the dictionaries that presets, history and tags keep.

The defaults stand here and in the constructors of the formats, so that Python and the page need no Hydra; conf/ shows
the same ones to the command line, and a test compares the two.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from distillgan.audio.formats import Flac, Format, Mp3, Ogg, Wav
from distillgan.audio.spec import MelSpec
from distillgan.control.sliders import Curve
from distillgan.control.trajectory import SamplingStrategy
from distillgan.errors import UserError, number, whole
from distillgan.paths import current_kind, default_home
from distillgan.process import checked
from distillgan.synthesis.export import Target, check_template
from distillgan.synthesis.renderer import MAX_SECONDS, MIN_SECONDS

if TYPE_CHECKING:
    from omegaconf import DictConfig

DEFAULT_SECONDS = 10.0
MAX_COUNT = 1000
BLEND_MODES, MOST_BLENDED = ("mel", "audio"), 4
DEVICES = ("auto", "cpu", "cuda", "mps")
FORMATS: dict[str, type[Format]] = {"wav": Wav, "flac": Flac, "ogg": Ogg, "mp3": Mp3}
_PLAIN = ("path", "source", "evolution", "duration", "seed", "recording", "device", "preset")  # as they are
_WORD = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True)
class BlendSource:
    """A model of a blend, by name, and its weight as it is written: 60, or over time "0:100 8:0"; 0 or more."""

    model: str
    weight: float | str

    def __post_init__(self):
        if self.curve.extremes[0] < 0:
            raise UserError(f"blend: the weight of {self.model} ({self.weight}) must be 0 or more")

    @property
    def curve(self) -> Curve:
        """The weight over time."""
        try:
            value: float | str = float(self.weight)
        except ValueError:
            value = self.weight
        return Curve.parse(f"blend: the weight of {self.model}", value)

    def __str__(self) -> str:
        return f"{self.model}:{self.weight}"


def parse_blend(words: object) -> tuple[BlendSource, ...]:
    """["rain:60", "wind:40"], or with weights over time "rain:0:100 8:0" → the sources.

    Raises UserError if there are not 2 to 4 of them, one is not name:weight, a model comes twice, or at some time all
    weights are 0.
    """
    if not isinstance(words, list | tuple) or not 2 <= len(words) <= MOST_BLENDED:
        raise UserError(
            f"blend={words} must list 2 to {MOST_BLENDED} models with their weights, such as blend=[rain:60,wind:40]"
        )
    sources = []
    for word in words:
        name, colon, weight = str(word).partition(":") if isinstance(word, str | BlendSource) else ("", "", "")
        if not name or not colon:
            raise UserError(f"blend: {word!r} must be a model and its weight, such as rain:60")
        sources.append(BlendSource(name, weight))
    if len({source.model for source in sources}) < len(sources):
        raise UserError(f"blend={words} names a model twice: give it one weight")
    curves = [source.curve for source in sources]
    ends = np.array(sorted({second for curve in curves for second in curve.seconds}))
    if min(sum(curve.at(ends) for curve in curves)) <= 0:
        raise UserError(f"blend={words}: at some time all weights are 0")
    return tuple(sources)


@dataclass(frozen=True)
class MonoRequest:
    """One channel, as it is rendered."""

    name: str = field(default="mono", init=False)


@dataclass(frozen=True)
class StereoRequest:
    """Two channels, as of `placement.Stereo`."""

    name: str = field(default="stereo", init=False)
    width: float = 1.0


@dataclass(frozen=True)
class BinauralRequest:
    """A place around the head, as of `binaural.Binaural`: degrees, metres, and a SOFA file or None."""

    name: str = field(default="binaural", init=False)
    azimuth: float = 30
    elevation: float = 0
    distance: float = 1.5
    width: float = 0
    reflections: float = 0.4
    sofa: str | None = None


SpatialRequest = MonoRequest | StereoRequest | BinauralRequest
SPATIAL: dict[str, type[SpatialRequest]] = {"mono": MonoRequest, "stereo": StereoRequest, "binaural": BinauralRequest}


@dataclass(frozen=True)
class VocoderRequest:
    """Which vocoder plays, by name, and where BigVGAN's weights and another pin for them are. None plays nothing."""

    name: str | None = "auto"
    weights_dir: str | None = None
    pin: str | None = None

    def __post_init__(self):
        if self.name is not None and not (isinstance(self.name, str) and re.fullmatch(r"\w[\w.-]*", self.name)):
            raise UserError(f"vocoder={self.name!r} is no choice of vocoder")
        object.__setattr__(self, "name", current_kind(self.name))


@dataclass(frozen=True)
class ExportRequest:
    """How a sound becomes a file: its format, its level, its name and its tags.

    loudness: "source", "off", or LUFS; peak: dBTP, or None for -1 dBFS of samples. file: its name without suffix, from
    fields in braces, None for the usual one. album: None for the model's name. Raises UserError for a wrong value.
    """

    format: Format = field(default_factory=Wav)
    loudness: float | str = "source"
    peak: float | None = -1
    file: str | None = None
    overwrite: bool = False
    title: str | None = None
    artist: str | None = None
    album: str | None = None

    def __post_init__(self):
        if not isinstance(self.format, Format):
            raise UserError(f"export={self.format!r} must be one of {', '.join(FORMATS)}")
        if not isinstance(self.overwrite, bool):
            raise UserError(f"export.overwrite={self.overwrite} must be true or false")
        Target.of(self.loudness, self.peak)
        if self.file is not None:
            check_template(self.file)
        for key in ("title", "artist", "album"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str | int | float):
                raise UserError(f"export.{key}={value} must be a text")

    @property
    def name(self) -> str:
        return self.format.suffix[1:]

    def to_dict(self) -> dict[str, Any]:
        """The keys of conf/export, without objects."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "format"}
        return {**own, "name": self.name, **vars(self.format)}

    @classmethod
    def from_dict(cls, values: object) -> ExportRequest:
        """From `to_dict`; where it says nothing of loudness, as builds of then made it: no gain, -1 dBFS of samples.

        Raises UserError for a wrong key or value.
        """
        given = _table("export", values)
        own = {item.name: given.pop(item.name) for item in fields(cls) if item.name in given and item.name != "format"}
        if "loudness" not in own:
            own = {"loudness": "off", "peak": None, **own}
        return cls(_chosen("export", FORMATS, given, own), **own)


@dataclass(frozen=True)
class RenderRequest:
    """What is to be rendered. The same request gives the same samples on one device.

    model: a name, a beginning of one or a file, None for the latest; blend: several with their weights instead, morphed
    as mels or mixed as waves. controls: slider → position, or positions over time "0:-5 8:7". recording: a file that
    the model plays instead of new sound. duration: seconds, None for 10, or the recording's. count: variations, with
    the seeds seed, seed + 1, …. preset: the name of the one that it came from.

    What follows says where it is made, and is in no preset, history or tag: threads (blocks computed at once), home
    (the folder with models, sounds and history), mel (which the models must have). Raises UserError for a wrong value.
    """

    model: str | None = None
    blend: tuple[BlendSource, ...] = ()  # a list of words such as "rain:60" becomes one
    blend_mode: str = "mel"
    controls: Mapping[str, float | str | None] = field(default_factory=dict)
    path: str = "crossfade"
    source: str = "corpus"
    evolution: float = 0.5
    duration: float | None = None
    seed: int = 1
    recording: str | None = None
    device: str = "auto"
    preset: str | None = None
    spatial: SpatialRequest = field(default_factory=MonoRequest)
    export: ExportRequest = field(default_factory=ExportRequest)
    vocoder: VocoderRequest = field(default_factory=VocoderRequest)
    count: int = 1
    threads: int | None = None
    home: str | os.PathLike = field(default_factory=default_home)
    mel: MelSpec = field(default_factory=MelSpec)

    def __post_init__(self):
        for key in ("model", "recording", "preset"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str):
                raise UserError(f"{key}={value!r} must be a text")
        for key, kinds in {"spatial": SpatialRequest, "export": ExportRequest, "vocoder": VocoderRequest}.items():
            if not isinstance(getattr(self, key), kinds):
                raise UserError(f"{key}={getattr(self, key)!r} must be of the class {key.capitalize()}Request")
        if self.device not in DEVICES:
            raise UserError(f"device={self.device!r} must be one of {', '.join(DEVICES)}")
        whole("count", self.count, 1, MAX_COUNT)
        checked(self.threads)
        whole("seed", self.seed, 0, 2**32 - 1)
        self._check_blend()
        if self.recording is not None:
            self._check_recording()
        elif self.path == "reconstruct":
            raise UserError("path=reconstruct wants to know what: recording=FILE")
        else:
            self.strategy  # noqa: B018 - it refuses what it does not know
        number("duration", self.seconds, MIN_SECONDS, MAX_SECONDS)
        if not isinstance(self.controls, Mapping):
            raise UserError(f"controls={self.controls} must name its sliders, such as controls.brightness=3")
        for name, value in self.controls.items():
            if not isinstance(name, str) or not _WORD.fullmatch(name):
                raise UserError(f"{name!r} is no name of a setting")
            if value is not None:
                Curve.parse(f"controls.{name}", value)

    def _check_blend(self) -> None:
        if self.blend_mode not in BLEND_MODES:
            raise UserError(f"blend.mode={self.blend_mode} must be one of {', '.join(BLEND_MODES)}")
        if not self.blend and self.blend_mode == "audio":
            raise UserError("blend.mode=audio is for several models: name them, blend=[rain:60,wind:40]")
        if self.blend and self.recording is not None:
            raise UserError("recording=FILE is played by one model: leave out blend")
        if self.blend and self.model is not None:
            raise UserError("blend lists the models: leave out model")
        if self.blend != ():
            object.__setattr__(self, "blend", parse_blend(self.blend))

    def _check_recording(self) -> None:
        if not self.recording.strip():
            raise UserError("recording= names no file")
        if self.evolution != 0.5 or self.source != "corpus":
            raise UserError("recording=FILE is played as it goes: leave out evolution and source")
        if self.duration is not None or self.count != 1:
            raise UserError("recording=FILE gives one sound, as long as the recording: leave out duration and count")
        if self.path not in ("crossfade", "reconstruct"):
            raise UserError(f"recording=FILE is for path=reconstruct, not path={self.path}")

    @property
    def strategy(self) -> SamplingStrategy:
        """How new sound goes through the material."""
        return SamplingStrategy(self.path, number("evolution", self.evolution, 0, 1), self.source)

    @property
    def seconds(self) -> float:
        """The duration of new sound."""
        return DEFAULT_SECONDS if self.duration is None else self.duration

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the shape that presets, history and tags have."""
        words = [str(source) for source in self.blend]
        return {
            "model": {"name": self.model},
            "blend": {"models": words or None, "mode": self.blend_mode},
            "controls": dict(self.controls),
            **{key: getattr(self, key) for key in _PLAIN},
            "spatial": asdict(self.spatial),
            "export": self.export.to_dict(),
            "vocoder": self.vocoder.name,
        }

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RenderRequest:
        """From `to_dict`, or a part of it, of any build. It may be a stranger's: wrong keys and values are refused."""
        vocoder = settings.get("vocoder")
        return cls._of(settings, vocoder=VocoderRequest() if vocoder is None else VocoderRequest(vocoder))

    @classmethod
    def from_config(cls, config: DictConfig) -> RenderRequest:
        """From conf/generate.yaml as Hydra composed it. Raises UserError for a wrong key or value."""
        from omegaconf import OmegaConf  # whoever comes from Python does not wait for it

        values = OmegaConf.to_container(config, resolve=True)
        vocoder, home, mel = values.pop("vocoder"), values.pop("paths")["home"], values.pop("mel")
        if "name" not in values["export"]:
            raise UserError(f"export= must be one of {', '.join(FORMATS)}")
        chosen = VocoderRequest(vocoder["name"], vocoder.get("weights_dir"), vocoder.get("pin"))
        environment = {key: values.pop(key) for key in ("count", "threads")}
        settings = {**values, "device": values["device"]["name"]}
        return cls._of(settings, vocoder=chosen, home=home, mel=MelSpec.from_config(mel), **environment)

    @classmethod
    def _of(cls, settings: Mapping[str, Any], **known: Any) -> RenderRequest:
        _refuse_unknown("", settings, (*_PLAIN, "model", "blend", "controls", "spatial", "export", "vocoder"))
        model, blend = (_table(key, settings.get(key)) for key in ("model", "blend"))
        _refuse_unknown("model.", model, ("name",))
        _refuse_unknown("blend.", blend, ("models", "mode"))
        return cls(
            model=model.get("name"),
            blend=() if blend.get("models") is None else blend["models"],
            blend_mode=blend.get("mode", "mel"),
            controls={} if settings.get("controls") is None else settings["controls"],
            spatial=_chosen("spatial", SPATIAL, _table("spatial", settings.get("spatial"))),
            export=ExportRequest.from_dict(settings.get("export")),
            **{key: settings[key] for key in _PLAIN if key in settings},
            **known,
        )


def _table(key: str, value: object) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{key}={value!r} must be a table of names and values")
    return dict(value or {})


def _refuse_unknown(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            there = f"did you mean {where}{near[0]}?" if near else f"there are {', '.join(known)}"
            raise UserError(f"{where}{key} is no setting of a sound: {there}")


def _chosen(group: str, kinds: Mapping[str, type], given: dict[str, Any], others: Iterable[str] = ()) -> Any:
    """The kind that `name` says, the first if it says nothing, with its own values."""
    name = given.pop("name", next(iter(kinds)))
    if not isinstance(name, str) or name not in kinds:
        raise UserError(f"{group}={name!r} is no choice of {group}: choose one of {', '.join(kinds)}")
    _refuse_unknown(f"{group}.", given, (*inspect.signature(kinds[name]).parameters, *others))
    for key, value in given.items():
        if value is not None and not isinstance(value, str | bool | int | float):
            raise UserError(f"{group}.{key}={value!r} is of no kind that can be set")
    return kinds[name](**given)
