"""What trajectories sound like: in blocks as in one, and with tails that ring on or are cut."""

import math

import numpy as np
import pytest
import torch
from materials import material_of

import distillgan.control.trajectory as sounding
from distillgan.audio.mel import LOG_FLOOR, MelSpec, from_log1p
from distillgan.control.latents import CorpusLatents
from distillgan.control.sliders import Controls, Curve
from distillgan.control.trajectory import (
    BLOCK,
    Layer,
    SamplingStrategy,
    Tail,
    Trajectory,
    decode,
    decode_block,
    draw,
    encode,
    mel_blocks,
)
from distillgan.models.vae.network import VAENetwork

SPEC = MelSpec()
STRIDE = 8
DB = 20 / math.log(10)  # of a natural logarithm
FLOOR = math.log(LOG_FLOOR)


@pytest.fixture(scope="module", autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def network():
    """Of random weights, but its mels are far above silence and differ from band to band and from time to time."""
    torch.manual_seed(0)
    network = VAENetwork(128, 4, 16, 1, 2, 16, 1, STRIDE, 7).eval()
    with torch.no_grad():
        network.decoder[-1].weight.mul_(4)
        network.decoder[-1].bias.add_(3)
    return network


def latents(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((4, frames)).astype(np.float32)


def near(found: torch.Tensor, expected: torch.Tensor, by: float) -> bool:
    return found.shape == expected.shape and float((found - expected).abs().max()) < by


def joined(network, trajectory: Trajectory) -> torch.Tensor:
    return torch.cat(list(mel_blocks(network, SPEC, trajectory)), -1)


@pytest.mark.parametrize("frames", [1, 9, BLOCK, BLOCK + 1, 2 * BLOCK + 40])
def test_decoded_in_blocks_as_in_one(network, frames):
    z = torch.from_numpy(latents(frames))
    whole = network.decode(z[None], frames * STRIDE)
    assert near(decode(network, z, frames * STRIDE), whole, 1e-4)
    assert decode(network, z, frames * STRIDE - 5).shape == (1, 128, frames * STRIDE - 5)
    last = (frames - 1) // BLOCK * BLOCK
    assert near(decode_block(network, z, last), whole[..., last * STRIDE :], 1e-4)


@pytest.mark.parametrize("frames", [1, 8, 100, BLOCK * STRIDE, BLOCK * STRIDE + 3, 2 * BLOCK * STRIDE + 300])
def test_encoded_in_blocks_as_in_one(network, frames):
    x = torch.from_numpy(np.random.default_rng(0).random((128, frames), np.float32) * 3)
    assert near(encode(network, x), network.encode(x[None])[0][0], 1e-4)


def test_one_layer_is_the_decoded_mel(network):
    z = latents(40)
    mel = joined(network, Trajectory([Layer(z, None)], None, None, 40 * STRIDE - 3))
    whole = from_log1p(network.decode(torch.from_numpy(z)[None], 40 * STRIDE), SPEC)[..., :-3]
    assert near(mel, whole.clamp(min=LOG_FLOOR).log(), 1e-3)
    assert whole.std() > 0.2 * whole.mean() > 1e-3


def test_powers_of_layers_add_and_gains_are_gains(network):
    frames = 40 * STRIDE
    alone = [joined(network, Trajectory([Layer(latents(40, seed), None)], None, None, frames)) for seed in (0, 1)]
    gains = [np.linspace(0, 1, frames, dtype=np.float32), np.full(frames, 0.5, np.float32)]
    layers = [Layer(latents(40, seed), gains[seed]) for seed in (0, 1)]
    mel = joined(network, Trajectory(layers, None, None, frames))
    power = sum((one.exp() * torch.from_numpy(gain)).square() for one, gain in zip(alone, gains, strict=True))
    loud = power.sqrt() > 1e-3  # well above the floor
    assert loud.float().mean() > 0.2
    assert (mel - 0.5 * power.log())[loud].abs().max() < 0.02


def test_the_envelope_is_in_decibels(network):
    frames = 40 * STRIDE
    plain = joined(network, Trajectory([Layer(latents(40), None)], None, None, frames))
    envelope = np.where(np.arange(frames) < 100, 0, -12).astype(np.float32)
    mel = joined(network, Trajectory([Layer(latents(40), None)], envelope, None, frames))
    loud = plain[..., 100:] > FLOOR + 2
    assert (mel[..., :100] == plain[..., :100]).all()
    assert loud.float().mean() > 0.9
    assert (((plain - mel)[..., 100:][loud] * DB) - 12).abs().max() < 0.01
    assert mel.min() >= FLOOR - 1e-5


def test_a_trajectory_in_blocks_is_that_in_one_piece(network, monkeypatch):
    """With two tracks, gates and a tail whose state goes on from block to block."""
    corpus = CorpusLatents(torch.from_numpy(latents(600).T.copy()), torch.tensor([0, 300, 600]))
    controls = Controls(
        {"pulse": Curve((0.0,), (6.0,)), "reverb": Curve((0.0, 10.0, 20.0, 30.0), (9.0, 9.0, -9.0, -9.0))}
    )
    trajectory = draw(material_of(corpus), controls, 2900, 1, SamplingStrategy())
    monkeypatch.setattr(sounding, "BLOCK", 1000)
    whole = list(mel_blocks(network, SPEC, trajectory))
    for block in (256, 16):
        monkeypatch.setattr(sounding, "BLOCK", block)
        blocks = list(mel_blocks(network, SPEC, trajectory))
        assert len(whole) == 1 and len(blocks) == -(-2900 // (block * STRIDE))
        assert near(torch.cat(blocks, -1), whole[0], 2e-3)


def burst(decay_db: float = 400.0, frames: int = 400) -> torch.Tensor:
    """Log mel [1, 3, T]: silence, then at frame 50 a stroke of 0 dB that decays, 10 dB less in each higher band."""
    since = torch.arange(frames) - 50
    level_db = torch.where(since >= 0, -decay_db * since / SPEC.frame_rate, torch.tensor(-200.0))
    return ((level_db + torch.tensor([[0.0], [-10.0], [-20.0]])) / DB).clamp(min=FLOOR)[None]


def tailed(mel: torch.Tensor, drive: float) -> torch.Tensor:
    return Tail(SPEC)(mel, torch.full((mel.shape[-1],), drive))


def after(mel: torch.Tensor, seconds: float, band: int = 0) -> float:
    """dB, so long after the stroke."""
    return float(mel[0, band, 50 + round(seconds * SPEC.frame_rate)]) * DB


def test_nothing_changes_at_zero():
    mel = burst()
    assert (tailed(mel, 0.0) == mel).all()


@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_stroke_rings_on(band):
    mel = burst()
    wet = tailed(mel, 1.0)
    assert (wet >= mel).all() and (wet[..., :51] == mel[..., :51]).all()
    assert after(mel, 1.0, band) == pytest.approx(FLOOR * DB)
    # 60 dB in 4 s is 15 dB a second.
    fall = after(wet, 0.5, band) - after(wet, 2.5, band)
    assert 10 < fall / 2 < 25
    assert after(wet, 0.5, band) > -20 - 10 * band


def test_the_further_the_longer():
    levels = [after(tailed(burst(), drive), 0.4) for drive in (0.0, 0.1, 0.3, 0.6, 1.0)]
    assert (np.diff(levels) > 1).all()


def test_a_tail_is_cut():
    mel = burst(60.0)
    dry = tailed(mel, -1.0)
    assert (dry <= mel).all() and dry[0, :, 50].tolist() == mel[0, :, 50].tolist()
    # What falls by 60 dB a second falls more than twice as fast.
    assert after(mel, 0.5) == pytest.approx(-30, abs=1) and after(dry, 0.5) < -50
    assert (np.diff([after(tailed(mel, -drive), 0.5) for drive in (0.0, 0.2, 0.5, 1.0)]) < -2).all()


def test_what_is_held_is_neither_lengthened_nor_cut():
    held = torch.full((1, 3, 200), -2.0)
    assert near(tailed(held, 1.0), held, 1e-4) and near(tailed(held, -1.0), held, 1e-4)


@pytest.mark.parametrize("drive", [-1.2, 1.2])
def test_a_tail_goes_on_over_the_edge_of_a_block(drive):
    mel, tail = burst(), Tail(SPEC)
    parts = [tail(part, torch.full((part.shape[-1],), drive)) for part in mel.split([49, 3, 10, 1, 337], -1)]
    assert near(torch.cat(parts, -1), tailed(mel, drive), 1e-4)


def test_the_tail_of_a_drive_that_ends():
    mel = burst()
    drive = torch.where(torch.arange(400) < 100, 1.0, 0.0)
    found = Tail(SPEC)(mel, drive)
    assert (found[..., :100] == tailed(mel, 1.0)[..., :100]).all() and (found[..., 100:] == mel[..., 100:]).all()
