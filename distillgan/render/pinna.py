"""The outer ear, by which one hears up from down, and front from back: five short echoes."""

import numpy as np

# Brown & Duda 1998, "A structural model for binaural sound synthesis", IEEE Trans. Speech Audio Process. 6(5), Table 1;
# amplitudes and delays in samples at 44.1 kHz.
_RATE = 44100
_GAIN = np.array([0.5, -1.0, 0.5, -0.25, 0.25])
_SWING = np.array([1.0, 5.0, 5.0, 5.0, 5.0])
_MIDDLE = np.array([2.0, 4.0, 7.0, 11.0, 13.0])
_ELEVATION = np.array([1.0, 0.5, 0.5, 0.5, 0.5])


def delays(azimuth: float, elevation: float) -> np.ndarray:
    """Seconds [5] after the direct sound, azimuth -π…π and elevation -π/2…π/2 (the paper's equation for τ).

    The paper has it for the front. Behind, where cos(θ/2) becomes small, the echoes stay near their middle delays: a
    source behind sounds different from one in front, and its elevation is heard less and less.
    """
    return (_SWING * np.cos(azimuth / 2) * np.sin(_ELEVATION * (np.pi / 2 - elevation)) + _MIDDLE) / _RATE


def response(source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Complex [F], of both ears alike: 1 at 0 Hz. source: [3], metres to the front, the left and above."""
    azimuth = float(np.arctan2(source[1], source[0]))
    elevation = float(np.arctan2(source[2], np.hypot(source[0], source[1])))
    turns = np.outer(delays(azimuth, elevation), frequencies)
    return 1 + _GAIN @ np.exp(-2j * np.pi * turns)
