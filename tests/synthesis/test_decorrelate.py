"""The side's filter: flat, without bass, in quadrature, and short where ears are quick."""

import numpy as np
import pytest

from distillgan.synthesis.spatial.placement import SECONDS, decorrelator


@pytest.fixture(params=[22050, 44100, 48000])
def rate(request) -> int:
    return request.param


def spectrum(rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Hz [F] and complex [F], seen from time zero."""
    response, lead = decorrelator(rate)
    frequencies = np.fft.rfftfreq(1 << 16, 1 / rate)
    return frequencies, np.fft.rfft(response, 1 << 16) * np.exp(2j * np.pi * frequencies * lead / rate)


def test_it_is_flat_and_leaves_the_bass_out(rate):
    frequencies, values = spectrum(rate)
    gain = 20 * np.log10(np.abs(values) + 1e-9)
    assert np.abs(gain[(frequencies >= 200) & (frequencies <= 0.45 * rate)]).max() < 0.3
    assert gain[frequencies <= 120].max() < -35


def test_it_is_in_quadrature_in_the_mean_and_mostly(rate):
    """So that it correlates neither with white nor with pink noise."""
    frequencies, values = spectrum(rate)
    heard = (frequencies > 200) & (frequencies < 0.45 * rate)
    assert abs(values.real[heard].mean()) < 0.06
    assert abs(np.average(values.real[heard], weights=1 / frequencies[heard])) < 0.06
    assert np.mean(np.abs(values.real[heard]) < 0.1) > 0.5


def test_what_precedes_and_what_follows_is_short(rate):
    response, lead = decorrelator(rate)
    assert len(response) <= SECONDS * rate + 1 and abs(2 * lead + 1 - len(response)) <= 1
    milliseconds = 1000 * (np.arange(len(response)) - lead) / rate
    spectra, frequencies = np.fft.rfft(response), np.fft.rfftfreq(len(response), 1 / rate)
    for least, window in ((0, 5), (2000, 2.5), (5000, 1.5)):
        energy = np.fft.irfft(np.where(frequencies >= least, spectra, 0), len(response)) ** 2
        assert energy[np.abs(milliseconds) <= window].sum() > 0.97 * energy.sum(), least
        assert abs(energy @ milliseconds / energy.sum()) < 0.25, least


def test_phases_do_not_hang_on_the_rate():
    ours, theirs = (np.interp(np.arange(300, 8000), *map(np.real, spectrum(rate))) for rate in (44100, 48000))
    assert np.abs(ours - theirs).max() < 0.05
