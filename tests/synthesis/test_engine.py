"""A model file plays: as long as asked for, and the same samples for the same seed."""

import hashlib
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from crafted import CPU, NETWORK, RATE, header_and_tensors, loud_vocoder, write_crafted

from distillgan.audio.mel import MelSpec, from_log1p, to_log_clamp
from distillgan.control.sliders import Controls, Curve
from distillgan.control.trajectory import SamplingStrategy, draw
from distillgan.errors import UserError
from distillgan.models.modelfile import read_model, write_model
from distillgan.models.vocoders.hifigan import HiFiGANGenerator, HiFiGANVocoder
from distillgan.synthesis.renderer import Model, render, render_blocks


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_crafted(tmp_path_factory.mktemp("models"), "rain", sliders=("brightness", "density"))


@pytest.fixture(scope="module")
def model(path):
    return Model.load(path, CPU)


@pytest.mark.parametrize(
    ("seconds", "samples"),
    [
        (0.1, 4410),
        (0.35, 15435),
        (0.2345, 10341),
        (1, 44100),
        (3.00002, 132301),
        (512 * 16 / RATE, 8192),
        (30, 1323000),
    ],
)
def test_as_long_as_asked_for(model, seconds, samples):
    wave = render(model, model.vocoder, seconds, 1)
    assert wave.shape == (1, samples) and wave.dtype == np.float32
    assert np.isfinite(wave).all() and np.abs(wave).max() <= 1
    ends = (wave[0, :2000], wave[0, -2000:])
    assert all(end.std() > 1e-3 for end in ends)  # sound to the very end


def test_other_seeds_other_sound(model):
    waves = [render(model, model.vocoder, 2, seed) for seed in range(4)]
    for number, wave in enumerate(waves):
        for other in waves[:number]:
            assert np.abs(wave - other).max() > 0.05 * np.abs(wave).max()


