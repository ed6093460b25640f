"""The VAE: its network, what it is trained on, and its errors.

The network's convolutions run over time, with mel bands as channels. All normalisation is per frame (over channels
only), so what a frame becomes never depends on how long the sound is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.errors import UserError, number, whole
from distillgan.models.base import LatentModel
from distillgan.models.plugins import VAE


class ResidualBlock(nn.Module):
    """ConvNeXt block in one dimension (Liu et al. 2022, section 2.6): [B, C, T] → [B, C, T]."""

    def __init__(self, channels: int, kernel_size: int, expansion: int):
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, channels * expansion)
        self.contract = nn.Linear(channels * expansion, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.depthwise(x).transpose(1, 2))
        h = self.contract(F.gelu(self.expand(h))) * self.scale
        return x + h.transpose(1, 2)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [B, C, T], each frame on its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def _blocks(count: int, channels: int, kernel_size: int, expansion: int) -> nn.Sequential:
    return nn.Sequential(*[ResidualBlock(channels, kernel_size, expansion) for _ in range(count)])


class VAENetwork(LatentModel):
    """Encoder and decoder, each at two rates: mel frames (`fine_*`) and latent frames, `stride` times slower.

    Args:
        n_mels: mel bands.
        latent_dim: channels of the latent sequence.
        channels, blocks, expansion: width, depth and inner widening at the latent rate.
        fine_channels, fine_blocks: width and depth at the mel rate.
        stride: mel frames a latent frame; even.
        kernel_size: of the depthwise convolutions; odd.

    Raises:
        UserError: stride odd, kernel_size even, or a value out of range.
    """

    name = VAE

    def __init__(
        self,
        n_mels: int,
        latent_dim: int,
        channels: int,
        blocks: int,
        expansion: int,
        fine_channels: int,
        fine_blocks: int,
        stride: int,
        kernel_size: int,
    ):
        super().__init__()
        for key, value, least, most in (
            ("latent_dim", latent_dim, 1, 1024),
            ("channels", channels, 1, 4096),
            ("blocks", blocks, 0, 64),
            ("expansion", expansion, 1, 16),
            ("fine_channels", fine_channels, 1, 4096),
            ("fine_blocks", fine_blocks, 0, 64),
            ("stride", stride, 2, 64),
            ("kernel_size", kernel_size, 1, 129),
        ):
            whole(key, value, least, most)
        if stride % 2:
            raise UserError(f"stride={stride} must be an even number, 2 or more")
        if kernel_size % 2 == 0:
            raise UserError(f"kernel_size={kernel_size} must be odd")
        self.latent_dim = latent_dim
        self.stride = stride
        self._reach = (blocks * (kernel_size // 2) + 1, fine_blocks * (kernel_size // 2) + 1)
        resample = {"kernel_size": 2 * stride, "stride": stride, "padding": stride // 2}
        self.encoder = nn.Sequential(
            nn.Conv1d(n_mels, fine_channels, 3, padding=1),
            _blocks(fine_blocks, fine_channels, kernel_size, 2),
            nn.Conv1d(fine_channels, channels, **resample),
            _blocks(blocks, channels, kernel_size, expansion),
            ChannelNorm(channels),
            nn.Conv1d(channels, 2 * latent_dim, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(latent_dim, channels, 3, padding=1),
            _blocks(blocks, channels, kernel_size, expansion),
            ChannelNorm(channels),
            nn.ConvTranspose1d(channels, fine_channels, **resample),
            _blocks(fine_blocks, fine_channels, kernel_size, 2),
            nn.Conv1d(fine_channels, n_mels, 3, padding=1),
        )

    @property
    def context_frames(self) -> int:
        """Latent frames before or after latent frame l that its mel frames depend on, whichever is more.

        What is enough to decode in blocks is enough to encode, where l reads the mel frames of no more latent frames.

        The stride frames of l, widened by the convolutions at the mel rate, are followed back through the transposed
        one: with kernel 2s, stride s and padding s/2, mel frame n reads latent frames ceil((n - 3s/2 + 1) / s) to
        floor((n + s/2) / s), as many on either side.
        """
        coarse, fine = self._reach
        return (fine + 3 * self.stride // 2 - 1) // self.stride + coarse

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior; T is filled up to whole latent frames by repeating the last frame."""
        missing = -x.shape[-1] % self.stride
        mean, log_variance = self.encoder(F.pad(x, (0, missing), mode="replicate")).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def decode(self, z: Tensor, frames: int) -> Tensor:
        if frames > z.shape[-1] * self.stride:
            raise ValueError(f"{z.shape[-1]} latent frames decode to at most {z.shape[-1] * self.stride}, not {frames}")
        return self.decoder(z)[..., :frames]


class ReconstructionLoss(nn.Module):
    """Mean absolute error of the log1p mels [B, n_mels, T], a scalar: proportional to dB above the silence knee.

    Of the bands [B, n_mels] that are `known`, where not all are: above a recording's band limit there is no target.
    """

    def forward(self, reconstruction: Tensor, target: Tensor, known: Tensor | None = None) -> Tensor:
        error = (reconstruction - target).abs()
        return error.mean() if known is None else error[known[..., None].expand_as(error)].mean()


class KLDivergence(nn.Module):
    """Divergence of the posterior from N(0, 1) in nats a latent frame (Kingma & Welling 2014, appendix B).

    Free bits (Kingma et al. 2016, appendix C.8): a dimension is not pressed below `free_bits` nats, which keeps it from
    collapsing. The weight rises linearly to `weight` over `warmup_steps`.
    """

    def __init__(self, weight: float, free_bits: float, warmup_steps: int):
        super().__init__()
        self.weight = number("weight", weight, 0)
        self.free_bits = number("free_bits", free_bits, 0)
        self.warmup_steps = whole("warmup_steps", warmup_steps, 0)

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
