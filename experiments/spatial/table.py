"""What both ears hear of a click, from the front to the side, against the formulas: the table of README.md."""

import time
import tracemalloc

import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from distillgan.paths import conf_dir
from distillgan.synthesis.spatial.binaural import RADIUS, SOUND_SPEED
from distillgan.synthesis.spatial.placement import Spatial

RATE, SAMPLES, FINE = 44100, 8192, 32
AROUND = RADIUS / SOUND_SPEED
FREQUENCIES = np.fft.rfftfreq(SAMPLES, 1 / RATE)
LEVELS = [int(np.abs(FREQUENCIES - f).argmin()) for f in (500, 2000, 8000)]


def spatial(name: str, **settings) -> Spatial:
    return instantiate(OmegaConf.load(conf_dir() / "spatial" / f"{name}.yaml"), **settings, _convert_="all")


def ears(azimuth: float, distance: float) -> np.ndarray:
    """Spectra [2, F] of a click in open air."""
    click = np.zeros((1, SAMPLES), np.float32)
    click[0, 1000] = 1
    place = spatial("binaural", azimuth=azimuth, distance=distance, reflections=0)
    return np.fft.rfft(np.concatenate(list(place.place([click], None, RATE)), axis=1).astype(np.float64))


def high_delay(spectra: np.ndarray) -> float:
    """Microseconds between the ears above 3 kHz: the peak of their correlation."""
    across = np.where(FREQUENCIES >= 3000, np.conj(spectra[0]) * spectra[1], 0)
    peak = int(np.fft.irfft(across, FINE * SAMPLES).argmax())
    return 1e6 * (peak if peak < FINE * SAMPLES // 2 else peak - FINE * SAMPLES) / (FINE * RATE)


def low_delay(spectra: np.ndarray) -> float:
    """Microseconds between the ears up to 100 Hz: the slope of their phases."""
    band = (FREQUENCIES >= 20) & (FREQUENCIES <= 100)
    phase, frequencies = np.angle(spectra[0] * np.conj(spectra[1]))[band], FREQUENCIES[band]
    return 1e6 * abs(phase @ frequencies / (frequencies @ frequencies)) / (2 * np.pi)


def measured(spectra: np.ndarray) -> str:
    levels = 20 * np.log10(np.abs(spectra[0] / spectra[1]))
    return " / ".join(f"{abs(levels[bin_]):.1f}" for bin_ in LEVELS)


def series(azimuth: float, distance: float) -> str:
    """The same of Duda & Martens' eq. 4, summed plainly with scipy's Bessel functions."""
    orders, rho = np.arange(45), distance / RADIUS
    levels = []
    for ka in 2 * np.pi * FREQUENCIES[LEVELS] * AROUND:

        def hankel(x: float, derivative: bool = False) -> np.ndarray:
            return spherical_jn(orders, x, derivative) + 1j * spherical_yn(orders, x, derivative)

        sides = [eval_legendre(orders, side * np.sin(np.radians(azimuth))) for side in (1, -1)]
        near, far = (np.abs(((2 * orders + 1) * p * hankel(ka * rho) / hankel(ka, True)).sum()) for p in sides)
        levels.append(20 * np.log10(near / far))
    return " / ".join(f"{abs(level):.1f}" for level in levels)


def speed(name: str, **settings) -> None:
    """Of 30 s in blocks of 3 s, as the renderer's are."""
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal((1, 3 * RATE)).astype(np.float32) for _ in range(10)]
    place = spatial(name, **settings)
    begun = time.perf_counter()
    for _ in place.place(blocks, blocks if place.second else None, RATE):
        pass
    factor = 30 / (time.perf_counter() - begun)
    tracemalloc.start()
    for _ in place.place(iter(blocks), iter(blocks) if place.second else None, RATE):
        pass
    memory = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"| {' '.join([name, *(f'{k}={v}' for k, v in settings.items())])} | {factor:.0f} | {memory:.1f} |")


def main() -> None:
    print("| | ITD high | Woodworth | ITD low | Kuhn | ILD at 1.5 m | series | ILD at 0.25 m | series |")
    print("|---|---|---|---|---|---|---|---|---|")
    for azimuth in range(0, 91, 15):
        angle = np.radians(azimuth)
        far, near = ears(azimuth, 1.5), ears(azimuth, 0.25)
        woodworth, kuhn = 1e6 * AROUND * (angle + np.sin(angle)), 3e6 * AROUND * np.sin(angle)
        delays = f"{high_delay(far):.0f} | {woodworth:.0f} | {low_delay(far):.0f} | {kuhn:.0f}"
        levels = f"{measured(far)} | {series(azimuth, 1.5)} | {measured(near)} | {series(azimuth, 0.25)}"
        print(f"| {azimuth}° | {delays} | {levels} |")
    print("\n| | times real time | MB |\n|---|---|---|")
    speed("stereo")
    speed("binaural")
    speed("binaural", width=60)


if __name__ == "__main__":
    main()
