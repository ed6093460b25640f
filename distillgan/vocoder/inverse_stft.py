"""Spectra laid over one another: the inverse of the mel's own short-time Fourier transform, and that transform."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InverseSTFT(nn.Module):
    """Spectra [B, n_fft / 2 + 1, T] → wave [B, 1, T * hop_length], frame t centred as the mel's frame t is.

    Overlapping frames are added under the window and divided by the sum of its squares (Griffin and Lim 1984,
    equation 6); what reaches beyond the T frames is cut off.
    """

    def __init__(self, n_fft: int, hop_length: int):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length

    def spectra(self, wave: Tensor) -> Tensor:
        """Wave [B, 1, T * hop_length] → the spectra [B, n_fft / 2 + 1, T] that it is the inverse of.

        Silence is before and after it.
        """
        beyond = (self.n_fft - self.hop_length) // 2
        window = torch.hann_window(self.n_fft, device=wave.device, dtype=wave.dtype)
        padded = F.pad(wave[:, 0], (beyond, beyond))
        return torch.stft(padded, self.n_fft, self.hop_length, window=window, center=False, return_complex=True)

    def forward(self, spectra: Tensor) -> Tensor:
        window = torch.hann_window(self.n_fft, device=spectra.device)[:, None]
        frames = torch.fft.irfft(spectra, self.n_fft, dim=1) * window
        # A trace would keep the weights of its example's length.
        weights = _weights.__wrapped__ if torch.jit.is_tracing() else _weights
        weight = weights(self.n_fft, self.hop_length, frames.shape[-1], frames.device)
        return _added(frames, self.hop_length) / weight

    def reach(self, first: int, last: int) -> tuple[int, int, int, int]:
        """First and last frame whose windows reach the samples `first` to `last`, then first and last sample that the

        windows of these frames reach. A window is zero at its first sample.
        """
        beyond = (self.n_fft - self.hop_length) // 2
        before = -((self.n_fft - beyond - 1 - first) // self.hop_length)
        after = (last + beyond - 1) // self.hop_length
        start, end = before * self.hop_length - beyond + 1, after * self.hop_length + self.n_fft - beyond - 1
        return before, after, start, end


def _added(frames: Tensor, hop: int) -> Tensor:
    """Frames [B, n_fft, T] laid over one another, without what reaches beyond them: [B, 1, T * hop]."""
    parts = frames.unflatten(1, (-1, hop)).unbind(1)
    cut = (frames.shape[1] - hop) // 2
    # A hop's worth of every frame at a time: part p of frame t lies in hop t + p.
    if torch.jit.is_tracing() or (torch.is_grad_enabled() and frames.requires_grad):
        wave = sum(F.pad(part, (place, len(parts) - 1 - place)) for place, part in enumerate(parts)).transpose(1, 2)
    else:  # the same sums, without copies
        count = frames.shape[-1]
        wave = frames.new_zeros(len(frames), count + len(parts) - 1, hop)
        for place, part in enumerate(parts):
            wave[:, place : place + count] += part.transpose(1, 2)
    return wave.flatten(1)[:, None, cut:-cut]


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # made once for inference and training alike
def _weights(n_fft: int, hop: int, frames: int, device: torch.device) -> Tensor:
    """The sum of the windows' squares under each sample [1, 1, frames * hop]."""
    return _added(torch.hann_window(n_fft, device=device).square()[None, :, None].expand(-1, -1, frames), hop)
