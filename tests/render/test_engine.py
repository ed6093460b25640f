"""A model file plays: as long as asked for, and the same samples for the same seed."""

import hashlib
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from distillgan.audio.mel import MelSpec, MelSpectrogram, log1p_to_log_clamp, to_log1p
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.modelfile import read_model, write_model
from distillgan.modelheader import Header
from distillgan.render.engine import Model, encode, reconstruct, render
from distillgan.vae.network import VAENetwork
from distillgan.vocoder.hifigan import HiFiGANGenerator, HiFiGANVocoder

RATE = 44100
CPU = torch.device("cpu")
NETWORK = {
    "n_mels": 128,
    "latent_dim": 4,
    "channels": 16,
    "blocks": 1,
    "expansion": 2,
    "fine_channels": 16,
    "fine_blocks": 1,
    "stride": 8,
    "kernel_size": 7,
}
STAGE = {"steps": 1, "seconds": 1.0, "date": "2025-01-02T03:04:05+00:00"}


def header_and_tensors() -> tuple[Header, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    network = VAENetwork(**NETWORK)
    generator = HiFiGANGenerator(
        upsample_initial_channel=32, resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1, 3),)
    )
    for parameter in generator.parameters():
        parameter.data *= 2  # at its initial scale it is nearly silent
    tensors = {f"vae.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"vocoder.{name}": tensor for name, tensor in generator.export_state().items()}
    tensors |= {"latent.z": torch.randn(90, 4).half() * 3, "latent.starts": torch.tensor([0, 40, 90])}
    header = Header(
        name="rain",
        mel=MelSpec(),
        vae=NETWORK,
        vocoder={"name": "hifigan", "generator": generator.args},
        corpus={"fingerprint": "0", "minutes": 1.0, "files": 2, "train": [], "held_out": []},
        training={"vae": STAGE, "vocoder": STAGE},
    )
    return header, tensors


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "rain.distillgan"
    write_model(path, *header_and_tensors())
    return path


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
        (30.1, 1327410),
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
        "import sys, hashlib, torch; from pathlib import Path; from distillgan.render.engine import Model, render\n"
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
    assert torch.equal(model.corpus.z, tensors["latent.z"].float()) and model.corpus.pieces == 2


def test_the_memory_of_a_minute_is_that_of_its_blocks(path):
    """One pass over a minute would hold the last layers' activations for all of it: over a gigabyte."""
    code = (
        "import sys, torch; from pathlib import Path; from distillgan.render.engine import Model, render\n"
        "def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "model = Model.load(Path(sys.argv[1]), torch.device('cpu'))\n"
        "render(model, model.vocoder, 8.0, 1)\n"
        "before = peak()\n"
        "wave = render(model, model.vocoder, 60.0, 1)\n"
        "print(peak() - before, wave.shape[1])"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    grown, samples = map(int, result.stdout.split())
    assert samples == 60 * RATE
    assert grown < 100_000, f"a minute needs {grown / 1000:.0f} MB more than eight seconds"


@pytest.mark.parametrize("seconds", [0.0999, 0, -1, 601, float("nan"), float("inf")])
def test_limits(model, seconds):
    with pytest.raises(UserError, match=re.escape(f"duration={seconds} must be a number from 0.1 to 600")):
        render(model, model.vocoder, seconds, 1)


def test_a_vocoder_for_another_mel_is_refused(model):
    other = MelSpec(f_min=30)
    generator = HiFiGANGenerator(upsample_initial_channel=32)
    with pytest.raises(UserError) as caught:
        render(model, HiFiGANVocoder(generator, other), 1, 1)
    assert all(words in str(caught.value) for words in ("model rain", "the vocoder", str(other), str(model.spec)))


def test_a_model_without_a_vocoder(tmp_path):
    header, tensors = header_and_tensors()
    header = replace(header, vocoder=None, training={"vae": STAGE, "vocoder": None})
    write_model(tmp_path / "m", header, {n: t for n, t in tensors.items() if not n.startswith("vocoder.")})
    model = Model.load(tmp_path / "m", CPU)
    assert model.vocoder is None
    generator = HiFiGANGenerator(upsample_initial_channel=32)
    assert render(model, HiFiGANVocoder(generator, model.spec), 0.5, 1).shape == (1, 22050)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory) -> AudioClip:
    """Noise of 57.3 s that swells and fades: several blocks of the encoder, the decoder and the vocoder."""
    rng = np.random.default_rng(3)
    wave = 0.1 * rng.standard_normal(round(57.3 * RATE)) * np.abs(np.sin(np.arange(round(57.3 * RATE)) / 40000))
    path = tmp_path_factory.mktemp("clip") / "swell.npy"
    np.save(path, wave.astype(np.float32))
    return AudioClip(path, "swell.wav", len(wave), RATE, 2.5)


@torch.inference_mode()
def test_a_recording_in_blocks_is_the_one_in_one_piece(model, long_clip):
    seen = []
    made = reconstruct(model, model.vocoder, long_clip, lambda *done: seen.append(done))
    assert made.shape == (1, long_clip.length) and made.dtype == np.float32
    frames = -(-long_clip.length // 512)
    x = to_log1p(MelSpectrogram(model.spec)(torch.from_numpy(long_clip.read(0, frames * 512))[None]), model.spec)
    z = model.network.encode(x)[0]
    whole = model.vocoder(log1p_to_log_clamp(model.network.decode(z, frames), model.spec))[0, :, : long_clip.length]
    # As loud as the recording, not as the corpus's common loudness.
    assert np.abs(made - whole.numpy() / 2.5).max() < 1e-4  # the vocoder's doubled weights amplify rounding
    assert (encode(model.network, x[0]) - z[0]).abs().max() < 1e-5
    done, of = zip(*seen, strict=True)
    assert set(of) == {long_clip.length} and list(done) == sorted(done) and done[-1] == long_clip.length
    assert len(done) > 3


def test_recordings_that_cannot_be_reconstructed(model, long_clip):
    with pytest.raises(UserError, match=r"source=swell.wav lasts 601 s: at most 600 s"):
        reconstruct(model, model.vocoder, replace(long_clip, length=601 * RATE))
    with pytest.raises(UserError, match=r"swell.wav has 48000 Hz, model rain 44100 Hz"):
        reconstruct(model, model.vocoder, replace(long_clip, sample_rate=48000))


def without(name):
    return lambda header, tensors: (header, {n: t for n, t in tensors.items() if n != name})


def with_network(**values):
    return lambda header, tensors: (replace(header, vae={**NETWORK, **values}), tensors)


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
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path, change, words):
    """A whole file, all its checksums right, made by another program or version."""
    path = tmp_path / "odd.distillgan"
    write_model(path, *change(*header_and_tensors()))
    with pytest.raises(UserError, match=f"(?s){re.escape(str(path))}: {words}"):
        Model.load(path, CPU)
