"""The controls beside the sliders: what is played, from what, blended with what, where it is heard, and its file."""

from typing import Any

import gradio as gr

from distillgan.ui.asked import BLENDED, START

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
_HIDDEN = {"show_progress": "hidden", "api_visibility": "private"}


class SoundSettings:
    """`fields`: the components by the names in asked.START, but for those of model, vocoder, seed and length."""

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
            path.change(_shown("reconstruct", True, False), path, [with_recording, without], **_HIDDEN)

    def _blend(self) -> None:
        with gr.Accordion("Blend of models", open=False):
            gr.Markdown("Up to four play as one, instead of the model above. A weight may move: `0:100 8:0`")
            for number in range(1, BLENDED + 1):
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
            spatial.change(_one_of("stereo", "binaural"), spatial, [stereo, binaural], **_HIDDEN)

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
            form.change(_parts_of_format, form, [depth, ogg, mode, mp3], **_HIDDEN)

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
