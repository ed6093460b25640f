"""From Python as from the shell: the same samples, the same refusals, and quick to import."""

import doctest
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import torch
from crafted import RATE, write_crafted
from support import requested

import distillgan as dg
from distillgan import api
from distillgan.audio.mel import MelSpec
from distillgan.audio.tags import read_comment
from distillgan.errors import UserError
from distillgan.models.base import Vocoder
from distillgan.paths import Home
from distillgan.synthesis.generation import generate
from distillgan.synthesis.reproduce import Original


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    write_crafted(folder / "models", "rain", sliders=("brightness", "density"))
    return folder


@pytest.fixture(scope="module")
def model(home):
    return dg.load("rain", home=home, device="cpu")


def test_the_same_samples_as_the_command(home, model):
    clip = model.render(1.5, seed=3, path="chunk", vocoder="hifigan", brightness=5, density="0:-5 1:7")
    told = ["model.name=rain", "duration=1.5", "seed=3", "path=chunk", "vocoder=hifigan", "export.depth=32f"]
    made = generate(requested(home, *told, "++controls.brightness=5", "++controls.density='0:-5 1:7'"))[0]
    heard = soundfile.read(made.path, dtype="float32")[0]
    gain = 10 ** (made.metadata["gain_db"] / 20)
    assert clip.wave.shape == (1, round(1.5 * RATE)) and clip.seconds == 1.5
    assert np.abs(heard - gain * clip.wave[0]).max() < 1e-6
    assert clip.origin["settings"]["controls"] == made.metadata["settings"]["controls"]


def test_two_threads_render_at_once_each_its_own_sound(home):
    models = [dg.load("rain", home=home, device="cpu") for _ in range(2)]
    asked = [{"seed": seed, "brightness": seed - 3, "path": ("chunk", "crossfade")[seed % 2]} for seed in range(8)]
    alone = [models[0].render(0.5, vocoder="hifigan", **values).wave for values in asked]
    assert len({wave.tobytes() for wave in alone}) == len(asked)
    for model in models:  # one model for both threads, and with the other one each its own
        with ThreadPoolExecutor(2) as pool:
            players = [models[0], model]
            renders = [
                pool.submit(players[number % 2].render, 0.5, vocoder="hifigan", **values)
                for number, values in enumerate(asked)
            ]
            together = [render.result().wave for render in renders]
        assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_rendering_from_python_needs_no_hydra(home):
    code = (
        "import sys, distillgan; distillgan.load('rain', home=sys.argv[1], device='cpu').render(0.2, vocoder='hifigan')"
    )
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True)
    assert "distillgan.synthesis.blend" in done.stdout.split()
    assert not {name.partition(".")[0] for name in done.stdout.split()} & {"hydra", "omegaconf"}


