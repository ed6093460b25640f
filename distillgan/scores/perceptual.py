"""Models of hearing that others have built; without the extra (`pip install 'distillgan[scores]'`) they are None."""

import functools
from collections.abc import Callable

import numpy as np

from distillgan.audio.io import resample

RATE = 48000  # both know this rate only
Judge = Callable[[np.ndarray, np.ndarray], float | None]


@functools.lru_cache(maxsize=1)
def visqol() -> Judge | None:
    """ViSQOL in audio mode (Chinen et al. 2020): (true, made) float32 [N] at 48 kHz → MOS-LQO, 1 to 4.73.

    It aligns the two by itself, and refuses clips under a second: there None. None altogether if it is not installed.
    """
    try:
        from visqol import VisqolApi
    except ImportError:
        return None
    api = VisqolApi()
    api.create(mode="audio")

    def judge(true: np.ndarray, made: np.ndarray) -> float | None:
        try:
            return float(api.measure_from_arrays(true.astype(np.float64), made.astype(np.float64), RATE).moslqo)
        except ValueError:  # fewer spectral frames than one of its patches has
            return None

    return judge


@functools.lru_cache(maxsize=1)
def zimtohrli() -> Judge | None:
    """Zimtohrli (Alakuijala et al. 2025): (true, made) float32 [N] at 48 kHz → MOS, 1 to 5. None if not installed."""
    try:
        from zimtohrli import Pyohrli, mos_from_zimtohrli
    except ImportError:
        return None
    ear = Pyohrli()
    return lambda true, made: float(mos_from_zimtohrli(ear.distance(true, made)))


JUDGES: dict[str, Callable[[], Judge | None]] = {"visqol": visqol, "zimtohrli": zimtohrli}


def at_48k(wave: np.ndarray, rate: int) -> np.ndarray:
    """float32 [N] at `rate` Hz → at 48 kHz."""
    return resample(wave[None], rate, RATE)[0]
