"""Beats, accents and rests, as gains over time."""

import numpy as np
import pytest

from distillgan.control.segments import envelope_db

RATE = 44100 / 512
SECONDS = 120
FRAMES = round(SECONDS * RATE)


def gain_of(seed: int = 0, frames: int = FRAMES, **drives) -> np.ndarray | None:
    """A drive is a number, or an array of one for each frame."""
    parts = [np.broadcast_to(drives.get(name, 0.0), frames).astype(float) for name in ("rhythm", "pulse", "density")]
    return envelope_db(*parts, RATE, np.random.default_rng(seed))


def strokes(gain: np.ndarray) -> np.ndarray:
    """Frames at which the gain is suddenly up again."""
    return np.flatnonzero(np.diff(gain) > 0.3) + 1


def test_nothing_is_asked_for():
    assert gain_of() is None
    assert gain_of(rhythm=-1.0, pulse=-0.4) is None


@pytest.mark.parametrize("drives", [{"rhythm": 0.1}, {"pulse": 0.1}, {"density": 0.1}, {"density": -0.1}])
def test_what_is_asked_for_a_little_is_heard(drives):
    gain = gain_of(**drives)
    assert gain.shape == (FRAMES,) and gain.dtype == np.float32 and gain.max() == 0 and gain.min() < -0.3


@pytest.mark.parametrize("drives", [{"rhythm": 1.2}, {"pulse": 1.2}, {"density": 1.2}, {"density": -1.2}])
def test_gains_only_take_away(drives):
    for seed in range(5):
        gain = gain_of(seed, **drives)
        assert gain.max() <= 0 and np.isfinite(gain).all() and gain.min() >= -80


@pytest.mark.parametrize("seed", range(4))
def test_beats_are_periodic(seed):
    found = strokes(gain_of(seed, pulse=1.0))
    gaps = np.diff(found)
    assert np.ptp(gaps) <= 1 and 0.4 <= gaps.mean() / RATE <= 0.75
    # And stay so: after two minutes they are where they should be.
    assert found[-1] - found[0] == pytest.approx(gaps.mean() * len(gaps), abs=1)
    drift = found - found[0] - np.arange(len(found)) * (found[-1] - found[0]) / len(gaps)
    assert np.abs(drift).max() < 1.5


def test_tempos_differ_by_seed_and_never_by_drive():
    tempos = [np.diff(strokes(gain_of(seed, pulse=1.0))).mean() for seed in range(8)]
    assert np.ptp(tempos) > 5
    assert (strokes(gain_of(3, pulse=0.4)) == strokes(gain_of(3, pulse=1.0))).all()


@pytest.mark.parametrize(
    ("name", "drives"), [("pulse", (0.1, 0.4, 0.8, 1.2)), ("rhythm", (0.05, 0.15, 0.4)), ("density", (0.05, 0.15, 0.4))]
)
def test_the_further_the_deeper(name, drives):
    depths = [gain_of(2, **{name: drive}).mean() for drive in drives]
    assert (np.diff(depths) < 0).all()


def test_accents_are_irregular_and_more_with_the_drive():
    counts = []
    for drive in (0.3, 0.6, 1.0):
        gaps = np.diff(strokes(gain_of(1, rhythm=drive)))
        counts.append(len(gaps))
        assert gaps.std() / gaps.mean() > 0.2
    assert (np.diff(counts) > 20).all()


def test_density_strikes_more_often_than_rhythm():
    dense, rhythmic = (len(strokes(gain_of(1, **{name: 1.0}))) for name in ("density", "rhythm"))
    assert dense > 1.5 * rhythmic > SECONDS


@pytest.mark.parametrize("drive", [-0.2, -0.5, -0.8, -1.0])
def test_rests_take_the_share_that_is_asked_for(drive):
    """A full slider rests for 85 % of the time, or what it is tuned to: twice the drive is twice the rest."""
    shares = [(gain_of(seed, density=drive) < -3).mean() for seed in range(4)]
    full = np.mean([(gain_of(seed, density=-1.0) < -3).mean() for seed in range(4)])
    assert 0.6 < full < 0.95
    assert np.mean(shares) == pytest.approx(-drive * full, abs=0.08)


def test_rests_are_silent_and_long():
    gain = gain_of(density=-0.8)
    assert (gain == gain.min()).mean() > 0.3 and gain.min() <= -50
    edges = np.flatnonzero(np.diff((gain < -3).astype(int)))
    lengths = np.diff(edges)[::2] / RATE
    assert lengths.min() > 0.3


def test_rests_have_no_sudden_ends():
    assert np.abs(np.diff(gain_of(density=-0.9))).max() < 10


def test_gates_act_while_they_are_asked_for():
    drive = np.where((np.arange(FRAMES) > 40 * RATE) & (np.arange(FRAMES) < 80 * RATE), 1.0, 0.0)
    for name in ("pulse", "rhythm", "density"):
        gain = gain_of(**{name: drive})
        outside = np.r_[gain[: int(39 * RATE)], gain[int(81 * RATE) :]]
        assert not outside.any() and (gain[int(41 * RATE) : int(79 * RATE)] < -1).mean() > 0.3
    resting = gain_of(density=-drive)
    assert not resting[: int(40 * RATE)].any() and not resting[int(100 * RATE) :].any()
    assert (resting[int(41 * RATE) : int(79 * RATE)] < -3).mean() > 0.6


@pytest.mark.parametrize("frames", [1, 2, 50])
@pytest.mark.parametrize("drive", [-1.2, 1.2])
def test_the_shortest(frames, drive):
    gain = gain_of(frames=frames, rhythm=drive, pulse=drive, density=drive)
    assert gain is None or (gain.shape == (frames,) and np.isfinite(gain).all())


def test_deterministic():
    drives = {"rhythm": 0.5, "pulse": 0.5, "density": -0.5}
    assert (gain_of(4, **drives) == gain_of(4, **drives)).all()
    assert not (gain_of(4, **drives) == gain_of(5, **drives)).all()
