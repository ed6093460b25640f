"""Our recursive filters against SciPy's, whose import is what they spare."""

import numpy as np
import pytest
from scipy import signal

from distillgan.audio.filters import butterworth, sosfilt, sosfiltfilt

RATE = 44100 / 128


def noise(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(samples).standard_normal((channels, samples))


@pytest.mark.parametrize(("order", "band"), [(2, (0.5, 8.0)), (4, (20.0, 150.0)), (6, (1.0, 170.0))])
def test_the_band_pass_has_the_response_of_scipys(order, band):
    ours, theirs = butterworth(order, band, RATE), signal.butter(order, band, "bandpass", fs=RATE, output="sos")
    for sections in (ours, theirs):
        edges = np.abs(signal.sosfreqz(sections, np.array(band), fs=RATE)[1])
        assert 20 * np.log10(edges) == pytest.approx(-3.01, abs=0.01)
    np.testing.assert_allclose(signal.sosfreqz(ours)[1], signal.sosfreqz(theirs)[1], atol=1e-9)


@pytest.mark.parametrize("samples", [1, 2, 3, 1000, 70000])
def test_a_wave_is_filtered_as_by_scipy_and_goes_on_from_its_state(samples):
    sections = signal.butter(4, 0.1, output="sos")
    wave, state = noise(2, samples), noise(len(sections) * 2, 2).reshape(len(sections), 2, 2)
    before = state.copy()
    found, ended = sosfilt(sections, wave, state)
    expected, left = signal.sosfilt(sections, wave, zi=state)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(ended, left, atol=1e-9)
    assert np.array_equal(state, before)
    parts, state = [], before
    for part in np.array_split(wave, 3, axis=1):
        found_part, state = sosfilt(sections, part, state)
        parts.append(found_part)
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, atol=1e-9)


@pytest.mark.parametrize(("samples", "padding"), [(2, 1), (50, 49), (2000, 60)])
def test_there_and_back_as_by_scipy(samples, padding):
    wave, sections = noise(3, samples) + 0.5, butterworth(4, (20, 150), RATE)
    expected = signal.sosfiltfilt(sections, wave, padlen=padding)
    np.testing.assert_allclose(sosfiltfilt(sections, wave, padding), expected, atol=1e-9)
