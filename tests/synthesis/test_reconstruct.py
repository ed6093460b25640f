"""A recording through a model: whole, as loud as it is, and moved by the sliders."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from crafted import CPU, RATE, write_crafted

from distillgan.audio.mel import MelSpectrogram, log1p_to_log_clamp, to_log1p
from distillgan.control.sliders import Controls, Curve
from distillgan.control.trajectory import encode
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.synthesis.renderer import Model, reconstruct_blocks


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    folder = tmp_path_factory.mktemp("models")
    return Model.load(write_crafted(folder, "rain", sliders=("brightness", "density")), CPU)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory) -> AudioClip:
    """Noise of 26.3 s that swells and fades: several blocks of the encoder, the decoder and the vocoder."""
    rng = np.random.default_rng(3)
    wave = 0.1 * rng.standard_normal(2265 * 512 - 40) * np.abs(np.sin(np.arange(2265 * 512 - 40) / 40000))
    path = tmp_path_factory.mktemp("clip") / "swell.npy"
    np.save(path, wave.astype(np.float32))
    return AudioClip(path, "swell.wav", len(wave), RATE, 2.5)


@torch.inference_mode()
def test_a_recording_in_blocks_is_the_one_in_one_piece(model, long_clip):
    blocks = list(reconstruct_blocks(model, model.vocoder, long_clip))
    assert len(blocks) > 3
    made = np.concatenate(blocks, 1)
    assert made.shape == (1, long_clip.length) and made.dtype == np.float32
    frames = -(-long_clip.length // 512)
    x = to_log1p(MelSpectrogram(model.spec)(torch.from_numpy(long_clip.read(0, frames * 512))[None]), model.spec)
    z = model.network.encode(x)[0]
    whole = model.vocoder(log1p_to_log_clamp(model.network.decode(z, frames), model.spec))[0, :, : long_clip.length]
    # As loud as the recording, not as the corpus's common loudness.
    assert np.abs(made - whole.numpy() / 2.5).max() < 1e-4  # the vocoder's doubled weights amplify rounding
    assert (encode(model.network, x[0]) - z[0]).abs().max() < 1e-5


def test_recordings_that_cannot_be_reconstructed(model, long_clip):
    with pytest.raises(UserError, match=r"recording=swell.wav lasts 3601 s: at most 3600 s"):
        reconstruct_blocks(model, model.vocoder, replace(long_clip, length=3601 * RATE))
    with pytest.raises(UserError, match=r"swell.wav has 48000 Hz, model rain 44100 Hz"):
        reconstruct_blocks(model, model.vocoder, replace(long_clip, sample_rate=48000))


def test_sliders_move_a_recording(model, long_clip):
    clip = replace(long_clip, length=6 * RATE)

    def played(**positions):
        controls = Controls({name: Curve((0.0,), (value,)) for name, value in positions.items()})
        return np.concatenate(list(reconstruct_blocks(model, model.vocoder, clip, controls)), 1)

    still = played()
    assert still.shape == (1, clip.length)
    for positions in ({"brightness": 10.0}, {"density": -10.0}, {"axis2": -9.0}):
        moved = played(**positions)
        assert moved.shape == still.shape and np.abs(moved - still).max() > 0.02
    assert np.array_equal(played(brightness=0.0), still)
