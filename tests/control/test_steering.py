"""What trajectories are made of: crossfades, arcs, places that no recording has been; and sliders where they act."""

import numpy as np
import pytest
from materials import FRAME_RATE, LATENT_RATE, STRIDE, analysis_of, controls_of, corpus_of, material_of

from distillgan.control.sliders import Axes, Controls
from distillgan.control.trajectory import PATHS, SamplingStrategy, draw, offsets, slerp

CORPUS = corpus_of(*[100] * 20, dimensions=8)
ANALYSIS = analysis_of(CORPUS)
MATERIAL = material_of(CORPUS, ANALYSIS)
FRAMES = round(40 * FRAME_RATE)


def layers_of(kind: str = "crossfade", seed: int = 0, source: str = "corpus", material=MATERIAL, **settings):
    return draw(material, controls_of(**settings), FRAMES, seed, SamplingStrategy(kind, 0.5, source)).layers


def heard(layers) -> np.ndarray:
    """The mean of the layers, each as loud as it is, [D, L]."""
    return sum(layer.z * (1 if layer.gain is None else np.square(layer.gain[::STRIDE])) for layer in layers)


@pytest.mark.parametrize("lengths", [(300, 200), (1, 2, 1, 40), (1,), (9, 10, 11), (40,) * 9], ids=str)
def test_the_power_of_crossfades_is_one_at_all_times(lengths):
    for seed in range(3):
        layers = layers_of(seed=seed, material=material_of(corpus_of(*lengths)))
        gains = np.stack([layer.gain for layer in layers]).astype(np.float64)
        assert np.square(gains).sum(0) == pytest.approx(1, abs=1e-5)
        assert gains.min() >= 0


def test_both_tracks_of_a_crossfade_are_heard_and_one_at_a_time_mostly():
    gains = np.stack([layer.gain for layer in layers_of()])
    alone = (gains > 0.9999).any(0)
    assert 0.4 < alone.mean() < 0.8
    assert (gains == 1).mean(1).min() > 0.1
    # A fade takes eight latent frames, or four where a grain is as short as they come: no step of it is large.
    assert np.abs(np.diff(gains, axis=1)).max() < 1.1 * np.pi / 2 / (4 * STRIDE)


def test_slerp_keeps_lengths_and_goes_evenly():
    rng = np.random.default_rng(0)
    first, second = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in rng.standard_normal((2, 200, 6)))
    share = rng.random(200)
    between = slerp(3 * first, 3 * second, share)
    assert np.linalg.norm(between, axis=1) == pytest.approx(np.full(200, 3.0))
    whole = np.arccos(np.clip((first * second).sum(1), -1, 1))
    passed = np.arccos(np.clip((first * between).sum(1) / 3, -1, 1))
    assert passed == pytest.approx(share * whole, abs=1e-5)


def test_slerp_between_lengths_ends_where_it_should():
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 50, 4)) * np.array([[[1.0]], [[5.0]]])
    assert slerp(first, second, np.zeros(50)) == pytest.approx(first)
    assert slerp(first, second, np.ones(50)) == pytest.approx(second)
    lengths = [np.linalg.norm(rows, axis=1) for rows in (first, second, slerp(first, second, np.full(50, 0.5)))]
    assert lengths[2] == pytest.approx((lengths[0] + lengths[1]) / 2)


def test_slerp_where_there_is_no_arc():
    rows = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    others = np.array([[1.0, 2.0], [0.0, 0.0], [-1.0, 0.0], [3.0, 4.0]])
    found = slerp(rows, others, np.full(4, 0.25))
    assert np.isfinite(found).all() and found[0] == pytest.approx([1, 2])


@pytest.mark.parametrize("kind", PATHS)
def test_the_prior_goes_where_no_recording_has_been_but_not_farther(kind):
    spread = CORPUS.z.std(0).numpy()
    own = CORPUS.z.numpy() / spread
    distance, places = {}, {}
    for source in ("corpus", "prior"):
        places[source] = np.concatenate([heard(layers_of(kind, seed, source)).T[::8] for seed in range(4)]) / spread
        distance[source] = np.median(np.linalg.norm(places[source][:, None] - own[None, ::3], axis=2).min(1))
    assert distance["prior"] > 1.2 * distance["corpus"]
    assert np.abs(places["prior"].mean(0) - own.mean(0)).max() < 0.6
    assert np.abs(places["prior"].std(0) - 1).max() < 0.45


def test_nothing_is_added_where_nothing_is_set():
    assert not offsets(MATERIAL, Controls(), 100).any()
    assert not offsets(MATERIAL, controls_of(rhythm=8, density=-4), 100).any()
    assert not offsets(material_of(CORPUS), controls_of(warmth=5), 100).any()


@pytest.mark.parametrize(("name", "dimension"), [("warmth", 1), ("axis1", 0)])
def test_a_direction_is_added_by_as_much_as_is_wished(name, dimension):
    half = [offsets(MATERIAL, controls_of(**{name: position}), 50) for position in (-10, -5, 5, 10)]
    assert all(not np.delete(part, dimension, axis=0).any() for part in half)
    assert (np.diff([part[dimension, 0] for part in half]) > 0.1).all() and half[0][dimension, 0] < 0
    assert np.ptp(half[0], axis=1) == pytest.approx(np.zeros(8))
    whole = offsets(MATERIAL, controls_of(**{name: 10}), 50, True)
    assert 0.1 < half[-1][dimension, 0] / whole[dimension, 0] < 1


