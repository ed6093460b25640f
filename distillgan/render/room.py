"""The walls nearby: where a source's first reflections seem to come from, and what the walls leave of them."""

import numpy as np

# Metres from the head to the walls: front and back, left and right, ceiling and floor. All different, so that no two
# reflections come together and colour the sound.
WALLS = ((4.7, -3.9), (3.4, -4.3), (1.9, -1.5))
_BEHIND = 1.1  # m a wall stands behind a source that is farther away than it
_DULL = 5000.0  # Hz, where a wall takes half of what it else gives back


def images(source: np.ndarray) -> np.ndarray:
    """The source's mirror images [6, 3] of the first order in a shoebox, metres (Allen & Berkley 1979, J. Acoust. Soc.
    Am. 65, 943).

    source: [3], metres from the head to the front, the left and above. A source beyond a wall moves that wall back
    behind it, so every reflection comes within twice the farthest wall's distance of the direct sound.
    """
    mirrored = []
    for axis, walls in enumerate(WALLS):
        ends = max(walls[0], source[axis] + _BEHIND), min(walls[1], source[axis] - _BEHIND)
        for wall in ends:
            image = source.copy()
            image[axis] = 2 * wall - source[axis]
            mirrored.append(image)
    return np.stack(mirrored)


def latest() -> float:
    """Metres by which a reflection's way may at most be longer than the direct one."""
    return 2 * max(abs(wall) for walls in WALLS for wall in walls)


def reflection(frequencies: np.ndarray) -> np.ndarray:
    """Complex [F]: what a wall gives back, 1 at 0 Hz and duller above (a first-order low-pass)."""
    return 1 / (1 + 1j * frequencies / _DULL)
