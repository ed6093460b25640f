"""Metrics of a made wave against the true one: spectral distances, pitch, and perceptual models from elsewhere."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import librosa
import numpy as np
import torch
from torch import Tensor

from distillgan.audio.io import resample
from distillgan.audio.mel import LOG_FLOOR, MelSpec
from distillgan.models.vocoders.losses import MelL1

RATE = 48000  # of both perceptual metrics
PerceptualMetric = Callable[[np.ndarray, np.ndarray], float | None]


@functools.lru_cache(maxsize=1)
def visqol() -> PerceptualMetric | None:
    """ViSQOL in audio mode (Chinen et al. 2020): (true, made) float32 [N] at 48 kHz → MOS-LQO, 1 to 4.73.

    It aligns the two by itself; None for clips under a second. None altogether if it is not installed.
    """
    try:
        from visqol import VisqolApi
    except ImportError:
        return None
    api = VisqolApi()
    api.create(mode="audio")

    def measure(true: np.ndarray, made: np.ndarray) -> float | None:
        try:
            return float(api.measure_from_arrays(true.astype(np.float64), made.astype(np.float64), RATE).moslqo)
        except ValueError:  # fewer spectral frames than one of its patches has
            return None

    return measure


@functools.lru_cache(maxsize=1)
def zimtohrli() -> PerceptualMetric | None:
    """Zimtohrli (Alakuijala et al. 2025): (true, made) float32 [N] at 48 kHz → MOS, 1 to 5. None if not installed."""
    try:
        from zimtohrli import Pyohrli, mos_from_zimtohrli
    except ImportError:
        return None
    ear = Pyohrli()
    return lambda true, made: float(mos_from_zimtohrli(ear.distance(true, made)))


PERCEPTUAL: dict[str, Callable[[], PerceptualMetric | None]] = {"visqol": visqol, "zimtohrli": zimtohrli}


def at_48k(wave: np.ndarray, rate: int) -> np.ndarray:
    """Wave float32 [N] at `rate` Hz, resampled to 48 kHz."""
    return resample(wave[None], rate, RATE)[0]


LOWEST, HIGHEST = 20.0, 1760.0  # Hz
_RATE, _FRAME, _HOP = 22050, 2048, 256
_BASS_RATE, _BASS_FRAME, _BASS_HIGHEST = _RATE // 4, 1536, 110.0  # 0.28 s: six periods of 21 Hz
_RESOLUTION = 0.25  # semitones; finer costs with the square
# Where the two ranges begin: a semitone or more under what counts, on the grid of steps about 440 Hz.
_LOWEST_NOTE, _NOTE_FLOOR, _BASS_FLOOR = 55.0, 55 * 2 ** (-1 / 12), 55 * 2 ** (-19 / 12)
_HALF_STEP = 2 ** (_RESOLUTION / 24)
_REPEATS = 0.1  # of the normalised difference: de Cheveigné and Kawahara 2002, step 4
_PITCHED = 0.25  # share of frames that are more likely voiced than not


@dataclass(frozen=True)
class PitchTrack:
    """The probability that each frame (11.6 ms) is voiced, and its pitch in Hz, NaN where it is not; both [T].

    A pitch under 20 Hz or over 1760 Hz is not voiced. librosa's pYIN (Mauch and Dixon 2014) takes a sound under its
    range for one at the range's lower end, one above it for one an octave or more lower, and one with fewer than six
    periods in its window for unvoiced. So it runs twice, in a window for notes and in a longer one for basses. Each
    range begins lower than 20 or 55 Hz, and that of the basses ends an octave higher, so that a note is no bass; a
    pitch at the lower end, or a wave that repeats faster than the highest pitch, is unvoiced.
    """

    periodicity: np.ndarray
    hertz: np.ndarray

    @classmethod
    def of(cls, wave: np.ndarray, rate: int) -> "PitchTrack":
        """Wave float32 [N] at `rate` Hz, in windows of 93 ms, and up to 110 Hz of 279 ms, in steps of 25 cents."""
        wave = resample(wave[None], rate, _RATE)[0]
        note = _pyin(wave, _RATE, _NOTE_FLOOR, HIGHEST, _FRAME, _HOP)
        slow = resample(wave[None], _RATE, _BASS_RATE)[0]
        bass = _pyin(slow, _BASS_RATE, _BASS_FLOOR, 2 * _BASS_HIGHEST, _BASS_FRAME, _HOP // 4)
        frames = min(note.shape[1], bass.shape[1])  # rounding of the lengths may make them differ by one
        note, bass = note[:, :frames], bass[:, :frames]
        under = note[1] < _LOWEST_NOTE / _HALF_STEP
        low = under | ((bass[0] > note[0]) & (bass[1] < _BASS_HIGHEST * _HALF_STEP))
        periodicity, hertz, voiced = np.where(low, bass, note)
        none = (hertz < LOWEST / _HALF_STEP) | _too_high(wave)[:frames]
        return cls(np.where(none, 0.0, periodicity), np.where(none | (voiced == 0), np.nan, hertz))

    @property
    def pitched(self) -> bool:
        """Whether a quarter of its frames are more likely voiced than not; pitches are found in noise, too."""
        return bool((self.periodicity > 0.5).mean() >= _PITCHED)


def _pyin(wave: np.ndarray, rate: int, lowest: float, highest: float, frame: int, hop: int) -> np.ndarray:
    """Probability of being voiced, the likeliest pitch in Hz, and whether it is voiced rather than not, [3, T]."""
    options = {"sr": rate, "frame_length": frame, "hop_length": hop, "resolution": _RESOLUTION, "fill_na": None}
    hertz, voiced, probability = librosa.pyin(wave, fmin=lowest, fmax=highest, **options)
    return np.stack([probability, hertz, voiced])


def _too_high(wave: np.ndarray) -> np.ndarray:
    """Whether the wave of each frame repeats in less than a period of the highest pitch, bool [T]."""
    frames = librosa.util.frame(np.pad(wave, _FRAME // 2), frame_length=_FRAME, hop_length=_HOP).T
    lags = np.arange(1, round(_RATE / HIGHEST) + 1)
    difference = np.stack([np.square(frames[:, lag:] - frames[:, :-lag]).mean(1) for lag in lags])
    mean = np.cumsum(difference, 0) / lags[:, None]
    normalised = difference / np.maximum(mean, np.finfo(np.float32).tiny)
    before, here, after = normalised[:-2], normalised[1:-1], normalised[2:]
    trough = (here < before) & (here <= after)
    # The parabola's lowest point: few periods are a whole number of samples.
    bend = np.where(trough, before - 2 * here + after, 1.0)
    return (trough & (here - np.square(before - after) / (8 * bend) < _REPEATS)).any(0)


def periodicity_error(true: PitchTrack, made: PitchTrack) -> float:
    """Root mean square difference of the frames' periodicity, in 0…1.

    Morrison et al. 2022 ("Chunked autoregressive GAN for conditional waveform synthesis") with pYIN's probability of
    being voiced in place of CREPE's, of the same meaning and other values.
    """
    return float(np.sqrt(np.mean(np.square(true.periodicity - made.periodicity))))


def pitch_error_cents(true: PitchTrack, made: PitchTrack) -> float | None:
    """Root mean square difference of pitch in cents where both have one (same source); None if that is nowhere."""
    both = (true.periodicity > 0.5) & (made.periodicity > 0.5) & np.isfinite(true.hertz) & np.isfinite(made.hertz)
    if not both.any():
        return None
    return float(np.sqrt(np.mean(np.square(1200 * np.log2(made.hertz[both] / true.hertz[both])))))


WINDOWS = (64, 128, 256, 512, 1024, 2048)
SHORT = WINDOWS[:3]  # 1.5 to 6 ms: these see whether an attack is sharp
_LSD_WINDOW = 2048


def magnitudes(wave: Tensor, window: int) -> Tensor:
    """Magnitudes [window / 2 + 1, 1 + N // hop] of a wave [N], hop a quarter of the window.

    A sine of amplitude 1 is 0.5 whatever the window, so that one floor fits all. Raises RuntimeError if N is not longer
    than half the window.
    """
    hann = torch.hann_window(window)
    return torch.stft(
        wave, window, window // 4, window=hann / hann.sum(), pad_mode="reflect", return_complex=True
    ).abs()


def stft_distances(true: Tensor, made: Tensor, windows: Sequence[int] = WINDOWS) -> dict[int, tuple[float, float]]:
    """Spectral convergence and log magnitude distance in nepers of two waves [N], by window length.

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
    """Log-spectral distance of two waves [N] in dB: root mean square over bins, mean over frames.

    Gray and Markel 1976 ("Distance measures for speech processing"), magnitudes floored at 1e-5.
    """
    decibels = 20 / torch.log(torch.tensor(10.0))
    difference = decibels * (_log(magnitudes(true, _LSD_WINDOW)) - _log(magnitudes(made, _LSD_WINDOW)))
    return float(difference.square().mean(0).sqrt().mean())


def _log(magnitude: Tensor) -> Tensor:
    return torch.log(magnitude.clamp(min=LOG_FLOOR))


@dataclass(frozen=True)
class Metric:
    """A column of a report: key, heading, decimals, which way is better, and a description."""

    key: str
    heading: str
    digits: int
    better: str
    about: str


UP, DOWN = "higher", "lower"
SPEED = "real_time_factor"
METRICS = (
    Metric("visqol", "ViSQOL", 2, UP, "ViSQOL in 48 kHz audio mode, MOS-LQO 1 to 4.73; n/a for clips under a second"),
    Metric("zimtohrli", "Zimtohrli", 2, UP, "Zimtohrli at 48 kHz, MOS 1 to 5"),
    Metric(
        "stft", "STFT", 3, DOWN,
        "multi-resolution STFT distance (Yamamoto et al. 2020), windows 64 to 2048: convergence + log magnitude in Np",
    ),
    Metric("stft_short", "STFT ≤ 256", 3, DOWN, "the same over windows 64 to 256 alone: attacks"),
    Metric("log_spectral_distance_db", "LSD dB", 2, DOWN, "log-spectral distance in dB, window 2048"),
    Metric("mel_l1", "mel L1", 3, DOWN, "mean absolute difference of the model's log-clamp mels in Np"),
    Metric(
        "periodicity_error", "periodicity", 3, DOWN,
        "root mean square difference of the probability of being voiced (after Morrison et al. 2022, by pYIN); "
        "n/a where the true clip has no pitch",
    ),
    Metric("pitch_error_cents", "pitch cents", 0, DOWN, "root mean square difference of pitch where both have one"),
    Metric(SPEED, "× real time", 1, UP, "seconds of sound in a second of rendering, vocoder alone, once warm"),
)  # fmt: skip


class TrueWave:
    """The wave [N] of a clip at its training gain, to compare others with; what depends on it alone is computed once.

    Levels and time are compared as they are, except by ViSQOL, which aligns the two by itself.
    """

    def __init__(self, wave: Tensor, spec: MelSpec):
        self.wave, self.spec = wave, spec
        self._mel = MelL1(spec)
        self._pitch = PitchTrack.of(wave.numpy(), spec.sample_rate)
        self._at_48k = at_48k(wave.numpy(), spec.sample_rate)

    @property
    def pitched(self) -> bool:
        return self._pitch.pitched

    @torch.inference_mode()
    def compare(self, made: Tensor) -> dict[str, float | None]:
        """A value, or None (not installed, not applicable), of each metric but speed for a wave [N] of the same length.

        `stft_windows` holds convergence and log magnitude of each window length. Raises ValueError if the lengths
        differ or a sample is no finite number.
        """
        if made.shape != self.wave.shape:
            raise ValueError(f"waves of {list(self.wave.shape)} and {list(made.shape)} samples cannot be compared")
        if not made.isfinite().all():
            raise ValueError("the wave has NaN or infinite samples")
        distances = stft_distances(self.wave, made)
        high = at_48k(made.numpy(), self.spec.sample_rate)
        metrics = {name: load() for name, load in PERCEPTUAL.items()}
        values = {name: metric and metric(self._at_48k, high) for name, metric in metrics.items()}
        pitch = PitchTrack.of(made.numpy(), self.spec.sample_rate) if self.pitched else None
        return values | {
            "stft": multi_resolution(distances),
            "stft_short": multi_resolution(distances, SHORT),
            "stft_windows": {str(window): list(pair) for window, pair in distances.items()},
            "log_spectral_distance_db": log_spectral_distance(self.wave, made),
            "mel_l1": float(self._mel([made[None, None]], self.wave[None, None])),
            "periodicity_error": pitch and periodicity_error(self._pitch, pitch),
            "pitch_error_cents": pitch and pitch_error_cents(self._pitch, pitch),
        }


def not_installed() -> list[str]:
    """The metrics that the extra `scores` would bring."""
    return [name for name, load in PERCEPTUAL.items() if load() is None]


def mean(values: list[float | None]) -> float | None:
    """The mean of the values that are not None; None if there is none."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
