"""Moments cover a corpus and stay within their pieces."""

import numpy as np
import pytest
from materials import corpus_of, numbered

from distillgan.control.latents import FRAMES, Moments

SHAPES = [(1,), (15,), (16,), (17,), (20,), (24,), (25,), (300,), (1, 1, 1), (5, 100, 16, 1, 33)]


@pytest.mark.parametrize("lengths", SHAPES, ids=str)
def test_every_frame_is_in_a_moment_and_no_moment_in_two_pieces(lengths):
    corpus = numbered(*lengths)
    moments = Moments.of(corpus)
    starts = corpus.starts.numpy()
    heard = np.zeros(starts[-1], int)
    for first, count, end in zip(moments.first, moments.count, moments.end, strict=True):
        piece = np.searchsorted(starts, first, "right") - 1
        assert starts[piece] <= first and first + count <= end == starts[piece + 1]
        assert count == min(FRAMES, end - starts[piece])
        heard[first : first + count] += 1
    assert heard.min() >= 1 and heard.max() <= 3
    assert len(set(moments.first.tolist())) == len(moments)


def test_means_are_those_of_the_frames():
    corpus = corpus_of(40, 5, 100)
    z, moments = corpus.z.numpy(), Moments.of(corpus)
    means = moments.means(z)
    for number in range(len(moments)):
        first = moments.first[number]
        assert means[number] == pytest.approx(z[first : first + moments.count[number]].mean(0), abs=1e-5)
