"""The discriminators' one pass serves both networks."""

import pytest
import torch

from distillgan.models.vocoders.discriminators import Discriminators
from distillgan.models.vocoders.losses import feature_matching_loss, generator_loss
from distillgan.models.vocoders.module import DiscriminatorAugment, accuracies, adversarial_losses


def output(*scores: float) -> tuple[torch.Tensor, list]:
    return torch.tensor([scores]), []


def test_accuracies_are_the_shares_on_the_right_side():
    reals, fakes = [output(0.9, 0.4), output(0.6, 0.7)], [output(0.1, 0.9), output(0.1, 0.9)]
    assert accuracies(reals, fakes) == {"disc_real_accuracy": 0.75, "disc_fake_accuracy": 0.5}


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 2.0), (1.0, 2.0)])
def test_the_gradient_to_the_wave_is_that_of_the_weighted_losses(weights):
    torch.manual_seed(0)
    discriminators = Discriminators(0.05).eval()  # eval: the spectral norm's estimate stands still
    real, fake = 0.1 * torch.randn(2, 2, 1, 4096)
    change = DiscriminatorAugment(6, 20, 0.5, (20, 30)).draw(real, torch.Generator().manual_seed(0))
    named = dict(zip(("loss_adv", "loss_fm"), weights, strict=True))
    metrics, losses, gradient = adversarial_losses(discriminators, real, fake.clone(), change, named)
    wave = fake.clone().requires_grad_()
    reals, fakes = (discriminators(change(x)) for x in (real, wave))
    adv, matching = generator_loss([s for s, _ in fakes]), feature_matching_loss(reals, fakes)
    assert losses == {"loss_adv": adv, "loss_fm": matching}
    (expected,) = torch.autograd.grad(weights[0] * adv + weights[1] * matching, wave)
    torch.testing.assert_close(gradient, expected)
    assert gradient.abs().sum() > 0 and not any(p.grad is not None for p in discriminators.parameters())
    metrics["loss_disc"].backward()
    assert all(p.grad is not None for p in discriminators.parameters())
