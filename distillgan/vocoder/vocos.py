"""A generator at the frame rate with inverse-STFT heads (after Siuzdak 2023, "Vocos", section 3), and its vocoder.

All its layers run once a frame, where HiFi-GAN's last run once a sample: several times faster to train and to play.
Where Vocos lets the network guess each bin's phase, here partials carry their phase from frame to frame: see Partials.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.audio.mel import MelSpec
from distillgan.checks import number, whole
from distillgan.errors import UserError
from distillgan.parallel import counted
from distillgan.vocoder.inverse_stft import InverseSTFT
from distillgan.vocoder.noise import noise_phases
from distillgan.vocoder.partials import Partials, hann_lobe
from distillgan.vocoder.projection import MelProjection
from distillgan.vocoder.trained import TrainedVocoder

_KERNEL = 7
_QUICK = 4  # short windows in a long one
_MORE = 1.5  # nepers above the level that the mel tells, at most
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


class VocosGenerator(nn.Module):
    """Log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1.

    The wave begins as partials, whose frequencies and phases are read from the mel, and noise in windows as long as the
    mel's. In windows a quarter as long their sum is shaped, since it knows nothing quicker, and quick noise is added.
    Partials and noises are as loud as the mel itself tells; the network says how much more or less of each there is at
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
        """`phase` [B, num_mels, T] is what `Partials.phases` says of these frames, and `first` [B] (int64) the number

        of the first of them, where they are a block of a longer mel; without them they are its beginning.
        """
        first = torch.zeros(mel.shape[:1], dtype=torch.long, device=mel.device) if first is None else first
        return self._waves(mel, phase, [first])[0]

    def draws(self, mel: Tensor, random: torch.Generator) -> list[Tensor]:
        """Two waves of the same mel, of independent noise."""
        firsts = torch.randint(_DRAWS, (2, len(mel)), generator=random, device=mel.device)
        return self._waves(mel, None, list(firsts))

    def inner(self, mel: Tensor, phase: Tensor, first: Tensor, context: tuple[int, int]) -> Tensor:
        """As `forward`, of frames with so many frames of context before and after, whose wave is left out.

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
        """What the network says: nepers more or less of partials, slow and quick noise, the shape; trust in the mel."""
        x = self.norm_in(self.embed(mel).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        # There are no complex numbers of half precision.
        said = self.head(self.norm_out(x.transpose(1, 2))).transpose(1, 2).float()
        *levels, trust = said.split(self.sizes, dim=1)
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

    def add_weight_norm(self) -> None:
        """Nothing: layer norms keep the scale here."""

    def export_state(self) -> dict[str, Tensor]:
        """Weights for a model file: float32 on the CPU, no shared memory."""
        return {key: tensor.detach().float().cpu().clone() for key, tensor in self.state_dict().items()}


def _at_most(levels: list[Tensor]) -> list[Tensor]:
    """Levels in nepers, bent so that none is more than _MORE."""
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


class VocosVocoder(TrainedVocoder):
    """A VocosGenerator behind the mel → wave contract."""

    name = "vocos"
    generator_type = VocosGenerator
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
