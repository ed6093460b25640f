"""The harmonic vocoder: partials and noise read from the mel, shaped by a network at the frame rate.

A generator with inverse-STFT heads (after Siuzdak 2023, "Vocos", section 3): all its layers run once a frame, where
HiFi-GAN's last run once a sample, so it is several times faster to train and to play. A network that treats all frames
alike answers a steady mel with a wave that repeats every hop: steady tones would be multiples of the frame rate. So
frequencies are read from the mel itself, and phases are carried from frame to frame: see Partials.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.audio.mel import MelSpec, MelSpectrogram, magnitudes, to_log_clamp
from distillgan.compute import counted
from distillgan.errors import UserError, number, whole
from distillgan.models.vocoders.trained import Generator, TrainedVocoder


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
        """First, last frame whose windows reach the samples `first` to `last`; first, last sample that these reach.

        A window is zero at its first sample.
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


# Shifts and multipliers of a 32-bit mixer (Wellons 2018, "Prospecting for hash functions").
_MIXER = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1))
_WORD = 0xFFFFFFFF


def noise_phases(first: Tensor, frames: int, bins: int) -> Tensor:
    """Angles uniform in 0…2π, float32 [B, bins, frames], of the frames `first` [B] (int64) and on.

    Frame f, bin k are hashed to the angle: the same on every device, and a block that begins later has the same angles
    at the same frames.
    """
    if first.is_cpu and not torch.jit.is_tracing():
        # Five times as fast: NumPy's words of 32 bits wrap by themselves, and are written over.
        frame = (first.numpy()[:, None] + np.arange(frames)).astype(np.uint32)
        word = _mix_in_place(_mix_in_place(frame)[:, None] + np.arange(bins, dtype=np.uint32)[:, None])
        word >>= 8
        word = torch.from_numpy(word.astype(np.float32))
    else:
        frame = first[:, None] + torch.arange(frames, device=first.device)
        word = (_mix(_mix(frame)[:, None] + torch.arange(bins, device=first.device)[:, None]) >> 8).float()
    return word * (2 * math.pi / (1 << 24))


def _mix_in_place(word: np.ndarray) -> np.ndarray:
    """uint32 words → hashed words, the same memory."""
    spare = np.empty_like(word)
    for shift, multiplier in _MIXER:
        np.right_shift(word, shift, out=spare)
        word ^= spare
        word *= np.uint32(multiplier)
    return word


def _mix(word: Tensor) -> Tensor:
    """int64 words → hashed words; within 32 bits throughout, so that no product of two overflows."""
    word = word & _WORD
    for shift, multiplier in _MIXER:
        word = ((word ^ (word >> shift)) * multiplier) & _WORD
    return word


_LEAK = 0.05  # of a peak's own band, added to its neighbours: their ratio stays finite and is less shaken by noise
_GRID = 128  # intervals of the table of ratios
_TONES = 256  # that each band's row of the table is made of
_RATIO = math.log((1 + _LEAK) / _LEAK)  # the largest logarithm of that ratio at a peak
_LOBES = 32  # bins beyond which a tone is 130 dB down
_NEAR = 2  # bands on each side that a partial reaches into
_GOLDEN = 0.618034


def hann_lobe(distance: np.ndarray | Tensor):
    """The spectrum of a periodic Hann window over its value at 0, at distances in bins; signed (Harris 1978)."""
    sinc = torch.sinc if isinstance(distance, Tensor) else np.sinc
    return sinc(distance) + 0.5 * (sinc(distance - 1) + sinc(distance + 1))


