"""Random changes before the discriminators, which keep them from learning a small corpus by heart."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from distillgan.checks import number, pair

_ANGLES = 33  # that a random phase response is drawn through, evenly spaced over the frequencies


class Disguise:
    """One random change of gain, phase and background noise, the same for every wave it is applied to.

    Real and fake must pass through one disguise, or the discriminators would learn to tell disguises apart. It keeps
    them from learning a small corpus by heart (Karras et al. 2020, "Training GANs with limited data", section 2).
    """

    def __init__(self, gain: Tensor, angle: Tensor | None, noise: Tensor):
        self.gain = gain
        self.angle = angle
        self.noise = noise

    def __call__(self, wave: Tensor) -> Tensor:
        """Wave [B, 1, N] → wave [B, 1, N]."""
        if self.angle is not None:
            turn = torch.polar(torch.ones_like(self.angle), self.angle)
            wave = torch.fft.irfft(torch.fft.rfft(wave) * turn, wave.shape[-1])
        return wave * self.gain + self.noise


class DiscriminatorAugment:
    """Draws a Disguise for a batch.

    Args:
        gain_db: the gain lies within ± this.
        phase_degrees: each frequency's phase is turned by an angle within ± this, smooth over the frequencies (after
            Lee et al. 2023, "PhaseAug", section 2): what it sounds like stays, the wave does not. 0: not at all.
        noise_probability, noise_snr_db: white noise at an SNR uniform between these, relative to each item's real wave.

    Raises UserError if a value is out of range.
    """

    def __init__(
        self, gain_db: float, phase_degrees: float, noise_probability: float, noise_snr_db: tuple[float, float]
    ):
        key = "vocoder.discriminator_augment"
        self.gain_db = number(f"{key}.gain_db", gain_db, 0, 60)
        self.phase_degrees = number(f"{key}.phase_degrees", phase_degrees, 0, 180)
        self.noise_probability = number(f"{key}.noise_probability", noise_probability, 0, 1)
        self.noise_snr_db = pair(f"{key}.noise_snr_db", noise_snr_db)

    def draw(self, real: Tensor, random: torch.Generator) -> Disguise:
        """`real` is the wave [B, 1, N] of the batch; every random number comes from `random`, on real's device."""
        shape = (real.shape[0], 1, 1)
        gain_db, snr, chance = (torch.rand(shape, generator=random, device=real.device) for _ in range(3))
        noise = torch.randn(real.shape, generator=random, device=real.device)
        angles = torch.rand((real.shape[0], 1, _ANGLES), generator=random, device=real.device)
        low, high = self.noise_snr_db
        gain = 10 ** ((2 * gain_db - 1) * self.gain_db / 20)
        level = (real * gain).square().mean(dim=-1, keepdim=True).sqrt() * 10 ** (-(low + (high - low) * snr) / 20)
        angle = None
        if self.phase_degrees:
            angles = (2 * angles - 1) * math.radians(self.phase_degrees)
            angle = F.interpolate(angles, size=real.shape[-1] // 2 + 1, mode="linear", align_corners=True)
        return Disguise(gain, angle, noise * level * (chance < self.noise_probability))
