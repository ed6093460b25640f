"""The VAE's network: log1p mel [B, n_mels, T] ↔ latent sequence [B, latent_dim, ceil(T / stride)].

1-D convolutions over time with mel bands as channels: time stays in the latent, so any T decodes. All
normalisation is per frame (over channels only), so what a frame becomes never depends on how long the piece is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.errors import UserError, whole


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


class VAENetwork(nn.Module):
    """Encoder and decoder, each at two rates: mel frames (`fine_*`) and latent frames, `stride` times slower.

    Args:
        n_mels: mel bands.
        latent_dim: channels of the latent sequence.
        channels, blocks, expansion: width, depth and inner widening at the latent rate.
        fine_channels, fine_blocks: width and depth at the mel rate.
        stride: mel frames a latent frame; even.
        kernel_size: of the depthwise convolutions; odd.

    Raises:
        UserError: stride odd or kernel_size even.
    """

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
            whole(f"model.network.{key}", value, least, most)
        if stride % 2:
            raise UserError(f"model.network.stride={stride} must be an even number, 2 or more")
        if kernel_size % 2 == 0:
            raise UserError(f"model.network.kernel_size={kernel_size} must be odd")
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

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a mel of `frames` frames."""
        return -(-frames // self.stride)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log1p mel [B, n_mels, T] → mean and log variance of the posterior, each [B, latent_dim, ceil(T / stride)].

        T is filled up to whole latent frames by repeating the last frame.
        """
        missing = -x.shape[-1] % self.stride
        mean, log_variance = self.encoder(F.pad(x, (0, missing), mode="replicate")).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def decode(self, z: Tensor, frames: int) -> Tensor:
        """z [B, latent_dim, L] → log1p mel [B, n_mels, frames].

        Raises:
            ValueError: `frames` is more than L · stride.
        """
        if frames > z.shape[-1] * self.stride:
            raise ValueError(f"{z.shape[-1]} latent frames decode to at most {z.shape[-1] * self.stride}, not {frames}")
        return self.decoder(z)[..., :frames]
