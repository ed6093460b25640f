"""The Generate tab without a browser: the same sound as the command line, and controls that find it again."""

import json
from pathlib import Path

import gradio as gr
import pytest
from crafted import write_crafted
from omegaconf import OmegaConf
from rich.console import Console

from distillgan.cli import hydra_app
from distillgan.cli.overrides import steered
from distillgan.errors import UserError
from distillgan.features.descriptors import NAMES
from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.store.presets import Presets
from distillgan.synthesis.generation import generate
from distillgan.synthesis.reproduce import Original
from distillgan.synthesis.request import RenderRequest
from distillgan.ui import slider_panel, sound_panels
from distillgan.ui.generate_tab import build
from distillgan.ui.page import Page
from distillgan.ui.renderings import Renderings
from distillgan.ui.slider_panel import Steering, reasons, scale
from distillgan.ui.sound_panels import PresetsPanel, SoundCard
from distillgan.ui.sound_settings import START, request_of, values_of

EVIL = "<img src=x onerror=alert(1)>"
SET = [
    {},
    {"path": "chunk", "source": "prior", "evolution": 0.9, "seed": 7, "duration": 2.5, "vocoder": "universal"},
    {"spatial": "stereo", "stereo_width": 0.7, "export": "flac", "depth": "16", "artist": 'Zoë, "ß" \' $x ${y}'},
    {"spatial": "binaural", "azimuth": -45, "distance": 3.5, "export": "mp3", "mp3_mode": "vbr", "mp3_quality": 3},
    {"export": "ogg", "ogg_quality": 4, "sample_rate": 96000, "album": "a,b", "file": "{model} {seed:03}"},
    {"export": "wav", "depth": "32f", "moving": "density 0:-5 8:7\n\n  Brightness 0:1 2:2 "},
    {"blend_model1": "rain", "blend_weight1": "60", "blend_model3": "wind", "blend_weight3": "0:100 8:0"},
]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    home = Home(tmp_path_factory.mktemp("home"))
    write_crafted(home.models, "rain", sliders=("brightness", "density"), halves=("warmth",))
    write_crafted(home.models, "wind", seed=1, own=False, sliders=("density", "pulse"))
    settings = {"device": {"name": "cpu"}, "vocoder": {"name": "auto", "weights_dir": None, "pin": None}}
    return Page(home, OmegaConf.create(settings), None, Renderings(home))


def values(**given):
    return START | {"model": "rain", "vocoder": "hifigan", "duration": 0.5} | given


def quietly(request):
    return generate(request, Console(quiet=True))


def test_the_same_samples_as_the_command_line(page):
    given = values(spatial="stereo", stereo_width=0.7, export="flac", depth="16", seed=4, count=2, path="interpolate")
    mine = quietly(request_of(page, given, {"brightness": 6.0, "density": 0.0}))
    line = ["model=rain", "vocoder=hifigan", "duration=0.5", "seed=4", "count=2", "path=interpolate", "device=cpu"]
    line += ["spatial=stereo", "spatial.width=0.7", "export=flac", "export.depth=16", "controls.brightness=6"]
    overrides = hydra_app.to_overrides(steered([*line, f"paths.home={page.home.root}"]))
    other = quietly(RenderRequest.from_config(hydra_app.composed("generate", overrides)))
    assert [made.metadata["sound"] for made in mine] == [made.metadata["sound"] for made in other]
    assert mine[0].metadata["settings"] == other[0].metadata["settings"]
    moved = quietly(request_of(page, values(seed=4, path="interpolate"), {"brightness": -6.0}))
    assert (
        moved[0].metadata["sound"]
        != quietly(request_of(page, values(seed=4, path="interpolate"), {}))[0].metadata["sound"]
    )


@pytest.mark.parametrize("changed", SET)
def test_what_a_sound_was_told_comes_back_into_the_controls(page, changed):
    given, sliders = values(**changed), {"brightness": -3.5}
    settings = request_of(page, given, sliders).to_dict()
    again, positions = values_of(RenderRequest.from_dict(json.loads(json.dumps(settings))))
    assert positions == ({} if "Brightness" in changed.get("moving", "") else sliders)
    assert request_of(page, again, positions).to_dict() == settings
    assert {name: again[name] for name in changed if name not in ("moving", "blend_model3", "blend_weight3")} == {
        name: value for name, value in changed.items() if name not in ("moving", "blend_model3", "blend_weight3")
    }


def test_a_recording_is_kept_so_that_it_can_be_made_again(page, recordings, tmp_path):
    upload = tmp_path / "a b (1).WAV"
    upload.write_bytes((recordings / "take2.wav").read_bytes())
    given = values(path="reconstruct", recording=str(upload), evolution=0.9, count=5, duration=3.0)
    made = quietly(request_of(page, given, {}))[0]
    kept = Path(made.metadata["settings"]["recording"])
    assert kept.parent == page.home.audio / "recordings" and kept.read_bytes() == upload.read_bytes()
    upload.unlink()
    request, _ = Original.of_history(History(page.home).get(made.id)).request(page.home)
    assert quietly(request)[0].metadata["sound"] == made.metadata["sound"]
    again, _ = values_of(RenderRequest.from_dict(made.metadata["settings"]))
    assert request_of(page, again, {}).recording == str(kept)
    with pytest.raises(UserError, match="Choose it once more"):
        request_of(page, given, {})
    with pytest.raises(UserError, match="path=reconstruct wants to know what"):
        quietly(request_of(page, given | {"recording": None}, {}))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": None}, "seed=None must be a whole number"),
        ({"duration": 0}, "duration=0 must be a number from 0.1"),
        ({"duration": None}, "duration is empty"),
        ({"count": -1}, "count=-1 must be a whole number"),
        ({"distance": 0.1, "spatial": "binaural"}, "spatial.distance=0.1"),
        ({"moving": "brightness"}, "moving sliders: 'brightness' must be"),
        ({"moving": "brightness up"}, "controls.brightness=up must be a number, or breakpoints"),
        ({"moving": "a=b:c 3"}, "'a=b:c' is no name of a setting"),
        ({"file": "../{model}"}, "must be a name without folders"),
        ({"blend_model1": "rain"}, "must list 2 to 4 models"),
        ({"export": "flac", "depth": "32f"}, "export.depth=32f"),
    ],
)
def test_what_is_refused_is_refused_in_words(page, changed, words):
    with pytest.raises(UserError) as refusal:
        quietly(request_of(page, values(**changed), {}))
    assert words in str(refusal.value)


