"""The partials that a mel shows: how high and how loud each is, and its phase, carried from frame to frame.

A network that treats all frames alike answers a steady mel with a wave that repeats every hop: every steady tone would
be locked to a multiple of the frame rate. So frequencies are read from the mel itself and phases are their integral.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.audio.mel import MelSpec, MelSpectrogram

_LEAK = 0.05  # of a peak's own band, added to its neighbours: their ratio stays finite and is less shaken by noise
_GRID = 128  # intervals of the table of ratios
_TONES = 256  # that each band's row of the table is made of
_RATIO = math.log((1 + _LEAK) / _LEAK)  # the largest logarithm of that ratio at a peak
_LOBES = 32  # bins beyond which a tone is not heard: 130 dB down
_NEAR = 2  # bands on each side that a partial reaches into
_GOLDEN = 0.618034


def hann_lobe(distance: np.ndarray | Tensor):
    """The spectrum of a periodic Hann window over its value at 0, at distances in bins; signed (Harris 1978)."""
    sinc = torch.sinc if isinstance(distance, Tensor) else np.sinc
    return sinc(distance) + 0.5 * (sinc(distance - 1) + sinc(distance + 1))


class Partials(nn.Module):
    """Reads partials from log-clamp mels [B, num_mels, T]; nothing is learnt.

    A local maximum over the bands is a partial; each band belongs to the maximum that is reached by going uphill. The
    ratio of a maximum's neighbours says where in the band the partial lies, its level how loud it is: both by a table
    that is made from the filterbank and the window, exact for a lone steady sine. Phases follow Laroche and Dolson
    1999 ("Improved phase vocoder time-scale modification of audio", section 3): a partial goes on with the phase of the
    one that had its band in the frame before, advanced by the mean of both frequencies.
    """

    def __init__(self, spec: MelSpec):
        super().__init__()
        self.num_mels = spec.n_mels
        self.cycles = spec.hop_length / spec.n_fft  # that one bin advances in a frame
        # Real even where networks are built on the meta device: these are no weights, and are in no file.
        with torch.device("cpu"):
            bank = MelSpectrogram(spec).bank
            bins, levels = _table(bank.double().numpy(), spec.n_fft)
            centres = bank @ torch.arange(bank.shape[1]).float() / bank.sum(1)
            # A band's level when there is noise of unit variance: the mean magnitude of its spectrum is Rayleigh's.
            noise = torch.log(bank.sum(1) * math.sqrt(spec.n_fft * 3 / 8 * math.pi / 4))
            between = ((centres[1:] + centres[:-1]) / 2).contiguous()
            band = torch.searchsorted(between, torch.arange(bank.shape[1]).float())
            # No two begin alike: partials that begin together would else begin with a click.
            start = torch.arange(spec.n_mels) * _GOLDEN % 1
        buffers = {"bins": torch.from_numpy(bins).float(), "levels": torch.from_numpy(levels).float()}
        buffers |= {"band": band, "noise": noise[:, None], "start": start}
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    def noise_levels(self, mel: Tensor) -> Tensor:
        """Log-clamp mel [B, M, T] → log standard deviation [B, n_fft / 2 + 1, T] of white noise as loud, bin by bin.

        As loud as the quietest band near by: what stands out of its surroundings is a partial, and noise as loud as it
        would roughen it.
        """
        quietest = -F.max_pool1d(-mel.transpose(1, 2), 2 * _NEAR + 1, stride=1, padding=_NEAR).transpose(1, 2)
        return (quietest - self.noise)[:, self.band]

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-clamp mel [B, M, T] → of each band's partial: its band (int64), frequency in bins, log amplitude."""
        below = F.pad(mel[:, :-1], (0, 0, 1, 0), value=-math.inf)
        above = F.pad(mel[:, 1:], (0, 0, 0, 1), value=-math.inf)
        peak = self._uphill(mel, below, above)
        leak = mel + math.log(_LEAK)
        ratio = torch.logaddexp(above, leak) - torch.logaddexp(below, leak)
        place = ((ratio / _RATIO).clamp(-1, 1) + 1) * (_GRID / 2)
        cell = place.floor().clamp(max=_GRID - 1)
        bins, levels = (self._interpolated(table, cell.long(), place - cell) for table in (self.bins, self.levels))
        return peak, bins.gather(1, peak), (mel - levels).gather(1, peak)

    def phases(self, peak: Tensor, bins: Tensor, before: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The phase in cycles [B, M, T], in 0…1, of each band's partial at the middle of its frame.

        `before` is (phase, bins) [B, M] of the frame that came before, if there was one.
        """
        if before is None:
            phase = self.start.expand_as(bins[..., 0])
            earlier = torch.cat([bins[..., :1], bins[..., :-1]], -1)
        else:
            phase = before[0]
            earlier = torch.cat([before[1][..., None], bins[..., :-1]], -1)
        # phase[t] = phase[t - 1] at `source` + `advance`: such maps compose, all frames at once, by doubling.
        source, advance = peak, (bins + earlier.gather(1, peak)) * (self.cycles / 2) % 1
        if before is None:
            advance = F.pad(advance[..., 1:], (1, 0))
        # A trace would keep the number of doublings that its example took; a script counts them.
        composed = torch.jit.script(_composed) if torch.jit.is_tracing() else _composed
        source, advance = composed(source, advance)
        return (phase[..., None].expand_as(advance).gather(1, source) + advance) % 1

    def _uphill(self, mel: Tensor, below: Tensor, above: Tensor) -> Tensor:
        """The band of the maximum that each band leads up to."""
        step = torch.where((above > mel) & (above > below), 1, torch.where(below > mel, -1, 0))
        peak = torch.arange(mel.shape[1], device=mel.device)[None, :, None] + step
        for _ in range((self.num_mels - 1).bit_length()):
            peak = peak.gather(1, peak)
        return peak

    @staticmethod
    def _interpolated(table: Tensor, cell: Tensor, share: Tensor) -> Tensor:
        """Row b of `table` [M, _GRID + 1] at cell + share [B, M, T]."""
        rows = torch.arange(table.shape[0], device=table.device)[None, :, None]
        low, high = table[rows, cell], table[rows, cell + 1]
        return low + share * (high - low)


def _composed(source: Tensor, advance: Tensor) -> tuple[Tensor, Tensor]:
    """Maps of each frame to the one before it [B, M, T] → to the one before the first; advances modulo 1."""
    frames, shift = source.size(-1), 1
    identity = torch.arange(source.size(1), device=source.device)[None, :, None]
    while shift < frames:
        there = torch.cat([identity.expand(source.size(0), -1, shift), source[..., : frames - shift]], -1)
        moved = F.pad(advance[..., : frames - shift], (shift, 0))
        advance = (advance + moved.gather(1, source)) % 1
        source = there.gather(1, source)
        shift *= 2
    return source, advance


def _table(bank: np.ndarray, n_fft: int) -> tuple[np.ndarray, np.ndarray]:
    """Filterbank [M, n_fft / 2 + 1] → two tables [M, _GRID + 1], over the log ratio of a maximum's neighbours.

    They hold the frequency in bins of the steady sine that shows this ratio, and the log of its level in the band at
    amplitude 1.
    """
    bands = len(bank)
    bins = np.arange(bank.shape[1])
    grid = np.linspace(-_RATIO, _RATIO, _GRID + 1)
    centres = (bank * bins).sum(1) / bank.sum(1)
    edges = np.concatenate([[max(0.0, 2 * centres[0] - centres[1])], centres, [bins[-1]]])
    frequencies, levels = np.empty((bands, _GRID + 1)), np.empty((bands, _GRID + 1))
    for band in range(bands):
        tones = np.linspace(edges[band], edges[band + 2], _TONES)
        heard = slice(max(0, int(edges[band]) - _LOBES), int(edges[band + 2]) + _LOBES)
        spectra = np.abs(hann_lobe(bins[heard, None] - tones)) * n_fft / 4
        seen = np.zeros((3, _TONES))
        for place, other in enumerate((band - 1, band, band + 1)):
            if 0 <= other < bands:
                seen[place] = bank[other, heard] @ spectra
        leak = _LEAK * seen[1] + 1e-12
        ratio = np.maximum.accumulate(np.log((seen[2] + leak) / (seen[0] + leak)) + 1e-9 * np.arange(_TONES))
        frequencies[band] = np.interp(grid, ratio, tones)
        levels[band] = np.interp(frequencies[band], tones, np.log(seen[1] + 1e-12))
    return frequencies, levels
