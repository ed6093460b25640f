"""Augmentation on the fly, which keeps a model trained on minutes of sound from learning it by heart.

Pitch is shifted in the wave by resampling, which leaves a natural signal (a phase vocoder would teach smeared attacks).
That changes duration too; `stretch_mel` corrects it, together with the wanted time stretch, by reading the mel at
other points in time. On magnitudes that is what a phase vocoder does, at a hundredth of its cost.
"""

from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor

from distillgan.errors import number, pair


@dataclass(frozen=True)
class Change:
    """One segment's drawn change: pitch ratio of its wave, and `rate`, source mel frames read per frame made."""

    pitch: float
    rate: float


class Augment:
    """Random changes of a training segment; every number comes from the generator that is passed in.

    Args:
        shift_probability: share of segments that are pitch-shifted and stretched.
        pitch_semitones: pitch shift within ± this.
        time_stretch: least and greatest duration, 1.1 is 10 % longer.
        gain_db: gain within ± this, on every segment.
        noise_probability: share of segments that get white noise.
        noise_snr_db: least and greatest signal-to-noise ratio of it, in dB.
        polarity_probability: share of segments turned upside down.
    """

    def __init__(
        self,
        shift_probability: float,
        pitch_semitones: float,
        time_stretch: tuple[float, float],
        gain_db: float,
        noise_probability: float,
        noise_snr_db: tuple[float, float],
        polarity_probability: float,
    ):
        self.shift_probability = number("augment.shift_probability", shift_probability, 0, 1)
        self.pitch_semitones = number("augment.pitch_semitones", pitch_semitones, 0, 12)
        self.time_stretch = pair("augment.time_stretch", time_stretch, 0.5, 2)
        self.gain_db = number("augment.gain_db", gain_db, 0, 40)
        self.noise_probability = number("augment.noise_probability", noise_probability, 0, 1)
        self.noise_snr_db = pair("augment.noise_snr_db", noise_snr_db, -20, 120)
        self.polarity_probability = number("augment.polarity_probability", polarity_probability, 0, 1)

    @property
    def widest_rate(self) -> float:
        """The most source mel frames that a made frame can need: segments are cut this much longer."""
        if self.shift_probability == 0:
            return 1.0
        return max(1.0, 2 ** (self.pitch_semitones / 12) / self.time_stretch[0])

    def draw(self, rng: np.random.Generator) -> Change:
        if rng.random() >= self.shift_probability:
            return Change(1.0, 1.0)
        pitch = 2 ** (rng.uniform(-self.pitch_semitones, self.pitch_semitones) / 12)
        stretch = rng.uniform(*self.time_stretch)
        # Resampling by `pitch` has divided the duration by it; a total of `stretch` is wanted.
        return Change(pitch, 1.0 / (stretch * pitch))

    def source_length(self, count: int, change: Change) -> int:
        """Samples to read so that `wave` can return `count`."""
        return count if change.pitch == 1.0 else int(np.ceil(count * change.pitch)) + 16

    def wave(self, source: np.ndarray, count: int, change: Change, rng: np.random.Generator) -> np.ndarray:
        """Source float32 [source_length] → changed float32 [count]."""
        if change.pitch != 1.0:
            source = soxr.resample(source, change.pitch, 1.0)
        wave = source[:count]
        if rng.random() < self.polarity_probability:
            wave = -wave
        wave = wave * np.float32(10 ** (rng.uniform(-self.gain_db, self.gain_db) / 20))
        if rng.random() < self.noise_probability:
            rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
            level = rms * 10 ** (-rng.uniform(*self.noise_snr_db) / 20)
            wave = wave + np.float32(level) * rng.standard_normal(count, dtype=np.float32)
        return wave.astype(np.float32, copy=False)


def stretch_mel(mel: Tensor, rate: Tensor, frames: int) -> Tensor:
    """Linear mel [B, n_mels, S] and rate [B] (source frames per frame made) → [B, n_mels, frames].

    Frame i is read at i·rate, linearly between neighbours.
    """
    position = torch.arange(frames, device=mel.device) * rate.to(mel.dtype).unsqueeze(1)
    position = position.clamp(max=mel.shape[-1] - 1)
    left = position.floor().long()
    fraction = (position - left).unsqueeze(1)
    right = (left + 1).clamp(max=mel.shape[-1] - 1)

    def at(index: Tensor) -> Tensor:
        return mel.gather(2, index.unsqueeze(1).expand(-1, mel.shape[1], -1))

    return at(left) * (1 - fraction) + at(right) * fraction
