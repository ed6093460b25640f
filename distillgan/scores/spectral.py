"""How far apart two spectra are: distances that need nothing but the two waves."""

from collections.abc import Sequence

import torch
from torch import Tensor

from distillgan.audio.mel import LOG_FLOOR

WINDOWS = (64, 128, 256, 512, 1024, 2048)
SHORT = WINDOWS[:3]  # 1.5 to 6 ms: these see whether an attack is sharp
_LSD_WINDOW = 2048


def magnitudes(wave: Tensor, window: int) -> Tensor:
    """Wave [N] → magnitudes [window / 2 + 1, 1 + N // hop], hop a quarter of the window.

    A sine of amplitude 1 is 0.5 whatever the window, so that one floor fits all.
    Raises RuntimeError if N is not longer than half the window.
    """
    hann = torch.hann_window(window)
    return torch.stft(
        wave, window, window // 4, window=hann / hann.sum(), pad_mode="reflect", return_complex=True
    ).abs()


def stft_distances(true: Tensor, made: Tensor, windows: Sequence[int] = WINDOWS) -> dict[int, tuple[float, float]]:
    """Waves [N] → of each window length its spectral convergence and its log magnitude distance in nepers.

    Yamamoto et al. 2020 ("Parallel WaveGAN", section 2.2): ‖S − Ŝ‖ / ‖S‖ over all bins, and the mean of
    |ln S − ln Ŝ|. Magnitudes below 1e-5 count as 1e-5, so that no digital silence is infinitely far from -100 dB.
    """
    distances = {}
    for window in windows:
        s, made_s = magnitudes(true, window), magnitudes(made, window)
        convergence = torch.linalg.vector_norm(s - made_s) / torch.linalg.vector_norm(s).clamp(min=LOG_FLOOR)
        log_magnitude = (_log(s) - _log(made_s)).abs().mean()
        distances[window] = (float(convergence), float(log_magnitude))
    return distances


def multi_resolution(distances: dict[int, tuple[float, float]], windows: Sequence[int] = WINDOWS) -> float:
    """One number of `stft_distances`: convergence plus log magnitude, the mean over `windows`."""
    return sum(sum(distances[window]) for window in windows) / len(windows)


def log_spectral_distance(true: Tensor, made: Tensor) -> float:
    """Waves [N] → dB: the root mean square over bins of the difference of log spectra, the mean over frames.

    Gray and Markel 1976 ("Distance measures for speech processing"), magnitudes floored at 1e-5.
    """
    decibels = 20 / torch.log(torch.tensor(10.0))
    difference = decibels * (_log(magnitudes(true, _LSD_WINDOW)) - _log(magnitudes(made, _LSD_WINDOW)))
    return float(difference.square().mean(0).sqrt().mean())


def _log(magnitude: Tensor) -> Tensor:
    return torch.log(magnitude.clamp(min=LOG_FLOOR))
