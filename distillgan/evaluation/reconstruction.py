"""Reconstruction of recordings, known to the model and held out, and the levels of what is drawn from its latent."""

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from rich.table import Table
from rich.text import Text
from torch import Tensor

from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec, MelSpectrogram, from_log1p, lowest_hertz, to_log1p
from distillgan.control.latents import CorpusLatents
from distillgan.control.sliders import Controls
from distillgan.control.trajectory import Material, SamplingStrategy, draw
from distillgan.data.cache import AudioClip
from distillgan.models.base import LatentModel
from distillgan.models.vae.network import KLDivergence, active_dimensions, mel_error_db
from distillgan.synthesis.renderer import Model

_FRAMES = 512  # latent frames of each draw, 48 s
_SEEDS = range(4)
TRAINING, HELD_OUT = "training", "held out"
_MEL_FRAMES = 4096  # 48 s of mel at once


@dataclass(frozen=True)
class Levels:
    """The 1st and 99th percentile of the corpus's levels in dB, and the shares of drawn latent frames between them.

    walked: of draws as `generate` makes them; normal: of independent frames with the corpus's mean and covariance.
    """

    low_db: float
    high_db: float
    walked: float
    normal: float


@torch.inference_mode()
def drawn_levels(network: LatentModel, corpus: CorpusLatents, spec: MelSpec) -> Levels:
    """Levels of the decoded corpus, and of draws from it."""
    own = np.concatenate([_levels_db(network, corpus.chunk(number).T, spec) for number in range(corpus.chunks)])
    low, high = np.percentile(own, (1, 99))

    def share_within(draws: list[Tensor]) -> float:
        levels = np.concatenate([_levels_db(network, z, spec) for z in draws])
        return float(np.mean((levels >= low) & (levels <= high)))

    material = Material(corpus, None, spec.frame_rate, network.stride)
    drawn = [draw(material, Controls(), _FRAMES * network.stride, seed, SamplingStrategy("chunk")) for seed in _SEEDS]
    walks = [torch.from_numpy(trajectory.layers[0].z) for trajectory in drawn]
    mean, covariance = corpus.z.mean(0).numpy(), np.atleast_2d(np.cov(corpus.z.numpy().T))
    rng = np.random.default_rng(0)
    normal = [torch.from_numpy(rng.multivariate_normal(mean, covariance, _FRAMES).T.astype(np.float32)) for _ in _SEEDS]
    return Levels(float(low), float(high), share_within(walks), share_within(normal))


def _levels_db(network: LatentModel, z: Tensor, spec: MelSpec) -> np.ndarray:
    """Level in dB of each decoded latent frame of z [D, L], [L]: root mean square over its bands and mel frames."""
    device = next(network.parameters()).device
    mel = from_log1p(network.decode(z[None].to(device), z.shape[-1] * network.stride), spec)[0]
    power = mel.square().mean(0).reshape(-1, network.stride).mean(1)
    return (10 * torch.log10(power + 1e-12)).cpu().numpy()


@dataclass(frozen=True)
class Score:
    """The error of one file and that of the corpus's constant spectrum, in dB, and its number of mel frames."""

    path: str
    part: str
    error_db: float
    constant_db: float
    frames: int


def reconstruction(
    model: Model, clips: list[AudioClip], known: list[bool], floor_db: float, device: torch.device
) -> dict:
    """The error of every clip; `known` says of each whether the model was trained on it.

    The error is the mean absolute difference of the mels in dB, both floored `floor_db` under the clip's peak, in the
    bands up to the clip's `band_limit_hz`. Beside it stands that of one constant spectrum for all (the mean of the
    clips' medians), which a model of nothing but the average would have.
    """
    mel = MelSpectrogram(model.spec).to(device)
    constant = torch.stack([(20 * torch.log10(_mel_of(mel, clip))).median(-1).values for clip in clips]).mean(0)
    scores, nats = [], []
    for clip, trained in zip(clips, known, strict=True):
        score, per_dimension = _score(model, mel, clip, floor_db, trained, constant)
        scores.append(score)
        nats.append(per_dimension)
    per_dimension = torch.stack(nats).mean(0)
    return {
        "model": model.header.name,
        "fingerprint": model.header.fingerprint,
        "floor_db": floor_db,
        "parts": {part: _summary([s for s in scores if s.part == part]) for part in (TRAINING, HELD_OUT)},
        "kl_nats_per_frame": float(per_dimension.sum()),
        "active_dimensions": active_dimensions(per_dimension),
        "latent_dim": model.network.latent_dim,
        "drawn_levels": asdict(drawn_levels(model.network, model.corpus, model.spec)),
        "files": [asdict(score) for score in scores],
    }


@torch.inference_mode()
def _mel_of(mel: MelSpectrogram, clip: AudioClip) -> torch.Tensor:
    """Linear mel [n_mels, T] of the whole clip."""
    return mel.of_long(clip.read, clip.length, _MEL_FRAMES)


@torch.inference_mode()
def _score(
    model: Model, mel: MelSpectrogram, clip: AudioClip, floor_db: float, known: bool, constant: torch.Tensor
) -> tuple[Score, torch.Tensor]:
    true = _mel_of(mel, clip)
    decoded, nats = [], []
    for block in true.split(_MEL_FRAMES, dim=-1):
        mean, log_variance = model.network.encode(to_log1p(block[None], model.spec))
        decoded.append(from_log1p(model.network.decode(mean, block.shape[-1]), model.spec)[0])
        nats.append(KLDivergence.per_dimension(mean, log_variance))
    bands = (lowest_hertz(model.spec) < (clip.band_limit_hz or math.inf)).to(true.device)
    score = Score(
        clip.name,
        TRAINING if known else HELD_OUT,
        mel_error_db(true[bands], torch.cat(decoded, -1)[bands], floor_db),
        mel_error_db(true[bands], (10 ** (constant / 20))[:, None].expand_as(true)[bands], floor_db),
        true.shape[-1],
    )
    return score, torch.stack(nats).mean(0).cpu()


def _summary(scores: list[Score]) -> dict | None:
    """Means over the files, and over all their frames together."""
    if not scores:
        return None
    frames = sum(score.frames for score in scores)
    return {
        "files": len(scores),
        "error_db": sum(s.error_db for s in scores) / len(scores),
        "error_db_by_frames": sum(s.error_db * s.frames for s in scores) / frames,
        "constant_db": sum(s.constant_db for s in scores) / len(scores),
    }


def table(result: dict) -> Table:
    """A table of the errors, a row a file, and their means."""
    shown = Table(
        title=f"{result['model']}: reconstruction error, floor {result['floor_db']:g} dB under each peak",
        title_justify="left",
        caption=f"{result['active_dimensions']} of {result['latent_dim']} dimensions active, "
        f"{result['kl_nats_per_frame']:.1f} nats a frame",
        caption_justify="left",
    )
    shown.add_column("file", overflow="fold")
    shown.add_column("part")
    shown.add_column("error dB", justify="right")
    shown.add_column("constant spectrum dB", justify="right")
    for file in result["files"]:
        errors = f"{file['error_db']:.2f}", f"{file['constant_db']:.2f}"
        shown.add_row(Text(printable(file["path"])), file["part"], *errors)
    for part, means in result["parts"].items():
        if means is not None:
            shown.add_section()
            words = f"mean of {means['files']} files (by frames {means['error_db_by_frames']:.2f})"
            shown.add_row(words, part, f"{means['error_db']:.2f}", f"{means['constant_db']:.2f}", style="bold")
    return shown
