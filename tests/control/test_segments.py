"""Segments cover a corpus and stay within their chunks."""

import numpy as np
import pytest
from materials import corpus_of, numbered

from distillgan.control.latents import FRAMES, Segments

SHAPES = [(1,), (15,), (16,), (17,), (20,), (24,), (25,), (300,), (1, 1, 1), (5, 100, 16, 1, 33)]


@pytest.mark.parametrize("lengths", SHAPES, ids=str)
def test_every_frame_is_in_a_moment_and_no_moment_in_two_pieces(lengths):
    corpus = numbered(*lengths)
    segments = Segments.of(corpus)
    starts = corpus.starts.numpy()
    heard = np.zeros(starts[-1], int)
    for first, count, end in zip(segments.first, segments.count, segments.end, strict=True):
        chunk = np.searchsorted(starts, first, "right") - 1
        assert starts[chunk] <= first and first + count <= end == starts[chunk + 1]
        assert count == min(FRAMES, end - starts[chunk])
        heard[first : first + count] += 1
    assert heard.min() >= 1 and heard.max() <= 3
    assert len(set(segments.first.tolist())) == len(segments)


def test_means_are_those_of_the_frames():
    corpus = corpus_of(40, 5, 100)
    z, segments = corpus.z.numpy(), Segments.of(corpus)
    means = segments.means(z)
    for number in range(len(segments)):
        first = segments.first[number]
        assert means[number] == pytest.approx(z[first : first + segments.count[number]].mean(0), abs=1e-5)
