"""The discriminators' one pass serves both networks."""

import pytest
import torch

from distillgan.models.vocoders.discriminators import Discriminators
from distillgan.models.vocoders.module import Adversary, DiscriminatorAugment, accuracies


def verdict(*scores: float) -> tuple[torch.Tensor, list]:
    return torch.tensor([scores]), []


def test_accuracies_are_the_shares_on_the_right_side():
    reals, fakes = [verdict(0.9, 0.4), verdict(0.6, 0.7)], [verdict(0.1, 0.9), verdict(0.1, 0.9)]
    assert accuracies(reals, fakes) == {"disc_real_accuracy": 0.75, "disc_fake_accuracy": 0.5}


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 2.0), (1.0, 2.0)])
def test_the_pull_is_the_gradient_of_the_weighted_losses(weights):
    torch.manual_seed(0)
    adversary = Adversary(Discriminators(0.05).eval(), *weights)  # eval: the spectral norm's estimate stands still
    real, fake = 0.1 * torch.randn(2, 2, 1, 4096)
    disguise = DiscriminatorAugment(6, 20, 0.5, (20, 30)).draw(real, torch.Generator().manual_seed(0))
    judged, losses, pull = adversary.judge(real, fake.clone(), disguise)
    wave = fake.clone().requires_grad_()
    reals, fakes = (adversary.discriminators(disguise(x)) for x in (real, wave))
    adv, matching = adversary.gan.generator([s for s, _ in fakes]), adversary.feature_matching(reals, fakes)
    assert losses == {"loss_adv": adv, "loss_fm": matching}
    (expected,) = torch.autograd.grad(weights[0] * adv + weights[1] * matching, wave)
    torch.testing.assert_close(pull, expected)
    assert pull.abs().sum() > 0 and not any(p.grad is not None for p in adversary.discriminators.parameters())
    judged["loss_disc"].backward()
    assert all(p.grad is not None for p in adversary.discriminators.parameters())
