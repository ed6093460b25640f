"""Weights of a blend: how they are written, what is refused, and what they do to mels and waves."""

import numpy as np
import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.synthesis.blend import mixed, morphed
from distillgan.synthesis.request import parse_blend

SPEC = MelSpec()


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        (["rain:60", "wind:40"], {"rain": 60, "wind": 40}),
        (["a:0.5", "b:1e2", "c:0", "d:3"], {"a": 0.5, "b": 100, "c": 0, "d": 3}),
        (["rain:0:100 8:0", "wind:0:0 8:100"], {"rain": "0:100 8:0", "wind": "0:0 8:100"}),
        (["rain:2:1", "12:1"], {"rain": 1, "12": 1}),  # one breakpoint is a constant
    ],
)
def test_what_is_written_is_what_is_meant(words, weights):
    assert {source.model: source.curve.to_value() for source in parse_blend(words)} == weights


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rain:60", "blend=rain:60 must list 2 to 4 models with their weights, such as"),
        (["rain:60"], "must list 2 to 4 models"),
        ([], "must list 2 to 4 models"),
        ([f"m{number}:1" for number in range(5)], "must list 2 to 4 models"),
        (["rain", "wind:40"], "blend: 'rain' must be a model and its weight, such as rain:60"),
        ([":60", "wind:40"], "blend: ':60' must be a model and its weight"),
        (["rain:", "wind:40"], "blend: the weight of rain= must be a number, or breakpoints"),
        (["rain:much", "wind:40"], "blend: the weight of rain=much must be a number, or breakpoints"),
        (["rain:nan", "wind:40"], "the weight of rain=nan must be a number"),
        (["rain:inf", "wind:40"], "the weight of rain=inf must be a number"),
        (["rain:-1", "wind:40"], r"blend: the weight of rain \(-1\) must be 0 or more"),
        (["rain:0:5 8:-1", "wind:40"], r"blend: the weight of rain \(0:5 8:-1\) must be 0 or more"),
        (["rain:8:1 2:5", "wind:40"], "the seconds of its breakpoints must begin at 0 or later, and rise"),
        (["rain:60", "rain:40"], "names a model twice: give it one weight"),
        (["rain:0", "wind:0"], "at some time all weights are 0"),
        (["rain:0:0 4:0 8:1", "wind:0:1 4:0"], "at some time all weights are 0"),
        ([None, "wind:40"], "blend: None must be a model and its weight"),
    ],
)
def test_what_cannot_be_a_blend_is_told(words, message):
    with pytest.raises(UserError, match=message):
        parse_blend(words)


def curves(*words):
    return [source.curve for source in parse_blend(list(words))]


def blocks_of(mel, *lengths):
    return list(mel.split([*lengths, mel.shape[-1] - sum(lengths)], dim=-1))


def test_mels_are_averaged_in_the_logarithm_whatever_their_blocks():
    first, second = torch.full((1, 128, 1000), -2.0), torch.full((1, 128, 1000), -8.0)
    weights = curves("a:30", "b:10")
    made = list(morphed(weights, [blocks_of(first, 700), blocks_of(second, 10, 300, 400)], SPEC))
    assert all(0 < block.shape[-1] <= 256 for block in made)
    assert torch.allclose(torch.cat(made, -1), torch.full((1, 128, 1000), -3.5))


def test_weights_over_time_are_followed_through_the_blocks():
    frames = 1200
    mels = [[torch.zeros(1, 128, frames)], [torch.ones(1, 128, frames)]]
    made = torch.cat(list(morphed(curves("a:0:1 10:0", "b:0:0 10:1"), mels, SPEC)), -1)[0, 0].numpy()
    seconds = np.arange(frames) / SPEC.frame_rate
    assert np.abs(made - np.minimum(seconds / 10, 1)).max() < 1e-6


def test_waves_that_know_nothing_of_each_other_stay_as_loud():
    rng = np.random.default_rng(0)
    waves = [0.1 * rng.standard_normal((1, 44100 * 3)).astype(np.float32) for _ in range(3)]
    blocks = [np.split(wave, [5000, 70000], 1) for wave in waves]
    made = np.concatenate(list(mixed(curves("a:1", "b:2", "c:5"), blocks, 44100)), 1)
    expected = sum(np.sqrt(weight / 8) * wave for weight, wave in zip((1, 2, 5), waves, strict=True))
    assert made.dtype == np.float32 and np.abs(made - expected).max() < 1e-6
    assert made.std() == pytest.approx(0.1, rel=0.02)


def test_a_fade_of_waves_begins_as_the_first_and_ends_as_the_second():
    rng = np.random.default_rng(0)
    first, second = (0.1 * rng.standard_normal((1, 44100 * 4)).astype(np.float32) for _ in range(2))
    weights = curves("a:1:1 3:0", "b:1:0 3:1")
    made = np.concatenate(list(mixed(weights, [np.split(first, 8, 1), np.split(second, 8, 1)], 44100)), 1)
    assert np.array_equal(made[:, :44100], first[:, :44100]) and np.array_equal(made[:, -44100:], second[:, -44100:])
    middle = made[0, 44100:-44100].reshape(8, -1).std(1)
    assert middle.min() > 0.09 and middle.max() < 0.11
