"""Is what should be pitched as pitched as it was, and at its pitch?"""

from dataclasses import dataclass

import librosa
import numpy as np

from distillgan.audio.io import resample

_RATE, _FRAME, _HOP = 22050, 2048, 256
_LOWEST, _HIGHEST = 55.0, 1760.0  # Hz
_RESOLUTION = 0.25  # semitones; finer costs with the square
_PITCHED = 0.25  # share of frames that are more likely voiced than not


@dataclass(frozen=True)
class PitchTrack:
    """Of each frame (11.6 ms) the probability that it is voiced, and its pitch in Hz, NaN where it is not; both [T]."""

    periodicity: np.ndarray
    hertz: np.ndarray

    @classmethod
    def of(cls, wave: np.ndarray, rate: int) -> "PitchTrack":
        """Wave float32 [N] at `rate` Hz, by pYIN (Mauch and Dixon 2014) from 55 to 1760 Hz, in steps of 25 cents."""
        low = resample(wave[None], rate, _RATE)[0]
        hertz, _, probability = librosa.pyin(
            low,
            fmin=_LOWEST,
            fmax=_HIGHEST,
            sr=_RATE,
            frame_length=_FRAME,
            hop_length=_HOP,
            resolution=_RESOLUTION,
        )
        return cls(probability, hertz)

    @property
    def pitched(self) -> bool:
        """Is at least a quarter of its frames more likely voiced than not? Decoded pitches are found in noise, too."""
        return bool((self.periodicity > 0.5).mean() >= _PITCHED)


def periodicity_error(true: PitchTrack, made: PitchTrack) -> float:
    """Root mean square difference of the frames' periodicity, in 0…1.

    Morrison et al. 2022 ("Chunked autoregressive GAN for conditional waveform synthesis"), where the periodicity is
    that of CREPE at 16 kHz; here it is pYIN's probability of being voiced, of the same meaning and other values.
    """
    return float(np.sqrt(np.mean(np.square(true.periodicity - made.periodicity))))


def pitch_error_cents(true: PitchTrack, made: PitchTrack) -> float | None:
    """Root mean square difference of pitch where both have one (same source); None if that is nowhere."""
    both = (true.periodicity > 0.5) & (made.periodicity > 0.5) & np.isfinite(true.hertz) & np.isfinite(made.hertz)
    if not both.any():
        return None
    return float(np.sqrt(np.mean(np.square(1200 * np.log2(made.hertz[both] / true.hertz[both])))))
