"""Losses by hand, and their physics."""

import math
import warnings

import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.models.vocoders.discriminators import Discriminators
from distillgan.models.vocoders.losses import (
    MelL1,
    MultiScaleMelLoss,
    discriminator_loss,
    energy_score,
    feature_matching_loss,
    generator_loss,
)

RATE = 44100


def tone(hertz: float, level: float = 0.3) -> torch.Tensor:
    return (level * torch.sin(2 * math.pi * hertz * torch.arange(RATE // 2) / RATE)).view(1, 1, -1)


@pytest.fixture(scope="module", params=["one mel", "many"])
def mel_score(request):
    if request.param == "one mel":
        return MelL1(MelSpec())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no band may be empty
        return MultiScaleMelLoss(RATE, (32, 64, 128, 256, 512, 1024, 2048), (5, 10, 20, 40, 80, 160, 320))


@pytest.fixture(scope="module")
def mel_loss(mel_score):
    """Of one wave, as a deterministic generator makes it."""
    return lambda fake, real: mel_score([fake], real)


def test_least_squares_by_hand():
    real, fake = torch.tensor([[1.0, 0.5]]), torch.tensor([[0.0, 0.5]])
    assert discriminator_loss([real], [fake]) == pytest.approx(0.125 + 0.125)
    assert generator_loss([fake]) == pytest.approx((1 + 0.25) / 2)
    assert generator_loss([fake, fake]) == pytest.approx(1 + 0.25)
    ones, zeros = torch.ones(2, 5), torch.zeros(2, 5)
    assert discriminator_loss([ones], [zeros]) == 0
    assert generator_loss([ones]) == 0


def test_feature_matching_by_hand_and_its_gradients():
    real = [(torch.zeros(1, 2), [torch.zeros(1, 3, 4), torch.ones(1, 1, 2)])]
    fake = [(torch.zeros(1, 2), [torch.full((1, 3, 4), 0.5, requires_grad=True), torch.zeros(1, 1, 2)])]
    assert feature_matching_loss(real, fake).item() == pytest.approx(0.5 + 1)
    network = Discriminators(0.05).eval()
    wave = torch.randn(1, 1, 4096)
    assert feature_matching_loss(network(wave), network(wave)).item() == 0
    assert feature_matching_loss(network(wave), network(wave * 0.5)).item() > 0


def test_equal_waves_have_no_mel_error(mel_loss):
    assert mel_loss(tone(440), tone(440)) == 0


def test_mel_error_grows_with_a_shift_in_pitch(mel_loss):
    torch.manual_seed(0)
    floor = 3e-3 * torch.randn(1, 1, RATE // 2)  # hides the leakage of bare tones, which no pitch is heard in
    shifts = [
        mel_loss(tone(440 * 2 ** (semitones / 12)) + floor, tone(440) + floor).item() for semitones in (0.25, 2, 6, 12)
    ]
    assert shifts[0] > 0.01
    assert shifts == sorted(shifts)


def test_mel_error_of_a_gain_is_its_logarithm(mel_loss):
    torch.manual_seed(0)
    noise = torch.randn(1, 1, RATE // 2) * 0.3
    assert mel_loss(noise * 0.5, noise).item() == pytest.approx(math.log(2), rel=0.02)


def test_mel_gradient_flows_to_the_fake_alone(mel_loss):
    fake, real = tone(500).requires_grad_(), tone(440).requires_grad_()
    mel_loss(fake, real).backward()
    assert fake.grad.abs().sum() > 0
    assert real.grad is None


def test_the_energy_score_is_best_for_noise_as_loud_and_as_random_as_the_real(mel_score):
    """Draws that are quieter, louder or without any chance in them score worse; the plain distance would have it so."""
    torch.manual_seed(0)
    real, *draws = 0.1 * torch.randn(3, 8, 1, RATE // 2)
    scores = {gain: float(mel_score([gain * draw for draw in draws], real)) for gain in (0.7, 1.0, 1.4)}
    assert scores[1.0] < min(scores[0.7], scores[1.4])
    assert scores[1.0] < float(mel_score([draws[0], draws[0]], real))
    assert float(mel_score([real, real], real)) == 0


def test_the_energy_score_by_hand():
    a, b, real = torch.tensor([0.0]), torch.tensor([4.0]), torch.tensor([1.0])
    distance = torch.nn.functional.l1_loss
    assert energy_score(distance, [a], real) == 1
    assert energy_score(distance, [a, b], real) == (1 + 3) / 2 - 4 / 2


def test_silence_has_finite_gradients(mel_loss):
    fake = torch.zeros(1, 1, 8192, requires_grad=True)
    loss = mel_loss(fake, tone(440)[..., :8192])
    loss.backward()
    assert loss.isfinite()
    assert fake.grad.isfinite().all()


def test_short_windows_see_an_attack_in_time():
    loss = MultiScaleMelLoss(RATE, (64, 2048), (10, 320))
    click, late = torch.zeros(2, 1, 1, 8192)
    click[..., 4000], late[..., 4200] = 0.5, 0.5
    long, short = MultiScaleMelLoss(RATE, (2048,), (320,)), MultiScaleMelLoss(RATE, (64,), (10,))
    both = (loss([click], late) for loss in (long, short))
    assert short([click], late) > 0
    assert loss([click], late) == pytest.approx(sum(both) / 2)


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
def test_a_filterbank_with_empty_bands_is_refused():
    with pytest.raises(ValueError, match="n_mels=80 are too many for n_fft=256"):
        MultiScaleMelLoss(RATE, (256,), (80,))
    with pytest.raises(ValueError, match="zip"):
        MultiScaleMelLoss(RATE, (256, 512), (20,))