def test_the_whole_wish_is_the_98th_percentile():
    values = ANALYSIS.values[:, 1]
    target = (np.percentile(values, 98) - values.mean()) / values.std()
    assert offsets(MATERIAL, controls_of(warmth=10), 1, True)[1, 0] == pytest.approx(target)
    beyond = (np.percentile(values, 99.5) - values.mean()) / values.std()
    assert offsets(MATERIAL, controls_of(warmth=12), 1, True)[1, 0] == pytest.approx(beyond)
    assert offsets(MATERIAL, controls_of(axis1=10), 1, True)[0, 0] == pytest.approx(2.05 * 2.0)


def test_directions_over_time_are_added_where_they_are_set():
    added = offsets(MATERIAL, controls_of(warmth="2:0 2.01:10 6:10 6.01:0"), round(10 * LATENT_RATE))[1]
    at = np.arange(len(added)) / LATENT_RATE
    assert not added[(at < 2) | (at > 6.01)].any()
    assert np.ptp(added[(at > 2.01) & (at < 6)]) < 1e-9 and added.max() > 0.3


def differing(kind: str, seed: int = 0, source: str = "corpus", **settings) -> np.ndarray:
    """Whether each latent frame is another with the sliders than without."""
    return (np.abs(heard(layers_of(kind, seed, source, **settings)) - heard(layers_of(kind, seed, source))) > 1e-5).any(
        0
    )


@pytest.mark.parametrize("kind", PATHS)
def test_what_is_set_later_changes_nothing_before(kind):
    at = np.arange(-(-FRAMES // STRIDE)) / LATENT_RATE
    for seed in range(5):
        # Warmth's direction begins at 20 s exactly; segments may be chosen for it from the next grain on.
        changed = differing(kind, seed, warmth="20:0 20.001:10")
        # What is chosen for 20 s is faded in before it, or morphed to.
        ahead = {"chunk": 2, "crossfade": 9, "interpolate": 64}[kind] / LATENT_RATE
        assert not changed[at < 20 - ahead].any() and changed[at > 20.1].all()


@pytest.mark.parametrize("kind", PATHS)
def test_moments_are_chosen_for_the_slider_at_the_time_they_are_heard(kind):
    """Axis 1 is the first latent dimension, and at 20 s it goes from one side to the other."""
    axes = ANALYSIS.axes
    analysis = analysis_of(
        CORPUS, axes=type(axes)(CORPUS.z.mean(0).numpy(), axes.directions, CORPUS.z.std(0).numpy()[:1])
    )
    material, settings = material_of(CORPUS, analysis), {"axis1": "20:-10 20.01:10"}
    added = offsets(material, controls_of(**settings), -(-FRAMES // STRIDE))[0]
    chosen = np.mean([heard(layers_of(kind, seed, material=material, **settings))[0] - added for seed in range(12)], 0)
    at = np.arange(len(chosen)) / LATENT_RATE
    low, high = chosen[(at > 4) & (at < 12)].mean(), chosen[(at > 32)].mean()
    assert high - low > 0.8 * CORPUS.z.std(0)[0]
    middle = (low + high) / 2
    assert chosen[(at > 12) & (at < 14)].mean() < middle < chosen[(at > 26) & (at < 29)].mean()


@pytest.mark.parametrize("kind", PATHS)
def test_an_axis_of_ones_own_takes_what_is_drawn_along_it(kind):
    along = np.array([0, 0, 3.0, 0, 0, 4.0, 0, 0])
    material = material_of(CORPUS, analysis_of(CORPUS, axes=Axes.of(CORPUS).extended(along, CORPUS)))
    name = f"axis{len(material.analysis.axes.spread)}"
    low, middle, high = (
        np.mean([along @ heard(layers_of(kind, seed, material=material, **{name: at})) / 5 for seed in range(4)])
        for at in (-10, 0, 10)
    )
    spread = material.analysis.axes.spread[-1]
    assert middle - low > spread and high - middle > spread


def test_sliders_of_time_leave_the_latents_alone_apart_from_the_choice():
    """Without an analysis there is no choice: only gates and tail differ."""
    material = material_of(CORPUS)
    plain = draw(material, Controls(), 2000, 1, SamplingStrategy())
    gated = draw(material, controls_of(rhythm=5, pulse=5, reverb="0:0 10:5"), 2000, 1, SamplingStrategy())
    assert all((a.z == b.z).all() for a, b in zip(plain.layers, gated.layers, strict=True))
    assert plain.envelope_db is None and gated.envelope_db.shape == (2000,) and gated.envelope_db.max() <= 0
    assert gated.tail.dtype == np.float32
    assert gated.tail[[0, -1]] == pytest.approx([0, 0.5], abs=0.002) and (np.diff(gated.tail[:860]) > 0).all()


def test_one_gate_knows_nothing_of_another():
    """What a slider changes changes nothing else: each use of chance has a generator of its own."""
    alone, both = (
        draw(MATERIAL, controls_of(**settings), 2000, 1, SamplingStrategy()).envelope_db
        for settings in ({"pulse": 5}, {"pulse": 5, "density": -5})
    )
    assert (alone == both).mean() > 0.2 and (both <= alone + 1e-4).all()
