"""New latents come from the corpus: near it, never a copy, and the same for the same seed."""

import time

import pytest
import torch

from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.trajectory import draw_trajectory


def corpus_of(*lengths: int, dimensions: int = 6, seed: int = 0) -> CorpusLatents:
    """Pieces of slow noise, each around a place of its own; the dimensions differ in mean and spread."""
    rng = torch.Generator().manual_seed(seed)
    pieces = []
    for length in lengths:
        drift = torch.randn(length + 8, dimensions, generator=rng).unfold(0, 9, 1).mean(-1) * 2
        pieces.append(drift + torch.randn(dimensions, generator=rng))
    z = torch.cat(pieces) * torch.linspace(0.1, 2, dimensions) + torch.arange(dimensions)
    return CorpusLatents(z, torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()]))


CORPUS = corpus_of(300, 200, 120, 60, 40, 300)


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 44, 100, 1077])
def test_shape(frames):
    z = draw_trajectory(CORPUS, frames, 1)
    assert z.shape == (6, frames) and z.dtype == torch.float32 and torch.isfinite(z).all()


def test_a_pure_function_of_the_seed():
    state = torch.get_rng_state()
    first = draw_trajectory(CORPUS, 200, 7)
    torch.manual_seed(99)
    assert torch.equal(draw_trajectory(CORPUS, 200, 7), first)
    torch.set_rng_state(state)
    others = [draw_trajectory(CORPUS, 200, seed) for seed in range(20) if seed != 7]
    assert min(float((other - first).abs().mean()) for other in others) > 0.1


def test_it_has_the_statistics_of_the_corpus():
    drawn = torch.cat([draw_trajectory(CORPUS, 1000, seed) for seed in range(4)], 1)
    mean, spread = CORPUS.z.mean(0), CORPUS.z.std(0)
    assert ((drawn.mean(1) - mean).abs() < 0.3 * spread).all()
    ratio = drawn.std(1) / spread
    assert ratio.min() > 0.65 and ratio.max() < 1.1
    assert ((drawn - mean[:, None]).abs() / spread[:, None]).max() < 5


def test_every_moment_comes_from_the_material_and_none_is_a_copy():
    """Distance to the nearest corpus frame: far less than between frames at random, but not nothing."""
    spread = CORPUS.z.std(0)
    drawn, own = draw_trajectory(CORPUS, 1000, 3).T / spread, CORPUS.z / spread
    nearest = torch.cdist(drawn, own).min(1).values
    shuffled = torch.stack([own[torch.randperm(len(own), generator=torch.Generator().manual_seed(d)), d]
                            for d in range(6)], 1)  # fmt: skip
    foreign = torch.cdist(shuffled, own).min(1).values
    assert nearest.median() < 0.75 * foreign[foreign > 0].median()
    assert nearest.min() > 1e-4


def test_neighbouring_frames_stay_neighbours():
    """No jumps beyond those of the corpus: moments are faded into one another."""
    spread = CORPUS.z.std(0)[:, None]
    steps = draw_trajectory(CORPUS, 2000, 5).diff(dim=1) / spread
    apart = (CORPUS.z[torch.randperm(len(CORPUS.z), generator=torch.Generator().manual_seed(1))] - CORPUS.z).T / spread
    assert steps.norm(dim=0).max() < 0.5 * apart.norm(dim=0).max()


def test_all_of_a_long_corpus_is_visited():
    """Six pieces that lie far apart: each is where the drawn sound is, for some of the time."""
    torch.manual_seed(0)
    centres = torch.arange(6) * 10.0
    z = torch.cat([centre + 0.1 * torch.randn(50, 2) for centre in centres])
    corpus = CorpusLatents(z, torch.arange(7) * 50)
    drawn = torch.cat([draw_trajectory(corpus, 1000, seed) for seed in range(3)], 1)[0]
    counts = torch.histc(drawn, 6, -5, 55)
    assert counts.min() > 100


def test_different_times_differ():
    z = draw_trajectory(CORPUS, 1000, 2)
    blocks = z.reshape(6, 20, 50).mean(2)
    assert (blocks.std(1) > 0.1 * CORPUS.z.std(0)).all()


@pytest.mark.parametrize("lengths", [(1,) * 30, (1,), (2,), (3, 4, 5), (16,), (43,), (44,), (300,), (1, 300)], ids=str)
def test_corpora_of_all_shapes(lengths):
    corpus = corpus_of(*lengths)
    for frames in (1, 10, 200):
        z = draw_trajectory(corpus, frames, 1)
        assert z.shape == (6, frames)
        reach = 1e-5 + corpus.z.amax(0) - corpus.z.amin(0)
        assert (corpus.z.amax(0) + reach >= z.T).all() and (corpus.z.amin(0) - reach <= z.T).all()


def test_a_corpus_of_one_frame_is_held():
    corpus = corpus_of(1)
    assert torch.allclose(draw_trajectory(corpus, 50, 1), corpus.z.T.expand(-1, 50))


def test_a_quarter_of_an_hour_is_drawn_in_a_moment():
    corpus = corpus_of(*[300] * 60, dimensions=32)
    begun = time.process_time()
    z = draw_trajectory(corpus, 10_000, 1)
    assert time.process_time() - begun < 1
    assert z.shape == (32, 10_000)
