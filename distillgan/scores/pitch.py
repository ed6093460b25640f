"""Is what should be pitched as pitched as it was, and at its pitch?

pYIN (Mauch and Dixon 2014) as librosa has it takes a sound under its range for one at the range's lower end, and one
above it for one an octave or more lower; and what its window holds fewer than six periods of is hardly voiced to it. So
it listens twice, in a window for notes and in a longer one for basses. Each range begins lower than what counts, and
that of the basses ends an octave higher, so that a note is no bass; what is found at the lower end, or repeats faster
than the highest pitch, is no pitch.
"""

from dataclasses import dataclass

import librosa
import numpy as np

from distillgan.audio.io import resample

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
    """Of each frame (11.6 ms) the probability that it is voiced, and its pitch in Hz, NaN where it is not; both [T].

    What is lower than 20 Hz or higher than 1760 Hz is no pitch: not voiced.
    """

    periodicity: np.ndarray
    hertz: np.ndarray

    @classmethod
    def of(cls, wave: np.ndarray, rate: int) -> "PitchTrack":
        """Wave float32 [N] at `rate` Hz, in windows of 93 ms, and up to 110 Hz of 279 ms, in steps of 25 cents."""
        wave = resample(wave[None], rate, _RATE)[0]
        note = _heard(wave, _RATE, _NOTE_FLOOR, HIGHEST, _FRAME, _HOP)
        slow = resample(wave[None], _RATE, _BASS_RATE)[0]
        bass = _heard(slow, _BASS_RATE, _BASS_FLOOR, 2 * _BASS_HIGHEST, _BASS_FRAME, _HOP // 4)
        frames = min(note.shape[1], bass.shape[1])  # rounding of the lengths may make them differ by one
        note, bass = note[:, :frames], bass[:, :frames]
        under = note[1] < _LOWEST_NOTE / _HALF_STEP
        low = under | ((bass[0] > note[0]) & (bass[1] < _BASS_HIGHEST * _HALF_STEP))
        periodicity, hertz, voiced = np.where(low, bass, note)
        none = (hertz < LOWEST / _HALF_STEP) | _too_high(wave)[:frames]
        return cls(np.where(none, 0.0, periodicity), np.where(none | (voiced == 0), np.nan, hertz))

    @property
    def pitched(self) -> bool:
        """Is at least a quarter of its frames more likely voiced than not? Decoded pitches are found in noise, too."""
        return bool((self.periodicity > 0.5).mean() >= _PITCHED)


def _heard(wave: np.ndarray, rate: int, lowest: float, highest: float, frame: int, hop: int) -> np.ndarray:
    """Probability of being voiced, the likeliest pitch in Hz, and whether it is voiced rather than not, [3, T]."""
    hertz, voiced, probability = librosa.pyin(
        wave,
        fmin=lowest,
        fmax=highest,
        sr=rate,
        frame_length=frame,
        hop_length=hop,
        resolution=_RESOLUTION,
        fill_na=None,
    )
    return np.stack([probability, hertz, voiced])


def _too_high(wave: np.ndarray) -> np.ndarray:
    """Of each frame, whether its wave repeats in less than a period of the highest pitch, bool [T]."""
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
