"""The controls of a sound on the page besides its sliders, as a request and back."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.paths import Home, name_from_path
from distillgan.synthesis.request import (
    FORMATS,
    MOST_BLENDED,
    SPATIAL,
    ExportRequest,
    RenderRequest,
    VocoderRequest,
)
from distillgan.ui.page import HIDDEN, Page

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
# The page's names of what several kinds of one group have, each with a value of its own.
_SPATIAL = {
    "mono": {},
    "stereo": {"width": "stereo_width"},
    "binaural": {key: key for key in ("azimuth", "elevation", "distance", "reflections", "sofa")}
    | {"width": "binaural_width"},
}
_EXPORT = {
    "wav": {"depth": "depth"},
    "flac": {"depth": "depth"},
    "ogg": {"quality": "ogg_quality"},
    "mp3": {"mode": "mp3_mode", "quality": "mp3_quality"},
}
_OF_EVERY_FORMAT = ("loudness", "peak", "artist", "album", "file")


def _defaults(kinds: Mapping[str, type], named: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    values = {mine: vars(kinds[kind]())[key] for kind, keys in named.items() for key, mine in keys.items()}
    return {key: "" if value is None else value for key, value in values.items()}


_REQUEST = RenderRequest()
# What the controls begin with, in the order in which the panel has them.
START: dict[str, Any] = {
    "model": None,
    "vocoder": _REQUEST.vocoder.name,
    "recording": None,
    "duration": _REQUEST.seconds,
    **{key: getattr(_REQUEST, key) for key in ("path", "source", "evolution", "seed", "count", "blend_mode")},
    **{f"blend_model{number}": None for number in range(1, MOST_BLENDED + 1)},
    **{f"blend_weight{number}": "50" for number in range(1, MOST_BLENDED + 1)},
    "moving": "",
    "spatial": _REQUEST.spatial.name,
    **_defaults(SPATIAL, _SPATIAL),
    "export": _REQUEST.export.name,
    "sample_rate": _REQUEST.export.format.sample_rate,
    **{key: "" if (value := getattr(_REQUEST.export, key)) is None else value for key in _OF_EVERY_FORMAT},
    **_defaults(FORMATS, _EXPORT),
    "depth": "24",  # of a list of texts
}


def request_of(page: Page, values: Mapping[str, Any], sliders: Mapping[str, float]) -> RenderRequest:
    """What `generate` is given. values: by the names in START; sliders: the positions of those there are.

    Raises UserError for a value that is wrong.
    """
    controls: dict[str, Any] = {name: value for name, value in sliders.items() if value}
    spatial = values["spatial"]
    asked: dict[str, Any] = {
        "path": values["path"],
        "seed": values["seed"],
        "controls": controls | _moving(values["moving"]),
        "spatial": SPATIAL[spatial](**_picked(values, _SPATIAL[spatial])),
        "export": export_of(values),
        "vocoder": VocoderRequest(values["vocoder"]),
    }
    if blended := blend_of(values):
        asked |= {"blend": blended, "blend_mode": values["blend_mode"]}
    else:
        asked |= {"model": values["model"]}
    if values["path"] == "reconstruct":
        recording = values["recording"]
        asked |= {"recording": str(_kept(page.home, Path(recording))) if recording else None}
    elif values["duration"] is None:  # to `generate` that is a length of its own choice
        raise UserError("duration is empty: give the seconds that are to be rendered")
    else:
        asked |= {key: values[key] for key in ("source", "evolution", "duration", "count")}
    return on_page(page, RenderRequest(**asked))


def on_page(page: Page, request: RenderRequest) -> RenderRequest:
    """The request with where this page works, and on what."""
    places = page.settings.vocoder
    vocoder = replace(request.vocoder, weights_dir=places.get("weights_dir"), pin=places.get("pin"))
    return replace(request, home=page.home.root, device=page.settings.device.name, vocoder=vocoder)


def export_of(values: Mapping[str, Any]) -> ExportRequest:
    """How the sound becomes a file. Raises UserError for a value that is wrong."""
    kind = values["export"]
    form = FORMATS[kind](sample_rate=values["sample_rate"], **_picked(values, _EXPORT[kind]))
    return ExportRequest(form, **_picked(values, {key: key for key in _OF_EVERY_FORMAT}))


def values_of(request: RenderRequest) -> tuple[dict[str, Any], dict[str, float]]:
    """A request → the controls' values, START where it says nothing; and sliders that stand still."""
    values = START | {"blend_mode": request.blend_mode, "spatial": request.spatial.name, "export": request.export.name}
    for key in ("model", "path", "seed", "source", "evolution", "duration", "recording"):
        if getattr(request, key) is not None:
            values[key] = getattr(request, key)
    values["vocoder"] = request.vocoder.name
    spatial, form, export = vars(request.spatial), vars(request.export.format), request.export
    values |= {mine: spatial[key] for key, mine in _SPATIAL[values["spatial"]].items() if spatial[key] is not None}
    values |= {mine: form[key] for key, mine in _EXPORT[values["export"]].items()}
    values |= {
        key: getattr(export, key) for key in _OF_EVERY_FORMAT if key == "peak" or getattr(export, key) is not None
    }
    values |= {"sample_rate": export.format.sample_rate, "depth": str(values["depth"])}
    if not isinstance(values["loudness"], str):
        values["loudness"] = f"{values['loudness']:g}"
    for number, source in enumerate(request.blend, 1):
        values[f"blend_model{number}"], values[f"blend_weight{number}"] = source.model, str(source.weight)
    moving = {name: value for name, value in request.controls.items() if isinstance(value, str)}
    values["moving"] = "\n".join(f"{name} {value}" for name, value in moving.items())
    still = {name: value for name, value in request.controls.items() if name not in moving and value is not None}
    return values, {name: float(value) for name, value in still.items()}


