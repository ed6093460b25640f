"""Small model files made by hand: random networks, latents that are known, and sliders that are said to work."""

from pathlib import Path

import numpy as np
import torch

from distillgan.audio.mel import MelSpec
from distillgan.control.latents import CorpusLatents, Segments
from distillgan.control.sliders import PERCENTILES, POSITIONS, Analysis, Axes
from distillgan.features.descriptors import NAMES
from distillgan.models.header import Header
from distillgan.models.modelfile import write_model
from distillgan.models.vae.network import VAENetwork
from distillgan.models.vocoders.hifigan import HiFiGANGenerator, HiFiGANVocoder

RATE = 44100
CPU = torch.device("cpu")
NETWORK = {
    "n_mels": 128,
    "latent_dim": 4,
    "channels": 16,
    "blocks": 1,
    "expansion": 2,
    "fine_channels": 16,
    "fine_blocks": 1,
    "stride": 8,
    "kernel_size": 7,
}
STAGE = {"steps": 1, "seconds": 1.0, "date": "2025-01-02T03:04:05+00:00"}
CORPUS = {"fingerprint": "0", "minutes": 1.0, "files": 2, "train": [], "held_out": []}
STARTS = [0, 40, 90]
# A corpus of no recordings: means and standard deviations of what its segments are said to be like.
MEANS = np.array([10.0, -10.0, -15.0, 0.03, 1.0, 0.3, 2.0, -5.0])
SPREAD = np.array([0.8, 4.0, 4.0, 0.01, 0.4, 0.15, 0.8, 0.6])


def analysis_of(corpus: CorpusLatents, active: tuple[str, ...], halves: tuple[str, ...] = ()) -> Analysis:
    """Sliders that move what they say, by ±2 standard deviations; those in `halves` only above 0; others nothing."""
    segments, rng = len(Segments.of(corpus)), np.random.default_rng(7)
    values = rng.standard_normal((segments, len(NAMES)))
    values = MEANS + SPREAD * (values - values.mean(0)) / values.std(0)
    response = np.broadcast_to(MEANS, (len(NAMES), len(POSITIONS), len(NAMES))).copy()
    for name in (*active, *halves):
        number = NAMES.index(name)
        moved = np.linspace(-2, 2, len(POSITIONS)) if name in active else np.array([1.0, 0, 0, 1, 2])
        response[number, :, number] += SPREAD[number] * moved
    directions = np.zeros((len(NAMES), corpus.z.shape[1]))
    directions[0, 0] = 3.0  # brightness
    return Analysis(
        values=values,
        known=np.ones(len(NAMES)),
        percentiles=np.percentile(values, PERCENTILES, axis=0).T,
        directions=directions,
        delivered=np.zeros(len(NAMES)),
        response=response,
        axes=Axes(np.zeros(corpus.z.shape[1]), np.eye(corpus.z.shape[1])[:2], np.array([3.0, 2.0])),
    )


def header_and_tensors(
    name: str = "rain",
    seed: int = 0,
    stride: int = 8,
    own: bool = True,
    sliders: tuple[str, ...] | None = None,
    halves: tuple[str, ...] = (),
    source_lufs: float | None = None,
) -> tuple[Header, dict[str, torch.Tensor]]:
    """A model with or without a vocoder of its `own`, and an analysis unless `sliders` is None."""
    torch.manual_seed(seed)
    network = VAENetwork(**{**NETWORK, "stride": stride}).requires_grad_(False)
    network.decoder[-1].weight *= 8  # by itself it decodes near silence, and hardly listens to z
    network.decoder[-1].bias += 4
    tensors = {f"vae.{key}": tensor for key, tensor in network.state_dict().items()}
    vocoder = None
    if own:
        generator = loud_generator()
        vocoder = {"name": "hifigan", "generator": generator.args}
        tensors |= {f"vocoder.{key}": tensor for key, tensor in generator.export_state().items()}
    corpus = CorpusLatents((torch.randn(STARTS[-1], 4) * 3).half().float(), torch.tensor(STARTS))
    tensors |= corpus.to_tensors()
    if sliders is not None:
        tensors |= analysis_of(corpus, sliders, halves).to_tensors()
    header = Header(
        name=name,
        mel=MelSpec(),
        vae={**NETWORK, "stride": stride},
        vocoder=vocoder,
        corpus={**CORPUS, "source_lufs": source_lufs},
        training={"vae": STAGE, "vocoder": STAGE if own else None},
    )
    return header, tensors


def loud_generator(channels: int = 32) -> HiFiGANGenerator:
    generator = HiFiGANGenerator(
        upsample_initial_channel=channels, resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1, 3),)
    )
    for parameter in generator.parameters():
        parameter.data *= 1.5  # at its initial scale it is nearly silent, and twice that clips
    return generator


def loud_vocoder(seed: int = 0) -> HiFiGANVocoder:
    torch.manual_seed(seed)
    return HiFiGANVocoder(loud_generator(), MelSpec()).eval().requires_grad_(False)


def write_crafted(folder: Path, name: str, **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.distillgan"
    write_model(path, *header_and_tensors(name, **options))
    return path


def write_small(folder: Path, name: str, seed: int = 0, **header) -> Path:
    """The smallest model file, of other weights for each `seed`: to be listed, copied and named, not to be played."""
    corpus = {"fingerprint": f"recordings {seed}", "minutes": 1.0 + seed, "files": 2}
    fields = {"corpus": corpus, "training": {"vae": {**STAGE, "error_db": 3.0 - seed}, "vocoder": None}, **header}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.distillgan"
    tensors = {"vae.weight": torch.arange(150_000) + seed, "vae.none": torch.empty(0, 3)}
    if fields.get("vocoder"):
        tensors["vocoder.weight"] = torch.ones(2)
    write_model(path, Header(**{"name": name, "mel": MelSpec(), "vae": {"latent_dim": 4}, **fields}), tensors)
    return path
