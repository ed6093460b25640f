"""A model in memory and what it plays: (model, seed, duration) → wave, a pure function; knows nothing of Lightning."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, log1p_to_log_clamp
from distillgan.checks import number
from distillgan.errors import UserError
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.trajectory import draw_trajectory
from distillgan.modelfile import Header, read_model
from distillgan.vae.network import VAENetwork
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.checkpoint import check_tensors
from distillgan.vocoder.hifigan import HiFiGANVocoder

MIN_SECONDS, MAX_SECONDS = 0.1, 600.0
_BLOCK = 256  # latent frames decoded at once, 24 s


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
        """Raises UserError, naming the file, if it is not a whole, untampered model whose parts fit together."""
        header, tensors = read_model(path)
        try:
            with torch.device("meta"):  # nothing is allocated before its sizes are known to be those of the tensors
                network = VAENetwork(**header.vae)
        except (UserError, TypeError, ValueError, RuntimeError) as error:  # torch's own words for impossible sizes
            raise UserError(f"{path}: its header describes no VAE that this version knows: {error}") from error
        state = _part(tensors, "vae.")
        check_tensors(state, network.state_dict(), f"{path}: the VAE")
        network.load_state_dict(state, assign=True)
        vocoder = None
        if header.vocoder is not None:
            if header.vocoder["name"] != "hifigan":
                raise UserError(f"{path}: its vocoder {header.vocoder['name']!r} is none that this version knows")
            arguments, state = header.vocoder["generator"], _part(tensors, "vocoder.")
            try:
                vocoder = HiFiGANVocoder.from_state(arguments, state, header.mel).to(device)
            except (UserError, RuntimeError) as error:  # torch's own words for impossible sizes
                raise UserError(f"{path}: {error}") from error
        corpus = CorpusLatents.from_tensors(tensors, network.latent_dim, str(path))
        return cls(header, network.to(device).eval().requires_grad_(False), corpus, vocoder)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.inference_mode()
def render(model: Model, vocoder: Vocoder, seconds: float, seed: int) -> np.ndarray:
    """New sound from the model: float32 [1, N] at the model's rate, N = seconds · rate, in -1…1.

    Raises:
        UserError: `seconds` is out of range, or the vocoder's mel is not the model's.
    """
    number("duration", seconds, MIN_SECONDS, MAX_SECONDS)
    model.spec.require(vocoder.spec, f"model {model.header.name}", "the vocoder")
    samples = round(seconds * model.spec.sample_rate)
    frames = -(-samples // model.spec.hop_length)
    z = draw_trajectory(model.corpus, model.network.latent_frames(frames), seed)
    wave = vocoder.render(log1p_to_log_clamp(decode(model.network, z, frames), model.spec))
    return wave.cpu().numpy().reshape(1, -1)[:, :samples]


def decode(network: VAENetwork, z: Tensor, frames: int) -> Tensor:
    """Latent sequence z [D, L] → log1p mel [1, n_mels, frames], in blocks that equal the whole."""
    device, context = next(network.parameters()).device, network.context_frames
    parts = []
    for start in range(0, z.shape[-1], _BLOCK):
        left = max(0, start - context)
        block = z[None, :, left : start + _BLOCK + context].to(device)
        mel = network.decode(block, block.shape[-1] * network.stride)
        parts.append(mel[..., (start - left) * network.stride :][..., : _BLOCK * network.stride].cpu())
    return torch.cat(parts, -1)[..., :frames]
