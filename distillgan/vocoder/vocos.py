"""A generator at the frame rate with an inverse-STFT head (Siuzdak 2023, "Vocos", section 3), and its vocoder.

All its layers run once a frame, where HiFi-GAN's last run once a sample: several times faster to train and to play.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.checks import whole
from distillgan.errors import UserError
from distillgan.vocoder.trained import TrainedVocoder

_KERNEL = 7
_LOUDEST = 100.0  # a magnitude far above that of any wave in -1…1, so that exp cannot overflow


class ConvNeXtBlock(nn.Module):
    """[B, C, T] → [B, C, T] (Liu et al. 2022, section 2.6, in one dimension; the paper's layer scale of 1 / depth)."""

    def __init__(self, channels: int, expansion: int, scale: float):
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, _KERNEL, padding=_KERNEL // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, channels * expansion)
        self.contract = nn.Linear(channels * expansion, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.depthwise(x).transpose(1, 2))
        h = self.contract(F.gelu(self.expand(h))) * self.scale
        return x + h.transpose(1, 2)


class InverseSTFT(nn.Module):
    """Spectra [B, n_fft / 2 + 1, T] → wave [B, 1, T * hop_length], frame t centred as the mel's frame t is.

    Overlapping frames are added under the window and divided by the sum of its squares (Griffin and Lim 1984,
    equation 6); what reaches beyond the T frames is cut off.
    """

    def __init__(self, n_fft: int, hop_length: int):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length

    def forward(self, spectra: Tensor) -> Tensor:
        window = torch.hann_window(self.n_fft, device=spectra.device)[:, None]
        frames = torch.fft.irfft(spectra, self.n_fft, dim=1) * window
        weights = window.square().expand(-1, frames.shape[-1])
        cut = (self.n_fft - self.hop_length) // 2
        wave, weight = (self._added(x)[..., cut:-cut] for x in (frames, weights[None]))
        return wave / weight

    def _added(self, frames: Tensor) -> Tensor:
        """Frames [B, n_fft, T] laid over one another: [B, 1, (T - 1) * hop_length + n_fft]."""
        parts = frames.unflatten(1, (-1, self.hop_length)).unbind(1)
        # A hop's worth of every frame at a time: part p of frame t lies in hop t + p.
        wave = sum(F.pad(part, (place, len(parts) - 1 - place)) for place, part in enumerate(parts))
        return wave.transpose(1, 2).flatten(1)[:, None]


class VocosGenerator(nn.Module):
    """Log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1.

    8.3 M parameters by default. `args` holds the arguments as plain types.
    Raises UserError if the arguments describe no network.
    """

    def __init__(
        self,
        num_mels: int = 128,
        channels: int = 384,
        expansion: int = 3,
        layers: int = 8,
        n_fft: int = 2048,
        hop_length: int = 512,
    ):
        super().__init__()
        self.args = {
            "num_mels": whole("vocoder.generator.num_mels", num_mels, 1),
            "channels": whole("vocoder.generator.channels", channels, 1, 4096),
            "expansion": whole("vocoder.generator.expansion", expansion, 1, 16),
            "layers": whole("vocoder.generator.layers", layers, 1, 64),
            "n_fft": whole("vocoder.generator.n_fft", n_fft, 4, 16384),
            "hop_length": whole("vocoder.generator.hop_length", hop_length, 1),
        }
        if n_fft < 2 * hop_length or n_fft % hop_length or n_fft % 2 or hop_length % 2:
            raise UserError(
                f"vocoder.generator.n_fft={n_fft} must be a multiple, twice or more, of an even "
                f"hop_length={hop_length}: overlapping windows add up to the wave"
            )
        self.num_mels, self.hop_length = num_mels, hop_length
        self.embed = nn.Conv1d(num_mels, channels, _KERNEL, padding=_KERNEL // 2)
        self.norm_in = nn.LayerNorm(channels, eps=1e-6)
        self.blocks = nn.ModuleList(ConvNeXtBlock(channels, expansion, 1 / layers) for _ in range(layers))
        self.norm_out = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, n_fft + 2)
        self.istft = InverseSTFT(n_fft, hop_length)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.norm_in(self.embed(mel).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        magnitude, phase = self.head(self.norm_out(x.transpose(1, 2))).transpose(1, 2).chunk(2, dim=1)
        # There are no complex numbers of half precision.
        spectra = torch.polar(torch.exp(magnitude.float().clamp(max=math.log(_LOUDEST))), phase.float())
        return self.istft(spectra).clamp(-1, 1)

    @property
    def context_frames(self) -> int:
        """Frames before or after frame t that its samples depend on: the convolutions', and the overlapping windows'.

        The window of frame f covers the samples from f · hop - (n_fft - hop) / 2 on; the samples of frame t end at
        (t + 1) · hop - 1. The other side is its mirror image.
        """
        overlap = (self.hop_length - 1 + (self.args["n_fft"] - self.hop_length) // 2) // self.hop_length
        return _KERNEL // 2 * (1 + self.args["layers"]) + overlap

    def add_weight_norm(self) -> None:
        """Nothing: layer norms keep the scale here."""

    def export_state(self) -> dict[str, Tensor]:
        """Weights for a model file: float32 on the CPU, no shared memory."""
        return {key: tensor.detach().float().cpu().clone() for key, tensor in self.state_dict().items()}


class VocosVocoder(TrainedVocoder):
    """A VocosGenerator behind the mel → wave contract."""

    name = "vocos"
    generator_type = VocosGenerator
