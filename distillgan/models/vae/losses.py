"""What the VAE is trained on and measured by."""

import torch
from torch import Tensor, nn

from distillgan.errors import number, whole


class ReconstructionLoss(nn.Module):
    """Mean absolute error of the log1p mels [B, n_mels, T], a scalar: proportional to dB above the silence knee.

    Of the bands [B, n_mels] that are `told`, where not all are: what a recording does not tell of is no target.
    """

    def forward(self, reconstruction: Tensor, target: Tensor, told: Tensor | None = None) -> Tensor:
        error = (reconstruction - target).abs()
        return error.mean() if told is None else error[told[..., None].expand_as(error)].mean()


class KLDivergence(nn.Module):
    """Divergence of the posterior from N(0, 1) in nats a latent frame (Kingma & Welling 2014, appendix B).

    Free bits (Kingma et al. 2016, appendix C.8): a dimension is not pressed below `free_bits` nats, which keeps it from
    collapsing. The weight rises linearly to `weight` over `warmup_steps`.
    """

    def __init__(self, weight: float, free_bits: float, warmup_steps: int):
        super().__init__()
        self.weight = number("model.module.kl.weight", weight, 0)
        self.free_bits = number("model.module.kl.free_bits", free_bits, 0)
        self.warmup_steps = whole("model.module.kl.warmup_steps", warmup_steps, 0)

    def weight_at(self, step: int) -> float:
        return self.weight * min(1.0, (step + 1) / max(1, self.warmup_steps))

    @staticmethod
    def per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
        """Posterior mean and log variance [B, D, L] → nats a frame of each dimension [D]."""
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=(0, 2))

    def forward(self, per_dimension: Tensor) -> Tensor:
        """Nats a frame of each dimension [D] → the pressed total, a scalar."""
        return per_dimension.clamp(min=self.free_bits).sum()


def active_dimensions(per_dimension: Tensor, threshold: float = 0.05) -> int:
    """How many latent dimensions carry more than `threshold` nats a frame; per_dimension [D]."""
    return int((per_dimension > threshold).sum())


def mel_error_db(mel: Tensor, reconstruction: Tensor, floor_db: float = 60.0) -> float:
    """Mean absolute error in dB of a clip's linear mels [n_mels, T], both floored `floor_db` under the clip's peak."""
    floor = mel.max() * 10 ** (-floor_db / 20)
    decibels = [20 * torch.log10(torch.maximum(m, floor)) for m in (mel, reconstruction)]
    return float((decibels[0] - decibels[1]).abs().mean())
