"""Is what is drawn as loud as the corpus? Levels of decoded draws, to tell a usable latent space from a broken one."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, from_log1p
from distillgan.latent.controls import Controls
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.trajectory import Material, Path, draw
from distillgan.vae.network import VAENetwork

_FRAMES = 512  # latent frames of each draw, 48 s
_SEEDS = range(4)


@dataclass(frozen=True)
class Levels:
    """Levels in dB of decoded latent frames: the corpus's 1st and 99th percentile, and shares of drawn frames within.

    `walked` are draws around the corpus as `generate` makes them, `normal` independent frames from a normal
    distribution with the corpus's mean and covariance.
    """

    low_db: float
    high_db: float
    walked: float
    normal: float


@torch.inference_mode()
def drawn_levels(network: VAENetwork, corpus: CorpusLatents, spec: MelSpec) -> Levels:
    """Decode the corpus's latents and draws from them, and compare their levels."""
    own = np.concatenate([_levels_db(network, corpus.piece(number).T, spec) for number in range(corpus.pieces)])
    low, high = np.percentile(own, (1, 99))

    def share_within(draws: list[Tensor]) -> float:
        levels = np.concatenate([_levels_db(network, z, spec) for z in draws])
        return float(np.mean((levels >= low) & (levels <= high)))

    material = Material(corpus, None, spec.frame_rate, network.stride)
    drawn = [draw(material, Controls(), _FRAMES * network.stride, seed, Path("chunk")) for seed in _SEEDS]
    walks = [torch.from_numpy(trajectory.layers[0].z) for trajectory in drawn]
    mean, covariance = corpus.z.mean(0).numpy(), np.atleast_2d(np.cov(corpus.z.numpy().T))
    rng = np.random.default_rng(0)
    normal = [torch.from_numpy(rng.multivariate_normal(mean, covariance, _FRAMES).T.astype(np.float32)) for _ in _SEEDS]
    return Levels(float(low), float(high), share_within(walks), share_within(normal))


def _levels_db(network: VAENetwork, z: Tensor, spec: MelSpec) -> np.ndarray:
    """z [D, L] → level of each decoded latent frame in dB, [L]: root mean square over its bands and mel frames."""
    device = next(network.parameters()).device
    mel = from_log1p(network.decode(z[None].to(device), z.shape[-1] * network.stride), spec)[0]
    power = mel.square().mean(0).reshape(-1, network.stride).mean(1)
    return (10 * torch.log10(power + 1e-12)).cpu().numpy()
