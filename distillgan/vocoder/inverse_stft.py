"""Spectra laid over one another: the inverse of the mel's own short-time Fourier transform, and that transform."""

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
        weights = window.square().expand(-1, frames.shape[-1])
        cut = (self.n_fft - self.hop_length) // 2
        wave, weight = (self._added(x)[..., cut:-cut] for x in (frames, weights[None]))
        return wave / weight

    def reach(self, first: int, last: int) -> tuple[int, int, int, int]:
        """First and last frame whose windows reach the samples `first` to `last`, then first and last sample that the

        windows of these frames reach. A window is zero at its first sample.
        """
        beyond = (self.n_fft - self.hop_length) // 2
        before = -((self.n_fft - beyond - 1 - first) // self.hop_length)
        after = (last + beyond - 1) // self.hop_length
        start, end = before * self.hop_length - beyond + 1, after * self.hop_length + self.n_fft - beyond - 1
        return before, after, start, end

    def _added(self, frames: Tensor) -> Tensor:
        """Frames [B, n_fft, T] laid over one another: [B, 1, (T - 1) * hop_length + n_fft]."""
        parts = frames.unflatten(1, (-1, self.hop_length)).unbind(1)
        # A hop's worth of every frame at a time: part p of frame t lies in hop t + p.
        wave = sum(F.pad(part, (place, len(parts) - 1 - place)) for place, part in enumerate(parts))
        return wave.transpose(1, 2).flatten(1)[:, None]