def test_the_same_samples_from_another_load_and_another_process(model, path):
    first = render(model, model.vocoder, 1.3, 7)
    torch.manual_seed(123)
    np.random.seed(123)
    again = Model.load(path, CPU)
    assert np.array_equal(render(again, again.vocoder, 1.3, 7), first)
    assert np.array_equal(render(model, model.vocoder, 1.3, 7), first)
    code = (
        "import sys, hashlib, torch; from pathlib import Path\n"
        "from distillgan.synthesis.renderer import Model, render\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "model = Model.load(Path(sys.argv[1]), torch.device('cpu'))\n"
        "print(hashlib.sha256(render(model, model.vocoder, 1.3, 7).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(first.tobytes()).hexdigest()


def test_rendering_makes_no_gradients_and_changes_nothing(model):
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    assert not any(p.requires_grad for part in (model.network, model.vocoder) for p in part.parameters())
    assert not model.network.training and not model.vocoder.training
    latents = model.corpus.z.clone()
    render(model, model.vocoder, 1, 1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    assert torch.equal(latents, model.corpus.z)


def test_what_was_packed_is_what_plays(model, path):
    header, tensors = read_model(path)
    assert model.header == header and model.spec == MelSpec()
    assert all(torch.equal(tensors[f"vae.{name}"], t) for name, t in model.network.state_dict().items())
    assert torch.equal(model.corpus.z, tensors["latent.z"].float()) and model.corpus.chunks == 2


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["chunk", "crossfade", "interpolate"])
def test_blocks_joined_are_the_whole(model, kind):
    """More than a block of the decoder and eight of the vocoder, against one pass of each over all of it."""
    frames, way = 2265, SamplingStrategy(kind)
    blocks = list(render_blocks(model, model.vocoder, frames * 512 / RATE, 3, strategy=way))
    assert len(blocks) > 8 and max(block.shape[1] for block in blocks) < 4 * RATE
    trajectory, power = draw(model.material, Controls(), frames, 3, way), 0
    assert len(trajectory.layers) == (2 if kind == "crossfade" else 1)
    for layer in trajectory.layers:
        mel = from_log1p(model.network.decode(torch.from_numpy(layer.z)[None], frames), model.spec)
        power = power + (mel * (1 if layer.gain is None else torch.from_numpy(layer.gain))).square()
    whole = model.vocoder(to_log_clamp(power.sqrt()))[0].numpy()
    assert np.abs(np.concatenate(blocks, 1) - whole).max() < 1e-3


def test_a_slider_moves_the_sound_and_at_zero_it_does_not(model):
    still = render(model, model.vocoder, 4, 5)
    moved = {}
    for name, value in (("brightness", 10.0), ("brightness", -10.0), ("density", -10.0), ("axis1", 8.0)):
        moved[name, value] = render(model, model.vocoder, 4, 5, Controls({name: Curve((0.0,), (value,))}))
    for wave in moved.values():
        assert np.abs(wave - still).max() > 0.05
    zero = Controls({"brightness": Curve((0.0,), (0.0,)), "density": Curve((0.0, 3.0), (0.0, 0.0))})
    assert np.array_equal(render(model, model.vocoder, 4, 5, zero), still)


@pytest.mark.slow
def test_the_memory_of_five_minutes_is_that_of_one(path):
    code = (
        "import sys, torch; from pathlib import Path; from distillgan.synthesis.renderer import Model, render_blocks\n"
        "def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "model = Model.load(Path(sys.argv[1]), torch.device('cpu'))\n"
        "def played(seconds): return sum(b.shape[1] for b in render_blocks(model, model.vocoder, seconds, 1))\n"
        "played(60.0)\n"
        "before = peak()\n"
        "samples = played(300.0)\n"
        "print(peak() - before, samples)"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    grown, samples = map(int, result.stdout.split())
    assert samples == 300 * RATE
    assert grown < 30_000, f"five minutes, 53 MB as samples, need {grown / 1000:.0f} MB more than one"


@pytest.mark.parametrize("seconds", [0.0999, 0, -1, 86401, float("nan"), float("inf"), True, "long"])
def test_limits(model, seconds):
    with pytest.raises(UserError, match=re.escape(f"duration={seconds} must be a number from 0.1 to 86400")):
        render(model, model.vocoder, seconds, 1)


def test_a_vocoder_for_another_mel_is_refused(model):
    other = MelSpec(f_min=30)
    generator = HiFiGANGenerator(upsample_initial_channel=32)
    with pytest.raises(UserError) as caught:
        render(model, HiFiGANVocoder(generator, other), 1, 1)
    assert all(words in str(caught.value) for words in ("model rain", "the vocoder", str(other), str(model.spec)))


def test_a_model_without_a_vocoder_or_an_analysis_plays(tmp_path):
    header, tensors = header_and_tensors(own=False)
    write_model(tmp_path / "m", header, tensors)
    model = Model.load(tmp_path / "m", CPU)
    assert model.vocoder is None and model.analysis is None
    assert render(model, loud_vocoder(), 0.5, 1).shape == (1, 22050)


def without(name):
    return lambda header, tensors: (header, {n: t for n, t in tensors.items() if n != name})


def with_network(**values):
    return lambda header, tensors: (replace(header, vae={**NETWORK, **values}), tensors)


def with_analysis(name, change):
    def changed(header, tensors):
        _, tensors = header_and_tensors(sliders=("brightness",))
        return header, {n: change(t) if n == f"latent.analysis.{name}" else t for n, t in tensors.items()}

    return changed


def without_analysis(name):
    def changed(header, tensors):
        _, tensors = header_and_tensors(sliders=("brightness",))
        return header, {n: t for n, t in tensors.items() if n != f"latent.analysis.{name}"}

    return changed


def with_generator(**values):
    def change(header, tensors):
        generator = {**header.vocoder["generator"], **values}
        return replace(header, vocoder={**header.vocoder, "generator": generator}), tensors

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_network(depth=3), "its header describes no VAE that this version knows: .*depth"),
        (with_network(stride=7), "its header describes no VAE .*stride=7 must be an even number"),
        (with_network(channels="wide"), "its header describes no VAE"),
        (with_network(channels=-1), "its header describes no VAE"),
        (with_network(channels=24), "the VAE: the weights are not those of this network: .*of another shape"),
        (with_network(latent_dim=3), "the VAE: the weights are not those"),
        (without("vae.decoder.0.bias"), r"the VAE: .*1 missing \(decoder.0.bias\)"),
        (without("latent.z"), "its latents .* are not those of a corpus in 4 dimensions"),
        (without("latent.starts"), "its latents .* are not those of a corpus in 4 dimensions"),
        (without("vocoder.conv_pre.bias"), r"the model's vocoder: .*1 missing \(conv_pre.bias\)"),
        (with_generator(width=3), r"the model's vocoder: the arguments \['width'\] are missing or unknown"),
        (with_generator(num_mels=80), "the model's vocoder: num_mels=80, but the mel has n_mels=128"),
        (with_analysis("values", lambda t: t[:-1]), r"the part values of its analysis is missing or not \[10, 8\]"),
        (with_analysis("response", lambda t: t[:, :3]), r"the part response of its analysis .*not \[8, 5, 8\]"),
        (with_analysis("directions", lambda t: t[:, :2]), r"the part directions of its analysis .*not \[8, 4\]"),
        (with_analysis("axes_spread", lambda t: t[:1]), r"the part axes of its analysis .*not \[1, 4\]"),
        (without_analysis("percentiles"), "the part percentiles of its analysis is missing"),
        (without_analysis("axes_spread"), "the part axes of its analysis|the part axes_spread of its analysis"),
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path, change, words):
    """A whole file, all its checksums right, made by another program or version."""
    path = tmp_path / "odd.distillgan"
    write_model(path, *change(*header_and_tensors()))
    with pytest.raises(UserError, match=f"(?s){re.escape(str(path))}: {words}"):
        Model.load(path, CPU)
