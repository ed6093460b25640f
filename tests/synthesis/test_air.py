"""The air takes what ISO 9613 says it takes."""

import numpy as np
import pytest

from distillgan.synthesis.spatial.binaural import absorption, transmission

OCTAVES = 1000 * 10 ** (0.3 * np.arange(-4, 4))  # exact midband frequencies, 63 Hz to 8 kHz


@pytest.mark.parametrize(
    ("celsius", "humidity", "published"),  # dB/km, ISO 9613-2:1996, Table 2, which is of ISO 9613-1
    [
        (10, 70, [0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117]),
        (20, 70, [0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6]),
        (15, 20, [0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202]),
        (15, 50, [0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129]),
    ],
)
def test_published_attenuations(celsius, humidity, published):
    assert 1000 * absorption(OCTAVES, celsius, humidity) == pytest.approx(published, rel=0.005, abs=0.051)


def test_what_is_left_after_fifty_metres_of_room_air():
    """159 dB/km at 10 kHz, 20 °C and 50 % (ISO 9613-1:1993, Table 1): 7.9 dB. Nothing of the bass goes."""
    left = 20 * np.log10(transmission(np.array([0.0, 100.0, 10000.0]), 50))
    assert left == pytest.approx([0, 0, -7.94], abs=0.02)