def test_a_saved_clip_tells_how_it_was_made(home, model, tmp_path):
    clip = model.render(0.5, vocoder="hifigan", brightness=2)
    for name, options in (("a.wav", {"depth": 16}), ("a.flac", {}), ("a.ogg", {"quality": 9}), ("a.mp3", {})):
        path = clip.save(tmp_path / name, **options)
        heard, rate = soundfile.read(path)
        assert (rate, len(heard)) == (RATE, RATE // 2) and np.abs(heard).max() > 0.1
        assert '"brightness":2' in read_comment(path)
    code = "import sys; from distillgan.cli.commands.sound_commands import reproduce_main; reproduce_main(sys.argv[1:])"
    command = [sys.executable, "-c", code, str(tmp_path / "a.flac"), f"paths.home={home}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "the same samples" in done.stdout, done.stdout + done.stderr


def test_encode_and_decode_are_what_reconstruct_does(model, recordings):
    z = model.encode(recordings / "take3.wav")
    seconds = soundfile.info(recordings / "take3.wav").duration
    assert z.dtype == np.float32 and z.shape[1] == pytest.approx(seconds * model.latent_rate, abs=1)
    decoded, heard = model.decode(z, vocoder="hifigan"), model.reconstruct(recordings / "take3.wav", vocoder="hifigan")
    count = heard.wave.shape[1] - 4000  # the end is padded to a latent frame
    scale = np.abs(decoded.wave).max() / np.abs(heard.wave).max()
    assert np.abs(decoded.wave[:, :count] - scale * heard.wave[:, :count]).max() < 0.02 * np.abs(decoded.wave).max()


def test_sliders_are_the_active_ones(model):
    assert {"brightness", "density"} <= model.sliders.keys() and "brightness" in repr(model)
    assert model.sliders["brightness"].unit == "Hz"


class Knocks(Vocoder):
    """One sample a frame, as loud as the mel: a vocoder with no weights at all."""

    def __init__(self, spec: MelSpec):
        super().__init__(spec, context_frames=0)
        self.register_buffer("knock", torch.eye(spec.hop_length)[0])

    def forward(self, mel):
        return (mel.exp().mean(1).clamp(max=1)[:, None, :, None] * self.knock).flatten(2)


def test_a_vocoder_of_ones_own_plays(home, model, recordings, tmp_path):
    mine = Knocks(model.engine.spec)
    clip = model.render(1.0, seed=2, vocoder=mine, brightness=4)
    assert clip.wave.shape == (1, RATE)
    assert np.flatnonzero(clip.wave[0]).tolist() == list(range(0, RATE, model.engine.spec.hop_length))
    assert np.array_equal(clip.wave, model.render(1.0, seed=2, vocoder=mine, brightness=4).wave)
    z = model.encode(recordings / "take3.wav")
    assert np.flatnonzero(model.decode(z, vocoder=mine).wave[0])[:2].tolist() == [0, 512]
    assert np.flatnonzero(model.reconstruct(recordings / "take3.wav", vocoder=mine).wave[0])[1] == 512
    # Its file says so, and that it cannot be made again by the commands.
    path = clip.save(tmp_path / "knocks.wav")
    assert '"vocoder":"Knocks"' in read_comment(path)
    with pytest.raises(UserError, match="vocoder=Knocks cannot play: choose one of auto"):
        generate(Original.of_file(path).request(Home(home))[0])


def test_the_vocoder_that_plays_can_be_had(model):
    played = model.vocoder("hifigan")
    assert played is model.vocoder("auto") is model.engine.vocoder
    assert played.render(torch.zeros(1, 128, 4)).shape == (1, 1, 4 * 512)


def test_an_axis_of_ones_own_is_a_slider(model):
    mine = model.with_axis(np.array([0.0, 0, 3, 4]))
    name = list(mine.sliders)[-1]
    assert mine.sliders.keys() - model.sliders.keys() == {name} and name not in model.sliders
    still = mine.render(2.0, vocoder="hifigan")
    assert np.array_equal(still.wave, model.render(2.0, vocoder="hifigan").wave), "at rest it changes nothing"
    assert np.array_equal(mine.render(2.0, vocoder="hifigan", **{name: "0:0 2:0"}).wave, still.wave)
    moved = mine.render(2.0, vocoder="hifigan", **{name: 8})
    assert np.abs(moved.wave - still.wave).max() > 0.01


def test_train_and_load(tmp_path, recordings):
    trained = dg.train(recordings, name="tiny one".replace(" ", "_"), home=tmp_path / "a home", experiment="tiny")
    assert trained.name == "tiny_one" and trained.header.corpus["files"] == 6
    again = dg.train([recordings], name="tiny_one", home=tmp_path / "a home", experiment="tiny", model__max_steps=6)
    assert again.header.training["vae"]["steps"] == 6, "callable still, and it goes on"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, h: dg.load("nosuch", home=h), "no such model"),
        (lambda m, h: dg.load("rain", home=h, device="abacus"), "device='abacus'"),
        (lambda m, h: m.render(0), "duration=0"),
        (lambda m, h: m.render(1, seed=-1), "seed=-1"),
        (lambda m, h: m.render(1, brightnes=3), "no such slider"),
        (lambda m, h: m.render(1, vocoder="nosuch"), "nosuch"),
        (lambda m, h: m.render(1, path="zigzag"), "path=zigzag"),
        (lambda m, h: m.render(1, path="reconstruct"), "use reconstruct(recording)"),
        (lambda m, h: m.reconstruct("/no/such.wav"), "/no/such.wav"),
        (lambda m, h: m.render(1, vocoder=["hifigan"]), "vocoder=['hifigan'] must be a name or a"),
        (lambda m, h: m.render(1, vocoder=Knocks(MelSpec(hop_length=256))), "hop_length=256"),
        (lambda m, h: m.decode(np.zeros((4, 5)), vocoder=Knocks(MelSpec(hop_length=256))), "hop_length=256"),
        (lambda m, h: m.with_axis(np.ones(3)), "of shape [3] must be [4]"),
        (lambda m, h: m.with_axis(np.zeros(4)), "not all 0"),
        (lambda m, h: m.with_axis([1, np.nan, 0, 0]), "finite"),
        (lambda m, h: m.decode(np.zeros((3, 5))), "must be [4, L]"),
        (lambda m, h: m.decode(np.full((4, 5), np.nan)), "finite"),
        (lambda m, h: m.render(0.2, vocoder="hifigan").save("a.aiff"), "its suffix must be one of .wav, .flac"),
        (lambda m, h: m.render(0.2, vocoder="hifigan").save(h / "a.wav", depth=12), "export.depth=12"),
        (lambda m, h: dg.train("/no/such/folder", name="x", home=h), "there is no such folder"),
        (lambda m, h: dg.train(name="x", home=h, nosuch=1), "nosuch"),
        (lambda m, h: dg.train(name="", home=h), "name='' cannot name a model"),
        (lambda m, h: dg.train(name=None, home=h), "name=None must be a text"),
        (lambda m, h: dg.train(name="x", home=h, search="vae"), "search=… is for the command"),
        (
            lambda m, h: m.render(0.2, vocoder="hifigan").save(h / "a.wav", quality=3),
            "a.wav has no such option: quality",
        ),
    ],
)
def test_refusals_are_those_of_the_commands(home, model, call, words):
    with pytest.raises(UserError) as refusal:
        call(model, home)
    assert words in str(refusal.value)


def test_the_examples_in_its_words(home, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILLGAN_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(api, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted >= 6 and not found.failed


def test_importing_it_is_quick_and_brings_neither_torch_nor_lightning_nor_gradio():
    code = "import time; t = time.perf_counter(); import distillgan, sys; print(time.perf_counter() - t, *sys.modules)"
    seconds, *loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert float(seconds) < 1.5
    assert not {"torch", "lightning", "gradio", "hydra", "numpy", "matplotlib"} & set(loaded)
