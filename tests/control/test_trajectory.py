"""New latents come from the corpus, by every path: near it, never far, and the same for the same seed."""

import hashlib
import os
import subprocess
import sys
import time
from itertools import product

import numpy as np
import pytest
import torch
from materials import STRIDE, analysis_of, controls_of, corpus_of, material_of, numbered, starts_of

from distillgan.control.latents import CorpusLatents
from distillgan.control.sliders import Controls
from distillgan.control.trajectory import PATHS, SOURCES, SamplingStrategy, Trajectory, draw
from distillgan.errors import UserError

CORPUS = corpus_of(300, 200, 120, 60, 40, 300)
MATERIAL = material_of(CORPUS)
STILL = Controls()


def drawn(frames: int, seed: int = 0, kind: str = "chunk", evolution: float = 0.5, source: str = "corpus", **parts):
    material, controls = parts.get("material", MATERIAL), parts.get("controls", STILL)
    return draw(material, controls, frames, seed, SamplingStrategy(kind, evolution, source))


def z_of(trajectory: Trajectory) -> np.ndarray:
    """That of the layer that is heard most, frame by frame, [L, D]."""
    if len(trajectory.layers) == 1:
        return trajectory.layers[0].z.T
    gains = np.stack([layer.gain[::STRIDE] for layer in trajectory.layers])
    return np.stack([layer.z for layer in trajectory.layers])[gains.argmax(0), :, np.arange(gains.shape[1])]


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 120, 121, 345, 8613])
@pytest.mark.parametrize(("kind", "source"), list(product(PATHS, SOURCES)))
def test_as_long_as_asked_for(frames, kind, source):
    trajectory = drawn(frames, 1, kind, source=source)
    assert trajectory.frames == frames and trajectory.envelope_db is None and trajectory.tail is None
    assert len(trajectory.layers) == (2 if kind == "crossfade" else 1)
    for layer in trajectory.layers:
        assert layer.z.shape == (6, -(-frames // STRIDE)) and layer.z.dtype == np.float32
        assert np.isfinite(layer.z).all()
        assert layer.gain is None or (layer.gain.shape == (frames,) and layer.gain.dtype == np.float32)


@pytest.mark.parametrize(("kind", "source"), list(product(PATHS, SOURCES)))
def test_a_pure_function_of_the_seed(kind, source):
    np.random.seed(1)
    first = z_of(drawn(1600, 7, kind, source=source))
    np.random.seed(99)
    assert (z_of(drawn(1600, 7, kind, source=source)) == first).all()
    others = [z_of(drawn(1600, seed, kind, source=source)) for seed in range(20) if seed != 7]
    assert min(np.abs(other - first).mean() for other in others) > 0.1


def digest_of_all_paths() -> str:
    material = material_of(CORPUS, analysis_of(CORPUS))
    controls = controls_of(warmth="0:-5 8:7", pulse=4, reverb=-3, axis1=2, density=-5, rhythm=2)
    digest = hashlib.sha256()
    for kind, source in product(PATHS, SOURCES):
        trajectory = drawn(700, 3, kind, source=source, material=material, controls=controls)
        parts = [trajectory.envelope_db, trajectory.tail, *(layer.z for layer in trajectory.layers)]
        for part in [*parts, *(layer.gain for layer in trajectory.layers if layer.gain is not None)]:
            digest.update(part.tobytes())
    return digest.hexdigest()


def test_another_process_draws_the_same():
    code = "from control.test_trajectory import digest_of_all_paths as digest; print(digest())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest_of_all_paths()


@pytest.mark.parametrize("kind", PATHS)
def test_it_has_the_statistics_of_the_corpus(kind):
    some = np.concatenate([z_of(drawn(8000, seed, kind)) for seed in range(6)])
    mean, spread = CORPUS.z.mean(0).numpy(), CORPUS.z.std(0).numpy()
    assert (np.abs(some.mean(0) - mean) < 0.4 * spread).all()
    ratio = some.std(0) / spread
    assert ratio.min() > 0.6 and ratio.max() < 1.2
    assert (np.abs(some - mean) / spread).max() < 5


@pytest.mark.parametrize("kind", ["chunk", "crossfade"])
def test_every_moment_comes_from_the_material_and_none_is_a_copy(kind):
    """Distance to the nearest corpus frame: far less than that of dimensions at random, but not nothing."""
    spread = CORPUS.z.std(0)
    own, some = CORPUS.z / spread, torch.from_numpy(z_of(drawn(8000, 3, kind))) / spread
    nearest = torch.cdist(some, own).min(1).values
    rng = np.random.default_rng(0)
    foreign = torch.cdist(torch.from_numpy(rng.permuted(own.numpy(), axis=0)), own).min(1).values
    assert nearest.median() < 0.75 * foreign[foreign > 0].median()
    assert nearest.min() > 1e-4


def test_without_evolution_every_frame_is_one_of_the_corpus():
    for kind in ("chunk", "crossfade"):
        material = material_of(numbered(300, 200))
        some = z_of(drawn(4000, 2, kind, evolution=0.0, material=material))[:, 0]
        whole = np.abs(some - np.rint(some)) < 1e-3
        assert whole.mean() > (0.9 if kind == "chunk" else 0.999)  # where chunks meet a frame lies between
        assert np.mean(np.abs(np.diff(some) - 1) < 1e-3) > 0.8


def test_chunks_meet_without_jumps_larger_than_the_corpus_has_from_piece_to_piece():
    spread = CORPUS.z.std(0).numpy()
    own = CORPUS.z.numpy() / spread
    steps = np.linalg.norm(np.diff(z_of(drawn(16_000, 5)) / spread, axis=0), axis=1)
    within = np.linalg.norm(np.diff(own[:300], axis=0), axis=1).max()
    apart = np.linalg.norm(own[np.random.default_rng(1).permutation(len(own))] - own, axis=1)
    assert steps.max() < 0.75 * apart.max()
    assert (steps > 1.5 * within).mean() < 0.12


@pytest.mark.parametrize("evolution", [0.0, 1.0])
def test_morphs_have_no_jumps_at_all(evolution):
    spread = CORPUS.z.std(0).numpy()
    some = z_of(drawn(16_000, 5, "interpolate", evolution)) / spread
    own = CORPUS.z.numpy() / spread
    within = np.linalg.norm(np.diff(own[:300], axis=0), axis=1).max()
    assert np.linalg.norm(np.diff(some, axis=0), axis=1).max() < 1.5 * within


def test_a_shorter_morph_is_the_beginning_of_a_longer_one():
    """The last anchor lies where it would lie if more followed."""
    for seed in range(10):
        short, long = (z_of(drawn(frames, seed, "interpolate", evolution=0.0)) for frames in (1200, 2400))
        assert (long[: len(short)] == short).all()


def test_a_track_that_is_silent_holds_its_last_frame():
    for layer in drawn(4000, 2, "crossfade", evolution=0.0, material=material_of(numbered(300, 200))).layers:
        silent = layer.gain.reshape(-1, STRIDE).max(1) == 0
        silent[: int(np.argmin(silent))] = False  # before the first grain there is no frame to hold
        assert silent.sum() > 50
        assert not np.diff(layer.z[0])[silent[1:]].any()


@pytest.mark.parametrize("kind", PATHS)
def test_all_of_a_long_corpus_is_visited(kind):
    """Six chunks that lie far apart: each is where the drawn sound is, for some of the time."""
    torch.manual_seed(0)
    z = torch.cat([centre + 0.1 * torch.randn(50, 2) for centre in torch.arange(6) * 10.0])
    material = material_of(CorpusLatents(z, starts_of(*[50] * 6)))
    some = np.concatenate([z_of(drawn(8000, seed, kind, material=material))[:, 0] for seed in range(4)])
    assert np.histogram(some, 6, (-5, 55))[0].min() > 100


@pytest.mark.parametrize("lengths", [(1,) * 30, (1,), (2,), (3, 4, 5), (3, 1, 3, 1), (16,), (44,), (300,), (1, 300)],
                         ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", PATHS)
def test_corpora_of_all_shapes(lengths, kind):
    corpus = corpus_of(*lengths)
    low, high = corpus.z.numpy().min(0), corpus.z.numpy().max(0)
    for frames, evolution in ((1, 0.0), (80, 0.5), (1600, 1.0)):
        z = z_of(drawn(frames, 1, kind, evolution, material=material_of(corpus)))
        # What wanders by 0.3 of the spread stays within 1.5 of it; arcs may reach past both of their ends.
        reach = 1e-4 + 1.5 * corpus.z.numpy().std(0) + (kind == "interpolate") * np.abs(corpus.z.numpy()).max() * 0.3
        assert (z <= high + reach).all() and (low - reach <= z).all()


@pytest.mark.parametrize("kind", PATHS)
def test_the_shortest_pieces_are_never_faded_with_nothing(kind):
    corpus = corpus_of(3, 1, 3, 1, 1, 1, 2, 2)
    material = material_of(CorpusLatents(corpus.z + 100, corpus.starts))
    for seed in range(4):
        assert z_of(drawn(1600, seed, kind, 1.0, material=material)).min() > 80


@pytest.mark.parametrize("kind", PATHS)
def test_what_never_changes_is_held(kind):
    material = material_of(CorpusLatents(torch.full((90, 3), 2.5), starts_of(30, 60)))
    for source in SOURCES:
        assert z_of(drawn(2000, 1, kind, 1.0, source, material=material)) == pytest.approx(2.5, abs=1e-4)


def test_an_hour_is_drawn_in_seconds():
    material = material_of(corpus_of(*[300] * 60, dimensions=32))
    for kind in PATHS:
        begun = time.process_time()
        trajectory = drawn(40_000 * STRIDE, 1, kind, material=material)
        assert time.process_time() - begun < 3
        assert trajectory.layers[0].z.shape == (32, 40_000)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("walk",), "path=walk is no path: choose one of chunk, crossfade, interpolate, reconstruct"),
        (("chunk", 0.5, "dreams"), "source=dreams is nothing to draw from: choose one of corpus, prior"),
        (("chunk", 1.1), "evolution=1.1 must be a number from 0 to 1"),
        (("chunk", -0.1), "evolution=-0.1 must be"),
        (("chunk", float("nan")), "evolution=nan must be"),
    ],
)
def test_paths_that_there_are_not(arguments, words):
    with pytest.raises(UserError, match=words):
        SamplingStrategy(*arguments)
