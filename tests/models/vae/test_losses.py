"""Losses by hand, and the error in dB by definition."""

import math

import pytest
import torch

from distillgan.models.vae.network import KLDivergence, ReconstructionLoss, active_dimensions, mel_error_db


def test_reconstruction_by_hand():
    target = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    made = torch.tensor([[[1.0, 1.0], [0.0, 2.5]]])
    assert float(ReconstructionLoss()(made, target)) == pytest.approx((1 + 0 + 2 + 0.5) / 4)


def test_a_decibel_weighs_the_same_at_every_level():
    """Above the knee of log1p the loss counts dB: 1 dB = ln(10) / 20."""
    mel = torch.tensor([0.1, 1.0, 10.0])
    for gain in (1.0, -1.0):
        made = mel * 10 ** (gain / 20)
        loss = ReconstructionLoss()(torch.log1p(1000 * made), torch.log1p(1000 * mel))
        assert float(loss) == pytest.approx(math.log(10) / 20, rel=0.01)


def test_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(3, 5, 7), torch.randn(3, 5, 7)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    expected = torch.distributions.kl_divergence(posterior, prior).mean((0, 2))
    assert torch.allclose(KLDivergence.per_dimension(mean, log_variance), expected, atol=1e-5)


def test_divergence_by_hand():
    nats = KLDivergence.per_dimension(torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[0.0], [math.log(4)]]]))
    assert nats.tolist() == pytest.approx([0.5, 0.5 * (4 - 1 - math.log(4))])
    assert KLDivergence.per_dimension(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2)).tolist() == [0, 0, 0]


def test_free_bits_press_only_what_is_above():
    kl = KLDivergence(weight=1.0, free_bits=0.1, warmup_steps=0)
    nats = torch.tensor([0.0, 0.05, 0.5, 2.0], requires_grad=True)
    total = kl(nats)
    assert total.item() == pytest.approx(0.1 + 0.1 + 0.5 + 2.0)
    total.backward()
    assert nats.grad.tolist() == [0, 0, 1, 1]


def test_warm_up_is_linear_and_ends():
    kl = KLDivergence(weight=0.02, free_bits=0.0, warmup_steps=4)
    assert [kl.weight_at(step) for step in range(6)] == pytest.approx([0.005, 0.01, 0.015, 0.02, 0.02, 0.02])
    assert KLDivergence(weight=0.02, free_bits=0.0, warmup_steps=0).weight_at(0) == 0.02


def test_active_dimensions():
    nats = torch.tensor([0.0, 0.04, 0.06, 3.0])
    assert active_dimensions(nats) == 2
    assert active_dimensions(nats, threshold=1.0) == 1


@pytest.fixture
def mel():
    """A clip whose quietest value is 40 dB under its peak."""
    return torch.logspace(-2, 0, 128 * 10).reshape(128, 10)


def test_no_error_for_equal_mels(mel):
    assert mel_error_db(mel, mel.clone()) == 0


def test_a_doubled_mel_is_6_decibels_off(mel):
    assert mel_error_db(mel, 2 * mel) == pytest.approx(20 * math.log10(2), abs=1e-4)
    assert mel_error_db(mel, mel / 2) == pytest.approx(20 * math.log10(2), abs=1e-4)


def test_it_does_not_depend_on_loudness(mel):
    made = mel * torch.rand(128, 10, generator=torch.Generator().manual_seed(1))
    assert mel_error_db(mel / 1000, made / 1000) == pytest.approx(mel_error_db(mel, made), abs=1e-4)


@pytest.mark.parametrize("floor", [20.0, 60.0])
def test_both_sides_are_floored(floor):
    peak = torch.ones(1, 1)
    under = 10 ** (-(floor + 30) / 20)
    silent, deeper = torch.full((1, 99), under), torch.full((1, 99), under / 1000)
    true = torch.cat([peak, silent], 1)
    # Below the floor all is alike, on either side …
    assert mel_error_db(true, torch.cat([peak, deeper], 1), floor) == 0
    assert mel_error_db(torch.cat([peak, deeper], 1), true, floor) == 0
    # … and what sounds where there should be silence, or the other way round, is off by its height above the floor.
    loud = torch.cat([peak, torch.ones(1, 99)], 1)
    assert mel_error_db(true, loud, floor) == pytest.approx(floor * 0.99, abs=1e-3)
    assert mel_error_db(loud, torch.cat([peak, 0 * silent], 1), floor) == pytest.approx(floor * 0.99, abs=1e-3)


def test_the_floor_hangs_on_the_recording_not_on_what_was_made_of_it():
    true = torch.tensor([[1.0, 1e-5]])
    made = torch.tensor([[100.0, 1e-5]])
    assert mel_error_db(true, made) == pytest.approx(20.0, abs=1e-4)  # 40 dB in one of two values