class Partials(nn.Module):
    """Reads partials from log-clamp mels [B, num_mels, T]; nothing is learnt.

    A local maximum over the bands is a partial; each band belongs to the maximum that is reached by going uphill. The
    ratio of a maximum's neighbours gives the partial's place in the band, its level the amplitude: both by a table
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
        near = slice(max(0, int(edges[band]) - _LOBES), int(edges[band + 2]) + _LOBES)
        spectra = np.abs(hann_lobe(bins[near, None] - tones)) * n_fft / 4
        below, own, above = (
            bank[other, near] @ spectra if 0 <= other < bands else np.zeros(_TONES)
            for other in (band - 1, band, band + 1)
        )
        leak = _LEAK * own + 1e-12
        ratio = np.maximum.accumulate(np.log((above + leak) / (below + leak)) + 1e-9 * np.arange(_TONES))
        frequencies[band] = np.interp(grid, ratio, tones)
        levels[band] = np.interp(frequencies[band], tones, np.log(own + 1e-12))
    return frequencies, levels


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
        # A bin is turned as the bands that hold it are, each by its weight there.
        bank = self.mel.bank
        self.register_buffer("share", (bank / bank.sum(0).clamp(min=1e-9)).T.contiguous(), persistent=False)

    def forward(self, wave: Tensor, mel: Tensor, trust: Tensor, around: tuple[int, int] = (0, 0)) -> Tensor:
        """Towards log-clamp `mel` [B, n_mels, T], by the share `trust` (0…1, the same shape) of what is missing.

        around: frames before and after that are left out of a larger whole. The product with the filterbank rounds by
        where in the whole a frame lies.
        """
        spectra = self.mel.spectra(_reflected(wave[:, 0], self.mel.pad))
        found = counted(torch.matmul, self.mel.bank, F.pad(magnitudes(spectra).mT, (0, 0, *around)).mT)
        missing = mel - to_log_clamp(found[..., around[0] : found.shape[-1] - around[1]])
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


_KERNEL = 7
_QUICK = 4  # short windows in a long one
_MORE = 1.5  # nepers above the level that is read from the mel, at most
_LOUDEST = 10.0  # log magnitude far above that of any wave in -1…1, so that exp cannot overflow
_EVENLY = -0.3  # nepers: where each of two noises begins
_TRUSTED = 3.0  # logit of the trust in the mel, to begin with
_SMALL = 160  # frames, of which some products of matrices round by the number of threads
_DRAWS = 1 << 30  # frame numbers that the noise of a draw may begin at


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


class HarmonicGenerator(Generator):
    """Log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1.

    The wave begins as partials, whose frequencies and phases are read from the mel, and noise in windows as long as the
    mel's. In windows a quarter as long their sum is shaped, since it holds nothing quicker, and quick noise is added.
    The level of partials and noises is read from the mel; the network adds how much more or less of each there is at
    every frequency. The wave is then brought nearer to the mel, `projections` times, as far as the network trusts it.

    The noise is a function of the frame's number. 3.7 M parameters by default. `args` holds the arguments as plain
    types; those of the mel are the fields of MelSpec. Raises UserError if the arguments describe no network.
    """

    def __init__(
        self,
        num_mels: int = 128,
        channels: int = 256,
        expansion: int = 3,
        layers: int = 6,
        projections: int = 4,
        n_fft: int = 2048,
        hop_length: int = 512,
        sample_rate: int = 44100,
        f_min: float = 0.0,
        f_max: float = 22050.0,
    ):
        super().__init__()
        self.args = {
            "num_mels": whole("vocoder.generator.num_mels", num_mels, 3),
            "channels": whole("vocoder.generator.channels", channels, 1, 4096),
            "expansion": whole("vocoder.generator.expansion", expansion, 1, 16),
            "layers": whole("vocoder.generator.layers", layers, 1, 64),
            "projections": whole("vocoder.generator.projections", projections, 0, 16),
            "n_fft": whole("vocoder.generator.n_fft", n_fft, 64, 16384),
            "hop_length": whole("vocoder.generator.hop_length", hop_length, 16),
            "sample_rate": whole("vocoder.generator.sample_rate", sample_rate, 1),
            "f_min": number("vocoder.generator.f_min", f_min, 0),
            "f_max": number("vocoder.generator.f_max", f_max, 0),
        }
        if n_fft < 2 * hop_length or n_fft % hop_length or hop_length % (2 * _QUICK):
            raise UserError(
                f"vocoder.generator.n_fft={n_fft} must be a multiple, twice or more, of hop_length={hop_length}, and "
                f"that of {2 * _QUICK}: overlapping windows add up to the wave"
            )
        spec = MelSpec(sample_rate, n_fft, hop_length, num_mels, f_min, f_max)
        self.num_mels, self.hop_length, self.projections = num_mels, hop_length, projections
        self.partials, self.projection = Partials(spec), MelProjection(spec)
        self.long, self.quick = InverseSTFT(n_fft, hop_length), InverseSTFT(n_fft // _QUICK, hop_length // _QUICK)
        self.embed = nn.Conv1d(num_mels, channels, _KERNEL, padding=_KERNEL // 2)
        self.norm_in = nn.LayerNorm(channels, eps=1e-6)
        self.blocks = nn.ModuleList(ConvNeXtBlock(channels, expansion, 1 / layers) for _ in range(layers))
        self.norm_out = nn.LayerNorm(channels, eps=1e-6)
        bins, quick_bins = n_fft // 2 + 1, n_fft // _QUICK // 2 + 1
        self.sizes = (bins, bins, _QUICK * quick_bins, _QUICK * quick_bins, num_mels)
        self.head = nn.Linear(channels, sum(self.sizes))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            _, slow, quick, _, trust = self.head.bias.split(self.sizes)
            slow.fill_(_EVENLY)
            quick.fill_(_EVENLY)
            trust.fill_(_TRUSTED)

    def forward(self, mel: Tensor, phase: Tensor | None = None, first: Tensor | None = None) -> Tensor:
        """The wave of a block of a longer mel, or without `phase` and `first` of its beginning.

        `phase` [B, num_mels, T] is what `Partials.phases` gives for these frames, `first` [B] (int64) the number of the
        first of them.
        """
        first = torch.zeros(mel.shape[:1], dtype=torch.long, device=mel.device) if first is None else first
        return self._waves(mel, phase, [first])[0]

    def draws(self, mel: Tensor, random: torch.Generator) -> list[Tensor]:
        """Two waves of the same mel, of independent noise."""
        firsts = torch.randint(_DRAWS, (2, len(mel)), generator=random, device=mel.device)
        return self._waves(mel, None, list(firsts))

    def inner(self, mel: Tensor, phase: Tensor, first: Tensor, context: tuple[int, int]) -> Tensor:
        """`forward` without the wave of the first and last `context` frames.

        The wave of the context that only the network looks at, which is most of it, is not made.
        """
        reach = self.context_frames - _KERNEL // 2 * (1 + self.args["layers"])  # of the windows
        if mel.shape[-1] < _SMALL:
            reach = self.context_frames
        unmade = tuple(max(0, frames - reach) for frames in context)
        before, after = ((frames - less) * self.hop_length for frames, less in zip(context, unmade, strict=True))
        wave = self._waves(mel, phase, [first], unmade)[0]
        return wave[..., before : wave.shape[-1] - after].clone()

    def _waves(
        self, mel: Tensor, phase: Tensor | None, firsts: list[Tensor], unmade: tuple[int, int] = (0, 0)
    ) -> list[Tensor]:
        """The waves of all but the first and last `unmade` frames."""
        small = mel.shape[-1] < _SMALL
        changes = counted(self._changes, mel) if small else self._changes(mel)
        if phase is not None:
            changes = (*changes, phase)
        made = slice(unmade[0], mel.shape[-1] - unmade[1])
        mel, tone, slow, quick, shape, trust, *phases = (part[..., made] for part in (mel, *changes))
        partials = self._tones(mel, tone, *phases)
        level = self.partials.noise_levels(mel)
        slow = torch.exp((slow + level + _noise_gain(self.long)).clamp(max=_LOUDEST))
        # Short windows have every fourth bin, and there are four of them in a frame.
        quick = quick + level[:, ::_QUICK].repeat(1, _QUICK, 1) + _noise_gain(self.quick)
        quick, shape = (_in_turn(torch.exp(part.clamp(max=_LOUDEST))) for part in (quick, shape))
        waves = []
        for first in firsts:
            first = first + unmade[0]
            steady = self.quick.spectra(partials + self.long(_noise(slow, first)))
            wave = self.quick(steady * shape + _noise(quick, _QUICK * first + _DRAWS))
            for _ in range(self.projections):
                wave = self.projection(wave, mel, trust, unmade)
            waves.append(wave.clamp(-1, 1))
        return waves

    def _changes(self, mel: Tensor) -> tuple[Tensor, ...]:
        """The network's output: nepers more or less of partials, slow and quick noise, the shape; trust in the mel."""
        x = self.norm_in(self.embed(mel).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        # There are no complex numbers of half precision.
        output = self.head(self.norm_out(x.transpose(1, 2))).transpose(1, 2).float()
        *levels, trust = output.split(self.sizes, dim=1)
        return *counted(_at_most, levels), torch.sigmoid(trust)

    def _tones(self, mel: Tensor, change: Tensor, phase: Tensor | None = None) -> Tensor:
        """The partials' wave [B, 1, T * hop_length]: of each, the Hann window's lobe around its frequency."""
        peak, place, level = self.partials(mel)
        if phase is None:
            phase = self.partials.phases(peak, place)
        band = self.partials.band
        bins = torch.arange(len(band), device=mel.device)[:, None]
        lobe = hann_lobe(bins - place[:, band]) * (self.long.n_fft / 4)
        size = torch.exp((change + level[:, band]).clamp(max=_LOUDEST)) * lobe
        # The phase is that at the middle of the window, half a turn a bin after its beginning.
        turn = phase[:, band] * (2 * math.pi) + math.pi * (bins % 2)
        return self.long(torch.complex(size * torch.cos(turn), size * torch.sin(turn)))

    @property
    def context_frames(self) -> int:
        """Frames before or after frame t that its samples depend on, whichever is more.

        The samples of one frame are followed back through the windows to the network and its convolutions. The phases,
        which have their past in them, are given to a block.
        """
        first, last = 0, self.hop_length - 1
        for inverse in [self.long] * self.projections + [self.quick]:
            _, _, first, last = inverse.reach(first, last)
        before, after, _, _ = self.long.reach(first, last)
        return max(-before, after) + _KERNEL // 2 * (1 + self.args["layers"])


def _at_most(levels: list[Tensor]) -> list[Tensor]:
    """Levels in nepers, compressed so that none is more than _MORE."""
    return [_MORE - F.softplus(_MORE - level) for level in levels]


def _in_turn(x: Tensor) -> Tensor:
    """[B, _QUICK * bins, T], a frame's short windows beside each other → one after another, [B, bins, _QUICK * T]."""
    return x.unflatten(1, (_QUICK, -1)).permute(0, 2, 3, 1).flatten(2)


def _noise(size: Tensor, first: Tensor) -> Tensor:
    """Magnitudes [B, bins, T] → spectra of them at random phases."""
    return torch.polar(size, noise_phases(first, size.shape[-1], size.shape[1]).to(size.dtype))


def _noise_gain(inverse: InverseSTFT) -> float:
    """Log magnitude of the spectra that `inverse` makes noise of unit variance of.

    A frame's inverse transform has the variance magnitude² / n_fft; frames of independent phases are added under the
    window and divided by the sum of its squares, 3/8 of the overlap.
    """
    overlap = inverse.n_fft / inverse.hop_length
    return 0.5 * math.log(inverse.n_fft * overlap * 3 / 8)


class HarmonicVocoder(TrainedVocoder):
    """A HarmonicGenerator behind the mel → wave contract."""

    name = "harmonic"
    generator_type = HarmonicGenerator
    side_by_side = True

    @torch.no_grad()
    def carried(self, mel: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The phases of the partials of mel [B, n_mels, T], in cycles, the same shape.

        The state is (phase, frequency in bins) [B, n_mels] of the last frame's partials.
        """
        peak, place, _ = self.generator.partials(mel)
        phase = self.generator.partials.phases(peak, place, state)
        # Copies: parts of the whole would keep it in memory.
        return phase, (phase[..., -1].clone(), place[..., -1].clone())

    @torch.no_grad()
    def block(self, mel: Tensor, carried: Tensor, first: int) -> Tensor:
        return self.generator(mel, carried, torch.full(mel.shape[:1], first, device=mel.device))

    @torch.no_grad()
    def inner_block(self, mel: Tensor, carried: Tensor, first: int, context: tuple[int, int]) -> Tensor:
        return self.generator.inner(mel, carried, torch.full(mel.shape[:1], first, device=mel.device), context)
