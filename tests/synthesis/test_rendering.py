"""What a request asks for becomes sound: of one model, or of blends of models that differ."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crafted import CPU, RATE, header_and_tensors, loud_vocoder, write_crafted

from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.models.header import PENDING
from distillgan.models.modelfile import write_model
from distillgan.paths import Home
from distillgan.store.library import find_model
from distillgan.synthesis.blend import Reconstruction, Rendering, load_sources
from distillgan.synthesis.renderer import render
from distillgan.synthesis.request import RenderRequest

VOCODER = loud_vocoder()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Models of other networks, strides and sliders: of brightness and density, of density, of none."""
    folder = tmp_path_factory.mktemp("models")
    write_crafted(folder, "rain", sliders=("brightness", "density"))
    write_crafted(folder, "wind", seed=1, stride=4, sliders=("density",), halves=("reverb",))
    write_crafted(folder, "plain", seed=2, own=False)
    return folder


@pytest.fixture(scope="module")
def opened(folder):
    def opened(blend=None, mode="mel", name=None, **controls):
        request = RenderRequest(model=name, blend=blend or (), blend_mode=mode, controls=controls)
        return load_sources(request, lambda word: folder / f"{word or 'rain'}.distillgan", CPU)

    return opened


def rendering(sources, seconds=3.0, seed=4, mode="mel", **settings):
    blend = ["a:1", "b:1"] if len(sources) > 1 else ()
    request = RenderRequest(blend=blend, blend_mode=mode, duration=seconds, seed=seed, **settings)
    return Rendering(sources, VOCODER, request)


def played(sources, seconds=3.0, **settings):
    made = rendering(sources, seconds, **settings)
    wave = np.concatenate(list(made.blocks()), 1)
    assert wave.shape == (1, made.samples) == (1, round(seconds * RATE)) and wave.dtype == np.float32
    return wave


def test_one_model_is_what_the_engine_renders(opened):
    (source,), warnings = opened(name="wind", density=4)
    assert not warnings and source.weight is None
    assert np.array_equal(played([source]), render(source.model, VOCODER, 3.0, 4, source.controls))
    assert rendering([source]).analysis is source.model.analysis


@pytest.mark.parametrize("mode", ["mel", "audio"])
@pytest.mark.parametrize(("weights", "alone"), [((100, 0), "rain"), ((0, 3), "wind")])
def test_all_of_the_weight_on_one_is_that_one_alone(opened, weights, alone, mode):
    """Of strides 8 and 4, for longer than a block of either decoder."""
    blended, warnings = opened([f"rain:{weights[0]}", f"wind:{weights[1]}"], mode)
    (source,), _ = opened(name=alone)
    assert not warnings
    assert np.array_equal(played(blended, 13.3, mode=mode), played([source], 13.3))


def test_half_and_half_is_neither_and_needs_no_own_vocoder(opened):
    blended = played(opened(["rain:1", "wind:1", "plain:2"])[0])
    for name in ("rain", "wind", "plain"):
        assert np.abs(blended - played(opened(name=name)[0])).max() > 0.05


@pytest.mark.parametrize("mode", ["mel", "audio"])
def test_weights_over_time_begin_as_the_first_and_end_as_the_second(opened, mode):
    blended = played(opened(["rain:1.5:100 3:0", "wind:1.5:0 3:100"], mode)[0], 4.5, mode=mode)
    first, second = (played(opened(name=name)[0], 4.5) for name in ("rain", "wind"))
    edge = RATE  # what a vocoder hears of the other side is well within half a second
    assert np.abs(blended[:, :edge] - first[:, :edge]).max() < 1e-4
    assert np.abs(blended[:, -edge:] - second[:, -edge:]).max() < 1e-4
    assert np.abs(blended[:, -edge:] - first[:, -edge:]).max() > 0.05
    middle = slice(2 * RATE, round(2.5 * RATE))
    assert min(np.abs(blended[:, middle] - other[:, middle]).max() for other in (first, second)) > 0.02


def test_waves_are_mixed_by_their_weights_squares(opened):
    first, second = (played(opened(name=name)[0]) for name in ("rain", "wind"))
    mixed = played(opened(["rain:30", "wind:10"], "audio")[0], mode="audio")
    assert np.abs(mixed - (np.sqrt(0.75) * first + np.sqrt(0.25) * second)).max() < 1e-5


def test_a_control_moves_those_models_that_have_it_and_warns_of_the_others(opened):
    sources, warnings = opened(["rain:1", "wind:1", "plain:1"], brightness=5, density="0:-3 8:4")
    assert [source.controls.to_dict() for source in sources] == [
        {"brightness": 5, "density": "0:-3 8:4"},
        {"density": "0:-3 8:4"},
        {},
    ]
    assert sorted(warnings) == sorted(
        words for words in warnings if words.startswith(("controls.brightness", "controls.density"))
    )
    said = "\n".join(warnings)
    assert "controls.brightness: inactive in model wind" in said and "density: model plain was packed without" in said
    assert len(warnings) == 3
    moved, still = played(sources), played(opened(["rain:1", "wind:1", "plain:1"])[0])
    assert np.abs(moved - still).max() > 0.02


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (
            {"brightness": 3},
            "brightness: inactive in model wind: .*Its active ones are density, reverb, axis1",
        ),
        ({"loudness": 3}, "controls.loudness: model wind has no such slider. Its active ones are density, reverb"),
        ({"density": "loud"}, "controls.density=loud must be a number, or breakpoints"),
        ({"density": True}, "controls.density=True must be a number"),
        ({"density": "0:1 0:2"}, "the seconds of its breakpoints"),
    ],
)
def test_controls_that_a_model_does_not_take(opened, controls, message):
    with pytest.raises(UserError, match=message):
        opened(name="wind", **controls)
    other = ["wind:1", "plain:1"]
    with pytest.raises(UserError, match=r"controls\.\w+"):
        opened(other, **controls)


