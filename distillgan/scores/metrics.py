"""All that a made wave is judged by beside the true one: which numbers there are, and how they are come by."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.scores.perceptual import JUDGES, at_48k
from distillgan.scores.pitch import PitchTrack, periodicity_error, pitch_error_cents
from distillgan.scores.spectral import SHORT, log_spectral_distance, multi_resolution, stft_distances
from distillgan.vocoder.losses import MelL1


@dataclass(frozen=True)
class Metric:
    """A column: its key in the report, its heading, its decimals, which way is better, and what it is."""

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
    """One clip to compare with: wave [N] at its training gain. What depends on it alone is computed once.

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
        """A wave [N] of the same length → a value or None (not installed, not applicable) of each metric but speed.

        `stft_windows` holds convergence and log magnitude of each window length.
        Raises ValueError if the lengths differ or a sample is no finite number.
        """
        if made.shape != self.wave.shape:
            raise ValueError(f"waves of {list(self.wave.shape)} and {list(made.shape)} samples cannot be compared")
        if not made.isfinite().all():
            raise ValueError("the wave has NaN or infinite samples")
        distances = stft_distances(self.wave, made)
        high = at_48k(made.numpy(), self.spec.sample_rate)
        judges = {name: judge() for name, judge in JUDGES.items()}
        values = {name: judge and judge(self._at_48k, high) for name, judge in judges.items()}
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
    return [name for name, judge in JUDGES.items() if judge() is None]


def mean(values: list[float | None]) -> float | None:
    """The mean of those that there are; None if there is none."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None
