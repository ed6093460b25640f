"""A projection brings a wave nearer to the mel, as far as it is told, and no further than its bands."""

import pytest
import torch

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log_clamp
from distillgan.models.vocoders.harmonic import MelProjection

SPEC = MelSpec()


@pytest.fixture(scope="module")
def projection() -> MelProjection:
    return MelProjection(SPEC)


def mel_of(wave: torch.Tensor) -> torch.Tensor:
    return to_log_clamp(MelSpectrogram(SPEC)(wave))


def noises(frames: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    made = 0.1 * torch.randn(2, 1, frames * SPEC.hop_length)
    return made, made[:1] * torch.linspace(0.1, 2, made.shape[-1]) + 0.1 * torch.randn(1, 1, made.shape[-1])


def test_every_projection_is_nearer(projection):
    wave, wanted = noises()
    mel = mel_of(wanted).expand(2, -1, -1)
    errors = [(mel_of(wave) - mel).abs().mean()]
    for _ in range(4):
        wave = projection(wave, mel, torch.ones_like(mel))
        errors.append((mel_of(wave) - mel).abs().mean())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]


def test_without_trust_the_wave_stays(projection):
    wave, wanted = noises()
    mel = mel_of(wanted).expand(2, -1, -1)
    torch.testing.assert_close(projection(wave, mel, torch.zeros_like(mel)), wave, atol=1e-5, rtol=0)


def test_a_wave_that_has_the_mel_stays(projection):
    _, wave = noises()
    mel = mel_of(wave)
    torch.testing.assert_close(projection(wave, mel, torch.ones_like(mel)), wave, atol=1e-4, rtol=0)


def test_what_is_silent_is_not_made_loud_at_once(projection):
    mel = torch.zeros(1, SPEC.n_mels, 10)
    assert torch.equal(projection(torch.zeros(1, 1, 5120), mel, torch.ones_like(mel)), torch.zeros(1, 1, 5120))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_waves_shorter_than_the_mels_padding(projection, frames):
    wave = 0.1 * torch.randn(1, 1, frames * SPEC.hop_length)
    mel = torch.full((1, SPEC.n_mels, frames), -3.0)
    made = projection(wave, mel, torch.ones_like(mel))
    assert made.shape == wave.shape and made.isfinite().all()
