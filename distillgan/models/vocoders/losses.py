"""The vocoder's losses: of mels, of scores and of features; and the windows that they are taken on."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.audio.mel import LOG_FLOOR, MelSpec, MelSpectrogram, slaney_filters, to_log_clamp
from distillgan.models.vocoders.discriminators import DiscriminatorOutput


def random_windows(mel: Tensor, wave: Tensor, hop: int, size: int, edge: int, chance: Tensor) -> tuple[Tensor, Tensor]:
    """mel [B, n_mels, T] and wave [B, 1, N ≥ T * hop] → [B, n_mels, size] and [B, 1, size * hop], a window an item.

    `chance` [B] in 0…1 is where each lies. The `edge` frames at either end, which saw the padding, are left out if
    there are others.
    """
    items, _, frames = mel.shape
    edge = min(edge, (frames - size) // 2)
    starts = edge + (chance * (frames - size - 2 * edge + 1)).long()
    window = starts[:, None] + torch.arange(size, device=mel.device)
    rows = torch.arange(items, device=mel.device)[:, None]
    target = wave[:, 0, : frames * hop].unflatten(-1, (frames, hop))[rows, window]
    return mel.transpose(1, 2)[rows, window].transpose(1, 2).contiguous(), target.reshape(items, 1, -1)


_QUIET = 0.1  # of a mel's norm: below it, silence, a missed rest counts no more


def generator_loss(fake: Sequence[Tensor]) -> Tensor:
    """Σ mean (D(fake) - 1)² over the scores [B, K] of all sub-discriminators.

    LSGAN (Mao et al. 2017, as in HiFi-GAN, equations 1 and 2): real is 1, fake is 0.
    """
    return sum((score - 1).square().mean() for score in fake)


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Σ mean (D(real) - 1)² + mean D(fake)² over the scores [B, K] of all sub-discriminators (LSGAN)."""
    return sum((r - 1).square().mean() + f.square().mean() for r, f in zip(real, fake, strict=True))


def feature_matching_loss(real: Sequence[DiscriminatorOutput], fake: Sequence[DiscriminatorOutput]) -> Tensor:
    """Mean absolute difference of features, summed over layers and sub-discriminators (HiFi-GAN, equation 4).

    The raw score counts as the last layer, as in the authors' program. Real features are targets: no gradient.
    """
    return sum(
        F.l1_loss(f, r.detach())
        for (_, real_features), (_, fake_features) in zip(real, fake, strict=True)
        for r, f in zip(real_features, fake_features, strict=True)
    )


def energy_score(distance: Callable[[Tensor, Tensor], Tensor], draws: Sequence[Tensor], real: Tensor) -> Tensor:
    """Mean distance of the draws to `real`, less half the distance between the draws if there are two.

    The part of the energy distance that a generator can change (Gritsenko et al. 2020, "A spectral energy distance for
    parallel speech synthesis", equation 4). Without the second term the best answer to noise is something smoother and
    quieter than noise; with it, noise. `draws` are one, of a deterministic generator, or two independent ones.
    """
    score = sum(distance(draw, real) for draw in draws) / len(draws)
    return score if len(draws) == 1 else score - distance(*draws) / 2


class MelL1(nn.Module):
    """Mean absolute difference of log-clamp mels in nepers, with the package's mel (HiFi-GAN, equation 3)."""

    def __init__(self, spec: MelSpec):
        super().__init__()
        self.mel = MelSpectrogram(spec)

    def forward(self, draws: Sequence[Tensor], real: Tensor) -> Tensor:
        """Waves [B, 1, N] → the scalar energy score; the gradient flows to the draws only."""
        with torch.no_grad():
            target = to_log_clamp(self.mel(real))
        return energy_score(F.l1_loss, [to_log_clamp(self.mel(draw)) for draw in draws], target)


class _Scale(nn.Module):
    """Magnitude mel of one window length: wave [B, N] → [B, n_mels, 1 + N // hop], hop a quarter of the window."""

    def __init__(self, sample_rate: int, n_fft: int, n_mels: int):
        super().__init__()
        self.n_fft = n_fft
        bank = slaney_filters(n_fft // 2 + 1, n_mels, sample_rate, 0.0, sample_rate / 2)
        if not bank.any(dim=1).all():
            raise ValueError(f"n_mels={n_mels} are too many for n_fft={n_fft}: some bands would be empty")
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        spectrum = torch.stft(
            wave, self.n_fft, self.n_fft // 4, window=self.window, center=True, pad_mode="reflect", return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return self.bank @ torch.sqrt(power + LOG_FLOOR**2)


class MultiScaleMelLoss(nn.Module):
    """Mean absolute difference of log mels in nepers, averaged over window lengths.

    Short windows see attacks, long ones pitch (Kumar et al. 2023, "High-fidelity audio compression with improved
    RVQGAN", section 3.4; BigVGAN-v2 uses the same). With the mean over seven scales and natural logarithms a weight of
    45 is their 15 on the sum of base-10 logarithms.

    Raises ValueError if the lists differ in length or a filterbank has empty bands.
    """

    def __init__(self, sample_rate: int, n_ffts: Sequence[int], n_mels: Sequence[int]):
        super().__init__()
        self.scales = nn.ModuleList(_Scale(sample_rate, *pair) for pair in zip(n_ffts, n_mels, strict=True))

    def forward(self, draws: Sequence[Tensor], real: Tensor) -> Tensor:
        """Waves [B, 1, N] → the scalar energy score; the gradient flows to the draws only.

        N must exceed half the longest window.
        """
        return self.with_convergence(draws, real)[0]

    def with_convergence(self, draws: Sequence[Tensor], real: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and that of the spectral convergence ‖real - fake‖ / ‖real‖ of the linear mels, averaged likewise.

        It weighs what is loud, where the logarithms weigh every band alike and would let a lone tone go (Arık et al.
        2018, "Fast spectrogram inversion using multi-head convolutional neural networks", section 3.1).
        """
        logs, convergences = [], []
        for scale in self.scales:
            made, true = [scale(draw.squeeze(1)) for draw in draws], scale(real.detach().squeeze(1))
            whole = true.flatten(1).norm(dim=1).clamp(min=_QUIET)

            def missed(a: Tensor, b: Tensor, whole: Tensor = whole) -> Tensor:
                return ((a - b).flatten(1).norm(dim=1) / whole).mean()

            convergences.append(energy_score(missed, made, true))
            made, true = [torch.log(mel.clamp(min=LOG_FLOOR)) for mel in made], torch.log(true.clamp(min=LOG_FLOOR))
            logs.append(energy_score(F.l1_loss, made, true))
        return sum(logs) / len(logs), sum(convergences) / len(convergences)
