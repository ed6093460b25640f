"""A low-pass takes away what is above its limit, in blocks as in the whole, and losses see nothing of it."""

import numpy as np
import pytest
import torch

from distillgan.audio.filters import band_limited, below, lowpass
from distillgan.audio.mel import LOG_FLOOR, MelSpec, MelSpectrogram, lowest_hertz, silent_above, to_log_clamp

RATE = 44100


def power_db(wave, low, high=RATE):
    window = np.hanning(len(wave))
    spectrum = np.abs(np.fft.rfft(wave * window)) ** 2 / (window**2).sum() / len(wave) * 2
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    return 10 * np.log10(spectrum[(hertz >= low) & (hertz < high)].sum() + 1e-30)


@pytest.mark.parametrize("limit", [3400.0, 4000.0, 11025.0, 16000.0])
def test_what_is_above_is_gone_and_what_is_below_is_as_it_was(limit):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3 * RATE)).astype(np.float32)
    (made,) = band_limited([wave], RATE, limit, wave.shape[1])
    assert made.shape == wave.shape
    assert power_db(made[0, RATE : 2 * RATE], limit) < -110
    response = np.abs(np.fft.rfft(lowpass(RATE, limit), 1 << 16))
    hertz = np.fft.rfftfreq(1 << 16, 1 / RATE)
    np.testing.assert_allclose(response[hertz < 0.92 * limit], 1, atol=1e-4)
    # Without delay: what is below stays in its place.
    lag = np.correlate(made[0, RATE : RATE + 4000], wave[0, RATE - 5 : RATE + 4005], "valid")
    assert lag.argmax() == 5


def test_blocks_equal_the_whole():
    wave = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 2 * RATE)).astype(np.float32)
    (whole,) = band_limited([wave], RATE, 4000.0, wave.shape[1])
    for cut in (1000, 16384, 50000):
        blocks = list(band_limited(np.split(wave, range(cut, 2 * RATE, cut), axis=1), RATE, 4000.0, 1 << 14))
        assert {block.shape[1] for block in blocks[:-1]} == {1 << 14}
        np.testing.assert_array_equal(np.concatenate(blocks, 1), whole)


def test_a_loss_knows_nothing_of_what_is_above():
    torch.manual_seed(0)
    wave = torch.randn(3, 1, 8192, requires_grad=True)
    limit = torch.tensor([4000.0, torch.inf, 11025.0])
    (made,) = below([wave], limit, RATE)
    np.testing.assert_allclose(made[1].detach(), wave[1].detach(), atol=1e-5)
    made.square().mean().backward()
    hertz = np.fft.rfftfreq(8192, 1 / RATE)
    for item, top in ((0, 4000.0), (2, 11025.0)):
        gradient = np.abs(np.fft.rfft(wave.grad[item, 0].numpy()))
        assert gradient[hertz > top].max() < 1e-5 * gradient.max()
        assert gradient[hertz < 0.9 * top].min() > 0
    assert below([wave], None, RATE)[0] is wave and below([wave], torch.tensor([torch.inf]), RATE)[0] is wave


def test_bands_above_a_limit_are_silent():
    spec = MelSpec()
    mel = to_log_clamp(MelSpectrogram(spec)(torch.randn(1, RATE)))
    made = silent_above(mel, spec, 4000.0)
    above = lowest_hertz(spec) >= 4000.0
    assert (made[:, above] == np.log(np.float32(LOG_FLOOR))).all() and torch.equal(made[:, ~above], mel[:, ~above])
    # A tone under the limit is in a band that stays, one well above it in none.
    for hz, kept in ((3990.0, True), (4300.0, False)):
        tone = torch.sin(2 * torch.pi * hz * torch.arange(RATE) / RATE)[None]
        loudest = MelSpectrogram(spec)(tone)[0].mean(1).argmax()
        assert bool(above[loudest]) != kept
