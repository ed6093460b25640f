"""A model in memory and what it plays: (model, seed, duration) → wave, a pure function; knows nothing of Lightning."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, log1p_to_log_clamp
from distillgan.errors import UserError
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.trajectory import draw_trajectory
from distillgan.modelfile import Header, read_model
from distillgan.vae.network import VAENetwork
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.hifigan import HiFiGANVocoder

MIN_SECONDS, MAX_SECONDS = 0.1, 3600.0
_BLOCK = 256  # latent frames decoded at once, 24 s
_CONTEXT = 16  # latent frames each side that reach into a block: 9 by the decoder's convolutions


@dataclass(frozen=True)
class Model:
    """A `.distillgan` file, ready to play. `vocoder` is the model's own, or None if it has none."""

    header: Header
    network: VAENetwork
    corpus: CorpusLatents
    vocoder: Vocoder | None

    @property
    def spec(self) -> MelSpec:
        return self.header.mel

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "Model":
        """Raises UserError if the file is not a whole, untampered model."""
        header, tensors = read_model(path)
        network = VAENetwork(**header.vae)
        network.load_state_dict(_part(tensors, "vae."))
        vocoder = None
        if header.vocoder is not None:
            vocoder = HiFiGANVocoder.from_state(header.vocoder["generator"], _part(tensors, "vocoder."), header.mel)
            vocoder = vocoder.to(device).eval()
        corpus = CorpusLatents.from_tensors(tensors)
        return cls(header, network.to(device).eval().requires_grad_(False), corpus, vocoder)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.inference_mode()
def render(model: Model, vocoder: Vocoder, seconds: float, seed: int) -> np.ndarray:
    """New sound from the model: float32 [1, N] at the model's rate, N = seconds · rate, in -1…1.

    Raises:
        UserError: `seconds` is out of range, or the vocoder's mel is not the model's.
    """
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise UserError(f"duration={seconds:g} must be between {MIN_SECONDS:g} and {MAX_SECONDS:g} seconds")
    model.spec.require(vocoder.spec, f"model {model.header.name}", "the vocoder")
    samples = round(seconds * model.spec.sample_rate)
    frames = -(-samples // model.spec.hop_length)
    z = draw_trajectory(model.corpus, model.network.latent_frames(frames), seed)
    wave = vocoder.render(log1p_to_log_clamp(decode(model.network, z, frames), model.spec))
    return wave.cpu().numpy().reshape(1, -1)[:, :samples]


def decode(network: VAENetwork, z: Tensor, frames: int) -> Tensor:
    """Latent sequence z [D, L] → log1p mel [1, n_mels, frames], in blocks that equal the whole."""
    device = next(network.parameters()).device
    parts = []
    for start in range(0, z.shape[-1], _BLOCK):
        left = max(0, start - _CONTEXT)
        block = z[None, :, left : start + _BLOCK + _CONTEXT].to(device)
        mel = network.decode(block, block.shape[-1] * network.stride)
        parts.append(mel[..., (start - left) * network.stride :][..., : _BLOCK * network.stride].cpu())
    return torch.cat(parts, -1)[..., :frames]
