"""What every vocoder shares: the mel → wave contract, and block-wise rendering."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.backends import cudnn

from distillgan.audio.mel import MelSpec


class Vocoder(nn.Module, ABC):
    """Log-clamp mel [B, n_mels, T] → wave [B, 1, T * hop_length] in -1…1, at `spec.sample_rate`.

    A subclass implements `forward` for a whole mel and states `context_frames`: how many frames on each side of a
    block make the block's samples equal those of the whole. It is for inference only: no gradients, eval mode.
    """

    def __init__(self, spec: MelSpec, context_frames: int):
        super().__init__()
        self.spec = spec
        self.context_frames = context_frames

    @abstractmethod
    def forward(self, mel: Tensor) -> Tensor:
        """Log-clamp mel [B, n_mels, T] → wave [B, 1, T * hop_length]."""

    def carried(self, mel: Tensor) -> Tensor | None:
        """What the frames of mel [B, n_mels, T] owe to all frames before them, [B, C, T]; None if nothing."""
        return None

    def block(self, mel: Tensor, carried: Tensor | None, first: int) -> Tensor:
        """As `forward`, for the frames from number `first` on of a longer mel; `carried` is of these frames."""
        return self(mel)

    @torch.no_grad()
    def iterate(self, mel: Tensor, block_frames: int = 256) -> Iterator[Tensor]:
        """The wave of mel [B, n_mels, T], in order, in blocks [B, 1, block_frames * hop_length] (the last shorter).

        The mel may lie on another device than the vocoder; the wave is on the vocoder's.
        Each block is rendered with `context_frames` more frames on each side, so the blocks joined equal
        `self(mel)`; memory depends on the block, not on T.

        Raises ValueError if block_frames is below 1.
        """
        if block_frames < 1:
            raise ValueError(f"block_frames={block_frames} must be at least 1")
        frames, hop = mel.shape[-1], self.spec.hop_length
        device, carried = next(self.parameters()).device, self.carried(mel)
        for start in range(0, frames, block_frames):
            end = min(start + block_frames, frames)
            # At the true ends no context is made up: the network pads there exactly as it does for the whole.
            left = max(start - self.context_frames, 0)
            right = min(end + self.context_frames, frames)
            # By itself CUDA rounds convolutions to 10 bits (TF32), and may add in another order each time.
            with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                past = None if carried is None else carried[..., left:right].to(device)
                wave = self.block(mel[..., left:right].to(device), past, left)
            yield wave[..., (start - left) * hop : (end - left) * hop].clone()

    def render(self, mel: Tensor, block_frames: int = 256) -> Tensor:
        """Mel [B, n_mels, T] → wave [B, 1, T * hop_length], rendered by `iterate`."""
        return torch.cat(list(self.iterate(mel, block_frames)), dim=-1)
