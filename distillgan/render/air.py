"""What the air takes from a sound on its way (ISO 9613-1), and how fast it carries it."""

import numpy as np

SOUND_SPEED = 343.2  # m/s, at 20 °C
CELSIUS, HUMIDITY = 20.0, 50.0  # of every room here


def absorption(frequencies: np.ndarray, celsius: float = CELSIUS, humidity: float = HUMIDITY) -> np.ndarray:
    """Hz [F] → dB a metre [F], at `humidity` percent and 101.325 kPa (ISO 9613-1:1993, eq. 3 to 5, B.2 and B.3)."""
    kelvin = celsius + 273.15
    relative = kelvin / 293.15
    saturation = 10 ** (-6.8346 * (273.16 / kelvin) ** 1.261 + 4.6151)
    water = humidity * saturation  # molar concentration, percent
    oxygen = 24 + 4.04e4 * water * (0.02 + water) / (0.391 + water)  # relaxation, Hz
    nitrogen = relative**-0.5 * (9 + 280 * water * np.exp(-4.170 * (relative ** (-1 / 3) - 1)))
    squared = frequencies**2
    relaxing = 0.01275 * np.exp(-2239.1 / kelvin) / (oxygen + squared / oxygen)
    relaxing = relaxing + 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen + squared / nitrogen)
    return 8.686 * squared * (1.84e-11 * relative**0.5 + relative**-2.5 * relaxing)


def transmission(frequencies: np.ndarray, metres: float) -> np.ndarray:
    """Hz [F] → what is left of the amplitude [F] after `metres`. 1/r is not in it."""
    return 10 ** (-absorption(frequencies) * metres / 20)
