"""A picture's mel, block by block: that of the whole sound, every event at its time, in so many columns at most."""

import numpy as np
import pytest
import torch

from distillgan.audio.mel import MelSpec, MelSpectrogram, PooledMel

SPEC = MelSpec()
RATE = SPEC.sample_rate


def pooled(blocks, spec: MelSpec = SPEC) -> tuple[torch.Tensor, float]:
    pool = PooledMel(spec)
    for block in blocks:
        pool.add(block)
    return pool.finish()


@pytest.mark.parametrize("sizes", [[30000], [1, 0, 511, 2000, 7, 27481], [300] * 100])
def test_blocks_give_the_mel_of_the_whole(sizes):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (1, sum(sizes))).astype(np.float32)
    mel, rate = pooled(np.split(wave, np.cumsum(sizes)[:-1], axis=1))
    whole = MelSpectrogram(SPEC)(torch.from_numpy(wave))[0]
    assert rate == SPEC.frame_rate and mel.shape == (128, 59)  # the last frame is begun only
    assert torch.allclose(mel[:, 2:56], whole[:, 2:56], atol=1e-4)


@pytest.mark.parametrize("samples", [1, 100, 2048])
def test_short_sounds(samples):
    mel, _ = pooled([np.full((1, samples), 0.5, np.float32)])
    assert mel.shape == (128, -(-samples // 512)) and mel.max() > 1e-3


def test_other_shapes_of_mel():
    spec = MelSpec(16000, 512, 512, 40, 0, 8000)
    mel, rate = pooled([np.ones((1, 5000), np.float32)], spec)
    assert mel.shape == (40, 10) and rate == 31.25


def test_channels_are_all_seen():
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (200, 8000))
    both = pooled([np.stack([low, high])])[0]
    for tone in (low, high):
        alone = pooled([tone[None]])[0]
        band = alone[:, 20].argmax()
        assert both[band, 20] == pytest.approx(0.5 * float(alone[band, 20]), rel=0.05)
    cancelling = pooled([np.stack([low, -low])])[0]
    assert torch.allclose(cancelling, pooled([low[None]])[0], atol=1e-4)


@pytest.mark.parametrize("minutes", [0.3, 0.5, 3.0])
def test_a_click_stays_where_it_was_however_long_the_sound(minutes):
    seconds = int(minutes * 60)
    at = [2.0, seconds / 2, seconds - 2.0]

    def blocks():
        for second in range(seconds):
            block = np.zeros((1, RATE), np.float32)
            for click in at:
                if second <= click < second + 1:
                    block[0, int((click - second) * RATE)] = 1
            yield block

    mel, rate = pooled(blocks())
    assert mel.shape[1] <= 2048 and (mel.shape[1] >= 1024 or rate == SPEC.frame_rate)
    assert mel.shape[1] / rate == pytest.approx(seconds, abs=1 / rate)
    level = mel.sum(0)
    loud = (level > level.max() / 3).nonzero()[:, 0]
    for click in at:
        assert (loud / rate - click).abs().min() <= 1 / rate + 0.03
    assert len(loud) <= 3 * (1 + int(rate * 0.06 + 1))