def test_a_model_without_an_analysis_says_so(opened):
    with pytest.raises(UserError, match="model plain was packed without an analysis, so it has no sliders"):
        opened(name="plain", density=1)


def test_a_model_whose_sliders_are_pending_says_so(tmp_path):
    header, tensors = header_and_tensors("plain", own=False)
    training = {**header.training, "vae": {**header.training["vae"], "sliders": PENDING}}
    write_model(tmp_path / "plain.distillgan", replace(header, training=training), tensors)
    with pytest.raises(UserError, match=r"sliders of model plain are pending: .*: distillgan train name=plain"):
        load_sources(RenderRequest(controls={"density": 1}), lambda _: tmp_path / "plain.distillgan", CPU)


def test_values_beyond_the_ends_are_clamped_with_a_warning(opened):
    (source,), warnings = opened(name="wind", density=40, reverb="0:-5 4:5")
    assert source.controls.to_dict() == {"density": 12, "reverb": "0:0 2:0 4:5"}
    assert len(warnings) == 2 and all("is clamped to" in words for words in warnings)
    assert "controls.density=40 is clamped to -12 … 12" in warnings[0] and "0 … 12" in warnings[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blend": ["rain:1", "wind:1"], "name": "rain"}, "blend lists the models: leave out model"),
        ({"blend": ["rain:1", "wind:1"], "mode": "mix"}, "blend.mode=mix must be one of mel, audio"),
        ({"mode": "mix"}, "blend.mode=mix must be one of"),
        ({"blend": ["rain:1", "rain:1"]}, "names a model twice"),
        ({"blend": [f"{name}:1" for name in "abcde"]}, "must list 2 to 4 models"),
    ],
)
def test_what_cannot_be_opened(opened, arguments, message):
    with pytest.raises(UserError, match=message):
        opened(**arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "zigzag"}, "path=zigzag is no path: choose one of chunk, crossfade, interpolate, reconstruct"),
        ({"source": "moon"}, "source=moon is nothing to draw from: choose one of corpus, prior"),
        ({"evolution": 1.5}, "evolution=1.5 must be a number from 0 to 1"),
        ({"evolution": -0.1}, "evolution=-0.1 must be a number from 0 to 1"),
        ({"evolution": "fast"}, "evolution=fast must be a number from 0 to 1"),
        ({"evolution": None}, "evolution=None must be a number from 0 to 1"),
        ({"evolution": float("nan")}, "evolution=nan must be a number from 0 to 1"),
        ({"seconds": 0.05}, "duration=0.05 must be a number from 0.1"),
    ],
)
def test_settings_out_of_range(opened, settings, message):
    with pytest.raises(UserError, match=message):
        played(opened()[0], **settings)


def test_paths_sources_and_evolution_each_change_the_sound(opened):
    sources, _ = opened()
    ways = [{}, {"path": "chunk"}, {"path": "interpolate"}, {"source": "prior"}, {"evolution": 0}, {"evolution": 1}]
    waves = [played(sources, 8.0, **way) for way in ways]
    for number, wave in enumerate(waves):
        for other in waves[:number]:
            assert np.abs(wave - other).max() > 0.02


def test_parameters_say_all_of_it(opened, tmp_path):
    sources, _ = opened(["rain:1", "wind:0:1 8:2"], density=3)
    said = rendering(sources, path="chunk").parameters()
    models = said.pop("models")
    assert said == {"blend_mode": "mel", "path": "chunk", "evolution": 0.5, "source": "corpus"}
    assert [(m["name"], m["weight"], m["controls"]) for m in models] == [
        ("rain", 1, {"density": 3}),
        ("wind", "0:1 8:2", {"density": 3}),
    ]
    assert models[0]["fingerprint"] != models[1]["fingerprint"]
    np.save(tmp_path / "noise.npy", 0.1 * np.random.default_rng(1).standard_normal(30000).astype(np.float32))
    clip = AudioClip(tmp_path / "noise.npy", "noise.wav", 30000, RATE, 2.0)
    (source,), _ = opened(brightness=-2)
    again = Reconstruction(source, VOCODER, RenderRequest(recording="noise.wav"), clip)
    assert np.concatenate(list(again.blocks()), 1).shape == (1, again.samples) == (1, 30000)
    assert (again.parameters()["path"], again.parameters()["recording"]) == ("reconstruct", "noise.wav")
    assert again.parameters()["models"][0]["controls"] == {"brightness": -2}


def test_one_model_twice_in_a_blend_is_refused_however_it_is_named(tmp_path):
    write_crafted(tmp_path / "models", "rain")
    home = Home(tmp_path)
    for words in (["rain:60", "ra:40"], ["rain:60", f"{home.model('rain')}:40"]):
        with pytest.raises(UserError, match="are one model, rain: give it one weight"):
            load_sources(RenderRequest(blend=words), lambda name: find_model(home, name), CPU)
