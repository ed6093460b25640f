"""Two ears: their delays and levels against the physics of a sphere, distance, walls, and what must not change."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from placed import (
    AT,
    RATE,
    click,
    ears,
    hertz,
    high_delay,
    level_difference,
    levels,
    low_delay,
    noise,
    placed,
    spatial,
)
from synthesis.test_sphere import plainly

from distillgan.errors import UserError

RADIUS, SOUND_SPEED = 0.0875, 343.2  # m, m/s at 20 °C
AROUND = RADIUS / SOUND_SPEED  # s
SIDES = range(0, 91, 15)


@pytest.mark.parametrize("azimuth", SIDES)
def test_delay_of_high_tones_is_woodworths(azimuth):
    """Woodworth 1938: (a/c)(θ + sin θ), round the sphere; what creeps around it is a little slower."""
    angle = np.radians(azimuth)
    for distance in (1.5, 10):
        delay = high_delay(ears(azimuth=azimuth, distance=distance))
        assert delay == pytest.approx(AROUND * (angle + np.sin(angle)), rel=0.05, abs=2e-6)


@pytest.mark.parametrize("azimuth", SIDES)
def test_delay_of_low_tones_is_kuhns(azimuth):
    """Kuhn 1977: 3 (a/c) sin θ, half as much again."""
    delay = low_delay(ears(azimuth=azimuth, distance=10))
    assert delay == pytest.approx(3 * AROUND * np.sin(np.radians(azimuth)), rel=0.01, abs=2e-6)


@pytest.mark.parametrize("azimuth", SIDES)
@pytest.mark.parametrize("distance", [0.25, 1.5])
def test_level_difference_is_that_of_the_series(azimuth, distance):
    spectra = ears(azimuth=azimuth, distance=distance)
    for frequency in (500, 2000, 8000):
        frequency = hertz(spectra)[np.abs(hertz(spectra) - frequency).argmin()]
        ka, across = 2 * np.pi * frequency * AROUND, np.sin(np.radians(azimuth))
        near, far = (abs(plainly(ka, distance / RADIUS, side * across)) for side in (1, -1))
        assert level_difference(spectra, frequency) == pytest.approx(20 * np.log10(near / far), abs=0.05)


def test_the_nearer_the_more_the_ears_differ_even_in_the_bass():
    differences = [level_difference(ears(azimuth=90, distance=d), 300) for d in (0.2, 0.3, 0.5, 1, 10)]
    assert all(near > far + 0.4 for near, far in pairwise(differences)), differences
    assert differences[0] > 10 and differences[-1] < 2


def test_twice_as_far_is_half_as_loud():
    """At frequencies where the air takes nothing yet, and as loud as it came at 1.5 m."""
    heard = {d: levels(ears(azimuth=0, distance=d), 60).mean() for d in (1.5, 3, 6, 96)}
    assert heard[1.5] == pytest.approx(0, abs=0.1)
    for near, far in ((1.5, 3), (3, 6), (6, 96)):
        assert heard[near] - heard[far] == pytest.approx(20 * np.log10(far / near), abs=0.1)


def test_the_air_takes_highs_on_the_way():
    """159 dB/km at 10 kHz, 20 °C and 50 % (ISO 9613-1), from 50 m to 100 m."""
    near, far = (levels(ears(azimuth=0, distance=d), 10000).mean() for d in (50, 100))
    assert near - far - 20 * np.log10(100 / 50) == pytest.approx(0.159 * 50, abs=0.1)


@pytest.mark.parametrize("settings", [{}, {"elevation": 40}, {"reflections": 0}, {"distance": 0.2}])
def test_left_and_right_change_places(settings):
    left, right = (placed(spatial("binaural", azimuth=a, **settings), click()) for a in (70, -70))
    if "reflections" not in settings:  # the room's sides are at different distances, on purpose
        left, right = left[:, : AT + 120], right[:, : AT + 120]
    assert np.abs(left - right[::-1]).max() < 1e-3 * np.abs(left).max()
    assert (left[0] ** 2).sum() > 2 * (left[1] ** 2).sum()


def test_straight_behind_is_one_place_and_not_in_front():
    behind, same, front = (ears(azimuth=a) for a in (180, -180, 0))
    assert np.abs(behind - same).max() < 1e-5
    assert np.abs(20 * np.log10(np.abs(behind / front)))[0, 1500:3000].mean() > 2


def test_elevation_moves_a_notch():
    def notch(elevation: float) -> float:
        spectra = ears(azimuth=0, elevation=elevation)
        band = (hertz(spectra) > 9000) & (hertz(spectra) < 15000)
        return hertz(spectra)[band][np.abs(spectra[0, band]).argmin()]

    assert notch(-40) + 500 < notch(0) < notch(40) - 500


@pytest.mark.parametrize("azimuth", [0, 90, -135])
@pytest.mark.parametrize("distance", [0.2, 1.5, 100])
def test_the_sound_begins_when_it_did(azimuth, distance):
    """Within the time that it takes around the head, however far it comes from."""
    heard = placed(spatial("binaural", azimuth=azimuth, distance=distance), click())
    first = (np.abs(heard) > 0.2 * np.abs(heard).max(1, keepdims=True)).argmax(1)
    assert np.abs((first - AT) / RATE).max() < AROUND * (1 + np.pi / 2)
    assert np.abs(heard[:, : AT - 60]).max() < 1e-3 * np.abs(heard).max()


def test_walls_answer_when_and_as_loud_as_they_should():
    """The floor 1.5 m below a source 1.5 m ahead: √(1.5² + 3²) m of way, 5.4 ms later, and quieter by that."""
    heard = placed(spatial("binaural", azimuth=0, reflections=1), click())
    dry = placed(spatial("binaural", azimuth=0, reflections=0), click())
    echoes = np.abs(heard - dry)[0]
    way = np.hypot(1.5, 3)
    first = AT + round((way - 1.5) / SOUND_SPEED * RATE)
    assert echoes[: first - 60].max() < 1e-3
    assert echoes[first - 5 : first + 40].max() > 5 * echoes[: first - 20].max()
    low = np.fft.rfft((heard - dry)[0, : first + 45].astype(np.float64))
    assert np.abs(low[:20]).mean() == pytest.approx(1.5 / way, rel=0.1)
    half = placed(spatial("binaural", azimuth=0, reflections=0.5), click())
    assert np.abs(half - dry - (heard - dry) / 2).max() < 1e-4


def test_from_afar_there_is_more_of_the_walls_beside_it():
    shares = []
    for distance in (0.3, 1.5, 8, 60):
        wet, dry = (placed(spatial("binaural", distance=distance, reflections=r), click()) for r in (0.4, 0))
        shares.append(float(((wet - dry) ** 2).sum() / (dry**2).sum()))
    assert shares == sorted(shares) and shares[-1] > 20 * shares[0]


def test_width_decorrelates_and_keeps_level_and_place():
    """Likeness: the ears' highest correlation within 1 ms (IACC, ISO 3382-1)."""

    def heard(width: float) -> np.ndarray:
        return placed(spatial("binaural", azimuth=0, width=width, reflections=0), noise(2), noise(2, 1))

    def likeness(pair: np.ndarray) -> float:
        left, right = np.fft.rfft(pair)
        across = np.fft.irfft(left * right.conj())
        return np.abs(np.concatenate([across[:45], across[-44:]])).max() / pair.shape[1] / pair[0].std() / pair[1].std()

    point, *wide = (heard(width) for width in (0, 20, 60, 120))
    assert likeness(point) > 0.999
    for pair in wide:
        assert likeness(pair) < 0.6
        assert 20 * np.log10(pair.std(1) / point.std(1)) == pytest.approx([0, 0], abs=1.6)