def test_the_sliders_are_the_models_own(page):
    rain = Steering.of(page.home, ["rain"])
    assert list(rain.active) == ["brightness", "warmth", "density", "axis1", "axis2"] and "tension" in rain.inactive
    assert (rain.active["warmth"].least, rain.active["warmth"].most) == (0, 12)
    assert all(0 <= rain.drawn("warmth") <= 10 and -10 <= rain.drawn("density") <= 10 for _ in range(50))
    assert rain.held("brightness", -11.5) == -11.5 and rain.held("warmth", -3) == 0 and rain.held("pulse", 3) == 0
    drawn = scale(rain.active["brightness"])
    assert "dark · 338" in drawn and "1024" in drawn and "bright · 3104" in drawn and "--low:8.3%;--high:91.7%" in drawn
    assert "--low:0.0%;--high:83.3%" in scale(rain.active["warmth"]) and "thin" not in scale(rain.active["warmth"])
    both = Steering.of(page.home, ["rain", "wind"])
    assert {"brightness", "density", "pulse"} < set(both.active) and "pulse" not in both.inactive
    assert "no range" not in reasons(both) and "Tension" in reasons(both)
    with pytest.raises(UserError, match="no such model"):
        Steering.of(page.home, ["gone"])


def test_what_auto_would_take_is_said_before(page, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert ("This model's own (hifigan)", "hifigan") in slider_panel.choices(page, ["rain"])
    assert "hifigan" not in dict(map(reversed, slider_panel.choices(page, ["wind"])))
    assert slider_panel.foreseen(page, ["rain"], "auto") == "Auto takes the model's own vocoder (hifigan)."
    said = slider_panel.foreseen(page, ["wind"], "auto")
    assert "this model has no vocoder of its own" in said and "489 MB" in said and "small universal one" in said
    assert "a blend has no vocoder of its own" in slider_panel.foreseen(page, ["rain", "wind"], "auto")
    assert slider_panel.foreseen(page, ["wind"], "universal") == ""


def test_presets_of_the_controls(page):
    with gr.Blocks():
        panel = PresetsPanel(page.home)
    settings = request_of(page, values(spatial="binaural", azimuth=60), {"brightness": 4.0}).to_dict()
    key = panel.saved(["rain"], " Sanft ", "leise/nachts", False, settings)
    preset = panel.chosen(key)
    assert (preset.name, preset.folder, preset.model) == ("Sanft", "leise/nachts", "rain")
    again, positions = values_of(RenderRequest.from_dict(preset.settings))
    assert (again["spatial"], again["azimuth"], positions) == (
        "binaural",
        60,
        {"brightness": 4},
    )
    with pytest.raises(UserError, match="has a preset 'Sanft'"):
        panel.saved(["rain"], "sanft", "", False, settings)
    assert json.loads(panel.saved(["rain", "wind"], "sanft", "", False, settings))[0] == "rain + wind"
    listed = panel.listed("leise/nachts", key)
    assert [label for label, _ in listed[2]["choices"]] == ["leise/nachts / Sanft (rain)"] and listed[2]["value"] == key
    Presets(page.home).delete("Sanft", "rain")
    assert panel.listed("leise/nachts", key)[2]["value"] is None
    for wrong in (None, key):
        with pytest.raises(UserError):
            panel.chosen(wrong)
    with pytest.raises(UserError, match="choose one first"):
        panel.saved([], "x", "", False, settings)


def test_the_history_as_a_list_has_no_foreign_markup(page):
    made = quietly(request_of(page, values(artist=EVIL, file="a&b {seed}", seed=11), {"brightness": 2.0}))[0]
    generation = History(page.home).get(made.id)
    generation.metadata["models"][0]["name"] = EVIL
    generation.metadata["check"]["warnings"] = [EVIL]
    with gr.Blocks():
        card = SoundCard()
    shown = [
        sound_panels.listed([generation], None),
        *(text for text in card.shown(generation) if isinstance(text, str)),
    ]
    assert len(shown) == 3 and not any("<img" in text for text in shown)
    assert "brightness 2" in shown[0] and f'data-id="{made.id}"' in shown[0] and "<polygon" in shown[0]
    assert sound_panels.found(page.home, "seed=11 brightness=2", False, 5) == [History(page.home).get(made.id)]
    made.path.unlink()
    assert "it is gone" in card.shown(generation)[0]
    for numbers in ({}, {"number": "1"}, {"number": True}, {"number": -1}, None):
        with pytest.raises(UserError):
            sound_panels.chosen_of(gr.EventData(None, numbers))


def test_every_control_has_a_label_and_every_slider_a_row(page):
    with gr.Blocks() as blocks:
        build(page)
    labelled = [block for block in blocks.blocks.values() if isinstance(block, gr.components.FormComponent)]
    assert len(labelled) > 40 and all(block.label for block in labelled)
    assert {f"slider-{name}" for name in NAMES} <= {block.elem_id for block in labelled}
