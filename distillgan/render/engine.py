"""A model in memory and what it plays: (model, seed, duration) → wave, a pure function; knows nothing of Lightning."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, MelSpectrogram, log1p_to_log_clamp, to_log1p
from distillgan.checks import number
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.trajectory import draw_trajectory
from distillgan.modelfile import Header, read_model
from distillgan.vae.network import VAENetwork
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.checkpoint import check_tensors
from distillgan.vocoder.own import load_own

Progress = Callable[[int, int], None]

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
        state = {name.removeprefix("vae."): tensor for name, tensor in tensors.items() if name.startswith("vae.")}
        check_tensors(state, network.state_dict(), f"{path}: the VAE")
        network.load_state_dict(state, assign=True)
        vocoder = None
        if header.vocoder is not None:
            try:
                vocoder = load_own(header.vocoder, tensors, header.mel).to(device)
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
        corpus = CorpusLatents.from_tensors(tensors, network.latent_dim, str(path))
        return cls(header, network.to(device).eval().requires_grad_(False), corpus, vocoder)


@torch.inference_mode()
def render(model: Model, vocoder: Vocoder, seconds: float, seed: int, progress: Progress | None = None) -> np.ndarray:
    """New sound from the model: float32 [1, N] at the model's rate, N = seconds · rate, in -1…1.

    Raises:
        UserError: `seconds` is out of range, or the vocoder's mel is not the model's.
    """
    number("duration", seconds, MIN_SECONDS, MAX_SECONDS)
    samples = round(seconds * model.spec.sample_rate)
    frames = -(-samples // model.spec.hop_length)
    z = draw_trajectory(model.corpus, model.network.latent_frames(frames), seed)
    return _play(model, vocoder, z, samples, progress)


@torch.inference_mode()
def reconstruct(model: Model, vocoder: Vocoder, clip: AudioClip, progress: Progress | None = None) -> np.ndarray:
    """A recording through the VAE (its posterior's mean) and the vocoder: float32 [1, N], as long and loud as it is.

    Raises:
        UserError: the recording is too long or at another rate, or the vocoder's mel is not the model's.
    """
    spec = model.spec
    if clip.sample_rate != spec.sample_rate:
        raise UserError(f"{clip.name} has {clip.sample_rate} Hz, model {model.header.name} {spec.sample_rate} Hz")
    check_length(clip)
    mel = MelSpectrogram(spec).to(next(model.network.parameters()).device)
    z = encode(model.network, to_log1p(mel.of_long(clip.read, clip.length), spec))
    return _play(model, vocoder, z, clip.length, progress) / np.float32(clip.gain)


def check_length(clip: AudioClip) -> None:
    """Raises UserError if the recording is too long to be reconstructed."""
    seconds = clip.length / clip.sample_rate
    if seconds > MAX_SECONDS:
        raise UserError(f"source={clip.name} lasts {seconds:.0f} s: at most {MAX_SECONDS:.0f} s can be reconstructed")


def _play(model: Model, vocoder: Vocoder, z: Tensor, samples: int, progress: Progress | None) -> np.ndarray:
    """Latent sequence z [D, L] → wave [1, samples]; `progress` is told of samples done and in all."""
    model.spec.require(vocoder.spec, f"model {model.header.name}", "the vocoder")
    frames = -(-samples // model.spec.hop_length)
    mel = log1p_to_log_clamp(decode(model.network, z, frames), model.spec)
    wave, done = np.empty((1, frames * model.spec.hop_length), np.float32), 0
    for block in vocoder.iterate(mel):
        count = block.shape[-1]
        wave[:, done : done + count] = block.cpu().numpy()[0]
        done += count
        if progress is not None:
            progress(min(done, samples), samples)
    return wave[:, :samples]


def encode(network: VAENetwork, x: Tensor) -> Tensor:
    """log1p mel x [n_mels, T] → the posterior's mean [D, ceil(T / stride)], in blocks that equal the whole."""
    context, stride, frames = network.context_frames, network.stride, x.shape[-1]
    parts = []
    for start in range(0, network.latent_frames(frames), _BLOCK):
        left = max(0, start - context)
        mean, _ = network.encode(x[None, :, left * stride : (start + _BLOCK + context) * stride])
        parts.append(mean[0, :, start - left :][:, :_BLOCK].cpu())
    return torch.cat(parts, -1)


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
