"""A wave brought nearer to the mel that it is to have."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.audio.mel import MelSpec, MelSpectrogram, magnitudes, to_log_clamp
from distillgan.parallel import counted
from distillgan.vocoder.inverse_stft import InverseSTFT

_BEYOND = 1.4  # times what is missing: repeated, it is nearer in fewer steps (as in Perraudin et al. 2013)
_STEP = 2.0  # nepers a band may be turned up or down by at once


class MelProjection(nn.Module):
    """Wave [B, 1, T * hop_length] → wave of the same size whose mel is nearer to a given one.

    Whole bands are turned up or down, by what their level in the mel lacks; phases, and all that is finer than a band,
    are kept. Repeated, it converges. Differentiable.
    """

    def __init__(self, spec: MelSpec):
        super().__init__()
        with torch.device("cpu"):  # real even where networks are built on the meta device: these are no weights
            self.mel = MelSpectrogram(spec)
        self.inverse = InverseSTFT(spec.n_fft, spec.hop_length)
        # A bin is turned as the bands that hear it are, each by how well it does.
        bank = self.mel.bank
        self.register_buffer("share", (bank / bank.sum(0).clamp(min=1e-9)).T.contiguous(), persistent=False)

    def forward(self, wave: Tensor, mel: Tensor, trust: Tensor, around: tuple[int, int] = (0, 0)) -> Tensor:
        """Towards log-clamp `mel` [B, n_mels, T], by the share `trust` (0…1, the same shape) of what is missing.

        around: frames before and after that are left out of a larger whole. The product with the filterbank rounds by
        where in the whole a frame lies.
        """
        spectra = self.mel.spectra(_reflected(wave[:, 0], self.mel.pad))
        heard = counted(torch.matmul, self.mel.bank, F.pad(magnitudes(spectra).mT, (0, 0, *around)).mT)
        missing = mel - to_log_clamp(heard[..., around[0] : heard.shape[-1] - around[1]])
        # Frame after frame, as the spectra lie.
        turn = ((_BEYOND * trust * missing).clamp(-_STEP, _STEP).mT @ self.share.T).mT
        return self.inverse(spectra * torch.exp(turn))


def _reflected(wave: Tensor, pad: int) -> Tensor:
    """Wave [B, N] mirrored at both ends, as the mel pads it, but for waves shorter than the padding, too."""
    if wave.shape[-1] > pad and not torch.jit.is_tracing():
        return F.pad(wave[:, None], (pad, pad), mode="reflect")[:, 0]
    last = wave.shape[-1] - 1
    place = torch.arange(-pad, wave.shape[-1] + pad, device=wave.device) % (2 * last)
    return wave[:, torch.where(place > last, 2 * last - place, place)]
