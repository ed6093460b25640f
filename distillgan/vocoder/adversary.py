"""What the discriminators say of a real and a fake wave, in one pass from which both networks learn."""

from collections.abc import Sequence

import torch
from torch import Tensor

from distillgan.vocoder.discriminators import Discriminators, Verdict
from distillgan.vocoder.disguise import Disguise
from distillgan.vocoder.losses import FeatureMatching, LeastSquaresGAN


class Adversary:
    """Discriminators and the two losses that the generator has from them, weighted."""

    def __init__(self, discriminators: Discriminators, weight_adv: float, weight_fm: float):
        self.discriminators = discriminators
        self.weight_adv, self.weight_fm = weight_adv, weight_fm
        self.gan, self.feature_matching = LeastSquaresGAN(), FeatureMatching()

    def judge(self, real: Tensor, fake: Tensor, disguise: Disguise) -> tuple[dict, dict, Tensor]:
        """Waves [B, 1, N] → values to log, "loss_disc" among them with its graph; the generator's "loss_adv" and

        "loss_fm", without; and the gradient [B, 1, N] of these two's weighted sum at `fake`.

        The textbook judges once more after the discriminators' step, which costs as much again; here the generator
        learns from discriminators that are one step younger.
        """
        heard = fake.requires_grad_()
        reals, fakes = self.discriminators(disguise(real)), self.discriminators(disguise(heard))
        real_scores, fake_scores = _scores(reals), _scores(fakes)
        adv, matching = self.gan.generator(fake_scores), self.feature_matching(reals, fakes)
        # With respect to the wave alone: none of the discriminators' own gradients, half of the work, is made.
        total = self.weight_adv * adv + self.weight_fm * matching
        (pull,) = torch.autograd.grad(total, heard, retain_graph=True)
        judged = {"loss_disc": self.gan.discriminator(real_scores, fake_scores), **accuracies(reals, fakes)}
        return judged, {"loss_adv": adv.detach(), "loss_fm": matching.detach()}, pull


def accuracies(reals: Sequence[Verdict], fakes: Sequence[Verdict]) -> dict[str, Tensor]:
    """The shares of scores on the right side of 0.5, which lies between fake and real; the mean of all discriminators.

    On what was trained on far above those on held-out sounds: the discriminators have learnt the corpus by heart.
    """
    return {
        "disc_real_accuracy": sum((score > 0.5).float().mean() for score in _scores(reals)) / len(reals),
        "disc_fake_accuracy": sum((score < 0.5).float().mean() for score in _scores(fakes)) / len(fakes),
    }


def _scores(verdicts: Sequence[Verdict]) -> list[Tensor]:
    """At 32 bits, whatever precision they were found at."""
    return [score.float() for score, _ in verdicts]