def blend_of(values: Mapping[str, Any]) -> list[str]:
    """`rain:60`, … of those that are chosen; [] where none is."""
    rows = ((values[f"blend_model{n}"], values[f"blend_weight{n}"]) for n in range(1, MOST_BLENDED + 1))
    return [f"{model}:{weight}" for model, weight in rows if model]


def playing(values: Mapping[str, Any]) -> list[str]:
    """The models that the controls say are to play."""
    blended = [word.partition(":")[0] for word in blend_of(values)]
    return blended or ([values["model"]] if values["model"] else [])


def _picked(values: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Setting → value; an empty text is none, and a number that is chosen from a list a number."""
    return {key: _plain(key, values[mine]) for key, mine in keys.items()}


def _plain(key: str, value: Any) -> Any:
    if key == "depth" and isinstance(value, str) and value.isdecimal():
        return int(value)
    if key == "loudness" and isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None if value == "" else value


def _moving(text: str) -> dict[str, str]:
    """Lines such as `brightness 0:-5 8:7`."""
    found = {}
    for line in filter(str.strip, (text or "").splitlines()):
        name, _, curve = line.strip().partition(" ")
        if not curve.strip():
            raise UserError(
                f"moving sliders: {line.strip()!r} must be a slider and its way, such as brightness 0:-5 8:7"
            )
        found[name.lower()] = curve.strip()
    return found


def _kept(home: Home, recording: Path) -> Path:
    """A copy of an uploaded recording in `paths.home`/audio/recordings.

    Uploads go when the page is closed, and a sound in the history can be made again as long as its recording is there.
    """
    folder = home.audio / "recordings"
    if recording.parent == folder:
        return recording
    try:
        with recording.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()[:8]
        kept = folder / f"{name_from_path(recording.with_suffix(''))}-{digest}{recording.suffix.lower()}"
        if not kept.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with replace_file(kept) as temporary:
                shutil.copyfile(recording, temporary)
    except OSError as error:
        raise UserError(f"{recording.name} cannot be read: {error.strerror}. Choose it once more") from error
    return kept


def slider_values(names: Iterable[str], positions: Iterable[float | None], there: Iterable[str]) -> dict[str, float]:
    """The positions of those sliders that the models have."""
    known = set(there)
    return {name: float(at or 0) for name, at in zip(names, positions, strict=True) if name in known}


_PATHS = [
    ("Crossfade: from moment to moment of the recordings", "crossfade"),
    ("Chunk: moments with hard joints", "chunk"),
    ("Interpolate: morph from moment to moment", "interpolate"),
    ("Reconstruct: a recording of yours through the model", "reconstruct"),
]
_SOURCES = [("The recordings' moments", "corpus"), ("New places in what was learnt", "prior")]
_SPACES = [
    ("Mono: as it is rendered", "mono"),
    ("Stereo: wide", "stereo"),
    ("Binaural: a place around the head, for headphones", "binaural"),
]
_FORMATS = [("WAV", "wav"), ("FLAC: lossless", "flac"), ("OGG Vorbis", "ogg"), ("MP3", "mp3")]
_RATES = [("44.1 kHz", 44100), ("48 kHz", 48000), ("96 kHz", 96000)]
_DEPTHS = [("16 bit, dithered", "16"), ("24 bit", "24"), ("32 bit float", "32f")]
_LOUDNESS = [
    ("As the recordings", "source"),
    ("-23 LUFS: EBU R 128", "-23"),
    ("-16 LUFS: podcasts", "-16"),
    ("As it is rendered", "off"),
]
FIELDS = "{model} {seed} {preset} {vocoder} {path} {spatial} {recording} {date} {time}"


class SoundSettings:
    """`fields`: the components by the names in START, but for those of model, vocoder, seed and length."""

    def __init__(self):
        """Build them, where it is called."""
        self.fields: dict[str, Any] = {}
        self._path()
        self._blend()
        self._space()
        self._file()

    def _path(self) -> None:
        with gr.Accordion("What is played", open=False):
            path = self._add("path", gr.Radio(_PATHS, label="Path"))
            with gr.Column(visible=False) as with_recording:
                recording = gr.Audio(
                    label="Recording", type="filepath", sources=["upload", "microphone"], editable=False
                )
                self._add("recording", recording)
            with gr.Column() as without:
                self._add("source", gr.Radio(_SOURCES, label="Source"))
                info = "0 stays with one moment, 1 draws each anew"
                self._add("evolution", gr.Slider(0, 1, step=0.01, label="Evolution", info=info, buttons=[]))
            info = "A slider and its way, one a line: seconds:position, straight lines between"
            example = "brightness 0:-5 8:7"
            self._add("moving", gr.Textbox(lines=2, label="Moving sliders", info=info, placeholder=example))
            path.change(_shown("reconstruct", True, False), path, [with_recording, without], **HIDDEN)

    def _blend(self) -> None:
        with gr.Accordion("Blend of models", open=False):
            gr.Markdown("Up to four play as one, instead of the model above. A weight may move: `0:100 8:0`")
            for number in range(1, MOST_BLENDED + 1):
                with gr.Row():
                    model = gr.Dropdown([], label=f"Model {number}", scale=3, min_width=140)
                    self._add(f"blend_model{number}", model)
                    self._add(f"blend_weight{number}", gr.Textbox(label=f"Weight {number}", scale=2, min_width=90))
            modes = [("Morph: one vocoder plays their mix", "mel"), ("Mix: their waves, added", "audio")]
            self._add("blend_mode", gr.Radio(modes, label="How"))
            self.unblend = gr.Button("No blend", size="sm")

    def _space(self) -> None:
        with gr.Accordion("Space", open=False):
            spatial = self._add("spatial", gr.Radio(_SPACES, label="Heard"))
            with gr.Column(visible=False) as stereo:
                info = "0: both sides alike; 1: uncorrelated above the bass"
                self._add("stereo_width", gr.Slider(0, 1.5, step=0.01, label="Stereo width", info=info, buttons=[]))
            with gr.Column(visible=False) as binaural:
                with gr.Row():
                    info = "degrees: 0 in front, 90 left, -90 right, 180 behind"
                    self._add("azimuth", gr.Slider(-180, 180, step=1, label="Azimuth", info=info, buttons=[]))
                    info = "degrees: -90 below, 90 above"
                    self._add("elevation", gr.Slider(-90, 90, step=1, label="Elevation", info=info, buttons=[]))
                with gr.Row():
                    self._add("distance", gr.Number(label="Distance", info="metres, 0.2 to 100"))
                    info = "degrees: 0 is one point"
                    self._add("binaural_width", gr.Slider(0, 180, step=1, label="Width", info=info, buttons=[]))
                    info = "0 open air, 1 hard walls"
                    self._add("reflections", gr.Slider(0, 1, step=0.01, label="Reflections", info=info, buttons=[]))
                info = "a SOFA file on this machine; empty: a computed head"
                self._add("sofa", gr.Textbox(label="Measured head", info=info))
            spatial.change(_one_of("stereo", "binaural"), spatial, [stereo, binaural], **HIDDEN)

    def _file(self) -> None:
        with gr.Accordion("File", open=False):
            with gr.Row():
                form = self._add("export", gr.Dropdown(_FORMATS, label="Format", min_width=120))
                self._add("sample_rate", gr.Dropdown(_RATES, label="Sample rate", min_width=120))
                depth = self._add("depth", gr.Dropdown(_DEPTHS, label="Depth", min_width=120))
                ogg = gr.Slider(0, 10, step=1, label="OGG quality", info="10 is best", visible=False, buttons=[])
                self._add("ogg_quality", ogg)
                modes = [("320 kbit/s", "cbr"), ("by quality", "vbr")]
                mode = self._add("mp3_mode", gr.Dropdown(modes, label="MP3 rate", visible=False, min_width=120))
                info = "of the rate by quality; 0 is best"
                mp3 = gr.Slider(0, 9, step=1, label="MP3 quality", info=info, visible=False, buttons=[])
                self._add("mp3_quality", mp3)
            with gr.Row():
                info = "of the whole file; or a number of LUFS"
                loudness = gr.Dropdown(_LOUDNESS, label="Loudness", info=info, allow_custom_value=True, min_width=160)
                self._add("loudness", loudness)
                info = "dBTP, above which no peak is; empty: -1 dBFS of samples"
                self._add("peak", gr.Number(label="True-peak ceiling", info=info, min_width=160))
            with gr.Row():
                self._add("artist", gr.Textbox(label="Artist"))
                self._add("album", gr.Textbox(label="Album", placeholder="the model's name"))
            self._add("file", gr.Textbox(label="File name", info=f"of {FIELDS}", placeholder="{model}_seed{seed}"))
            form.change(_parts_of_format, form, [depth, ogg, mode, mp3], **HIDDEN)

    def _add(self, name: str, component: Any) -> Any:
        component.value = START[name]
        self.fields[name] = component
        return component


def _shown(value: str, *when: bool) -> Any:
    """For each part whether it is shown if `value` is chosen; otherwise the contrary."""
    return lambda chosen: [gr.update(visible=(chosen == value) == shown) for shown in when]


def _one_of(*values: str) -> Any:
    return lambda chosen: [gr.update(visible=chosen == value) for value in values]


def _parts_of_format(form: str) -> list[dict]:
    depths = _DEPTHS if form == "wav" else _DEPTHS[:2]
    return [
        gr.update(visible=form in ("wav", "flac"), choices=depths),
        gr.update(visible=form == "ogg"),
        gr.update(visible=form == "mp3"),
        gr.update(visible=form == "mp3"),
    ]
