"""A linear latent model: each latent frame is a weighted sum of its own mel frames, and nothing else."""

from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.models.base import LatentModel


class LinearModel(LatentModel):
    """log1p mel [B, n_mels, T] ↔ latent [B, latent_dim, ceil(T / stride)], by a convolution each way without overlap.

    Args:
        n_mels: mel bands.
        latent_dim: channels of the latent sequence.
        stride: mel frames a latent frame.
    """

    name = "linear"

    def __init__(self, n_mels: int, latent_dim: int, stride: int):
        super().__init__()
        self.latent_dim, self.stride, self.context_frames = latent_dim, stride, 0
        self.encoder = nn.Conv1d(n_mels, 2 * latent_dim, stride, stride)
        self.decoder = nn.ConvTranspose1d(latent_dim, n_mels, stride, stride)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.pad(x, (0, -x.shape[-1] % self.stride), mode="replicate")
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def decode(self, z: Tensor, frames: int) -> Tensor:
        if frames > z.shape[-1] * self.stride:
            raise ValueError(f"{z.shape[-1]} latent frames decode to at most {z.shape[-1] * self.stride}, not {frames}")
        return self.decoder(z)[..., :frames]