def test_a_wide_sound_loses_no_bass():
    for width in (40, 180):
        assert levels(ears(azimuth=0, width=width), 60) == pytest.approx(levels(ears(azimuth=0), 60), abs=0.5)


def test_the_least_width_is_a_point():
    point, least = (placed(spatial("binaural", width=w), noise(0.5), noise(0.5, 1)) for w in (0, 1e-6))
    assert np.abs(point - least).max() < 1e-4


@pytest.mark.parametrize("cuts", [[1], [0, 0, 5, 16384], range(0, 50000, 441), [49999]])
@pytest.mark.parametrize("width", [0, 60])
def test_samples_do_not_depend_on_the_blocks(cuts, width):
    wave, second, place = noise(50000 / RATE), noise(50000 / RATE, 1), spatial("binaural", width=width)
    assert np.array_equal(placed(place, wave, second, cuts), placed(place, wave, second))


@pytest.mark.parametrize("samples", [0, 1, 50, 3000])
@pytest.mark.parametrize("width", [0, 60])
def test_the_shortest_sounds_keep_their_length(samples, width):
    wave = np.ones((1, samples), np.float32)
    made = [*spatial("binaural", width=width).place([wave], [wave], RATE), np.zeros((2, 0))]
    assert sum(block.shape[1] for block in made) == samples


