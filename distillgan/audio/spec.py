"""The definition of a mel spectrogram. Without torch: headers of model files hold it, and many are listed at once."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from distillgan.errors import UserError, number, whole

# Slaney's scale: Hz in a mel below the knee, and above it the logarithm of the frequencies' ratio in a mel.
HERTZ_A_MEL, LOG_STEP = 200 / 3, math.log(6.4) / 27
KNEE_HERTZ, KNEE_MEL = 1000, 15


@dataclass(frozen=True)
class MelSpec:
    """Everything that must agree between a model, a vocoder and the audio they are fed.

    Frequencies in Hz, n_fft and hop_length in samples. `log1p_gain` scales magnitudes before log1p.
    """

    sample_rate: int = 44100
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    f_min: float = 0.0
    f_max: float = 22050.0
    log1p_gain: float = 1000.0

    def __post_init__(self) -> None:
        for field in fields(self):
            kind = int if field.type is int else float
            object.__setattr__(self, field.name, kind(getattr(self, field.name)))
        if not 0 < self.hop_length <= self.n_fft:
            raise UserError(f"mel.hop_length={self.hop_length} must be between 1 and mel.n_fft={self.n_fft}")
        if (self.n_fft - self.hop_length) % 2:
            raise UserError(
                f"mel.hop_length={self.hop_length} and mel.n_fft={self.n_fft} must both be even or both be odd: half "
                "of their difference is padded on each side"
            )
        if self.n_mels < 1:
            raise UserError(f"mel.n_mels={self.n_mels} must be at least 1")
        if not 0 < self.log1p_gain < float("inf"):
            raise UserError(f"mel.log1p_gain={self.log1p_gain:g} must be a positive number")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise UserError(
                f"mel.f_min={self.f_min:g} and mel.f_max={self.f_max:g} Hz must be ordered and at most half of "
                f"mel.sample_rate={self.sample_rate}"
            )

    @property
    def frame_rate(self) -> float:
        """Mel frames a second."""
        return self.sample_rate / self.hop_length

    def band_of(self, hertz: float) -> float:
        """Where a frequency lies on the axis of bands: a whole number is the middle of that band, counted from 0."""
        low, high = mel_of(self.f_min), mel_of(self.f_max)
        return (mel_of(hertz) - low) / (high - low) * (self.n_mels + 1) - 1

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "MelSpec":
        """Raises UserError if a field is missing or unknown."""
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise UserError(f"mel spec has the fields {sorted(values)}, expected {sorted(known)}")
        return cls(**values)

    @classmethod
    def from_config(cls, values: Mapping) -> "MelSpec":
        """From the `mel` node of a configuration. Raises UserError if a value is no number or out of range."""
        for key, value in values.items():
            number(f"mel.{key}", value)
        for field in fields(cls):
            if field.type is int and field.name in values:
                whole(f"mel.{field.name}", values[field.name], 1)
        return cls.from_dict(dict(values))

    def require(self, other: "MelSpec", mine: str, theirs: str) -> None:
        """Raises UserError, with both specs named, unless `other` equals this one."""
        if self != other:
            raise UserError(f"the mel of {mine} and of {theirs} differ:\n  {mine}: {self}\n  {theirs}: {other}")


def mel_of(hertz: float) -> float:
    """Hz → mel: even below 1 kHz, 27 steps for each factor of 6.4 above (Slaney 1998, "Auditory Toolbox", 3)."""
    return hertz / HERTZ_A_MEL if hertz < KNEE_HERTZ else KNEE_MEL + math.log(hertz / KNEE_HERTZ) / LOG_STEP