@pytest.mark.parametrize("rate", [16000, 22050, 48000, 192000])
def test_other_rates_hear_the_same(rate):
    place = spatial("binaural", azimuth=50, reflections=0)
    filters, lead = place.filters(rate)
    spectra = np.fft.rfft(filters[:, 0], rate // 20)  # every 20 Hz
    ours = np.fft.rfft(place.filters(RATE)[0][:, 0], RATE // 20)
    assert np.isfinite(filters).all() and 0 < lead < filters.shape[2]
    assert np.abs(spectra[:, :150]) == pytest.approx(np.abs(ours[:, :150]), rel=0.01)


def test_all_corners_are_finite_and_no_filter_wraps_around():
    for azimuth in (-180, 77):
        for elevation in (-90, 0, 90):
            for distance in (0.2, 100):
                place = spatial("binaural", azimuth=azimuth, elevation=elevation, distance=distance, width=180)
                filters, _ = place.filters(RATE)
                assert np.isfinite(filters).all() and filters.shape[:2] == (2, 2)
                ends = np.abs(np.concatenate([filters[..., :20], filters[..., -50:]], -1)).max()
                assert ends < 2e-3 * np.abs(filters).max()


def test_thirty_seconds_in_the_memory_of_a_block():
    def blocks(seed: int):
        for number in range(10):
            yield noise(3, seed + number)

    tracemalloc.start()
    samples, peak = 0, 0.0
    for block in spatial("binaural", width=40).place(blocks(0), blocks(100), RATE):
        samples, peak = samples + block.shape[1], max(peak, float(np.abs(block).max()))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples == 30 * RATE and 0.1 < peak < 5
    assert most < 16e6  # the sound's 30 s would be 10.6 MB for two channels, its float64 twice as much, and so on


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"azimuth": 181}, "spatial.azimuth=181 must be a number from -180 to 180"),
        ({"elevation": float("nan")}, "spatial.elevation=nan must be a number from -90 to 90"),
        ({"distance": 0.05}, "spatial.distance=0.05 must be a number from 0.2 to 100"),
        ({"distance": None}, "spatial.distance=None must be a number from 0.2 to 100"),
        ({"width": -1}, "spatial.width=-1 must be a number from 0 to 180"),
        ({"reflections": 1.5}, "spatial.reflections=1.5 must be a number from 0 to 1"),
        ({"sofa": " "}, "spatial.sofa= names no file"),
    ],
)
def test_a_value_that_is_none_is_refused_with_its_limits(settings, words):
    with pytest.raises(UserError) as caught:
        spatial("binaural", **settings)
    assert str(caught.value) == words
