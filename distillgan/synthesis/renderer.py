"""A model in memory and what it plays: (model, controls, seed, duration) → wave, a pure function, block by block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.filters import band_limited
from distillgan.audio.mel import MelSpec, MelSpectrogram, silent_above, to_log1p
from distillgan.compute import limited, memory_in_words
from distillgan.control.latents import CorpusLatents, Segments
from distillgan.control.sliders import Analysis, Controls
from distillgan.control.trajectory import Layer, Material, SamplingStrategy, draw, encode, mel_blocks, offsets, shaped
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError, number
from distillgan.models.base import LatentModel, Vocoder
from distillgan.models.modelfile import Header, load_latent_model, read_model
from distillgan.models.vocoders.registry import load_own

MIN_SECONDS, MAX_SECONDS = 0.1, 24 * 3600.0
_VOCODER_FRAMES = 256  # mel frames that a vocoder plays at once, 3 s
_LESS_MEMORY = "Close what else uses it, or take device=cpu, or vocoder=universal, which needs little"


@dataclass(frozen=True)
class Model:
    """A `.distillgan` file, ready to play. `vocoder` is the model's own, or None if it has none."""

    header: Header
    network: LatentModel
    material: Material
    vocoder: Vocoder | None

    @property
    def spec(self) -> MelSpec:
        return self.header.mel

    @property
    def band_limit_hz(self) -> float:
        """Above it none of its recordings holds anything, and nothing is made; 0 if there is no such limit."""
        return self.header.band_limit_hz

    @property
    def corpus(self) -> CorpusLatents:
        return self.material.corpus

    @property
    def analysis(self) -> Analysis | None:
        return self.material.analysis

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "Model":
        """Raises UserError, naming the file, if it is not a whole, untampered model whose parts fit together."""
        header, tensors = read_model(path)
        network = load_latent_model(header, tensors, path)
        vocoder = None
        if header.vocoder is not None:
            try:
                vocoder = load_own(header.vocoder, tensors, header.mel).to(device)
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
        corpus = CorpusLatents.from_tensors(tensors, network.latent_dim, str(path))
        analysis = Analysis.from_tensors(tensors, network.latent_dim, len(Segments.of(corpus)), str(path))
        material = Material(corpus, analysis, header.mel.frame_rate, network.stride)
        return cls(header, network.to(device), material, vocoder)


def rendered_mels(
    model: Model, controls: Controls, frames: int, seed: int, strategy: SamplingStrategy, second: bool = False
) -> Iterator[Tensor]:
    """New sound as a mel: log-clamp blocks [1, n_mels, t], `frames` frames in all; `second` as of `draw`."""
    mels = mel_blocks(model.network, model.spec, draw(model.material, controls, frames, seed, strategy, second))
    return _within(model, mels)


def _within(model: Model, mels: Iterable[Tensor]) -> Iterator[Tensor]:
    """Silence above the limit of the model's recordings, where they have one."""
    return (silent_above(mel, model.spec, model.band_limit_hz) if model.band_limit_hz else mel for mel in mels)


@memory_in_words("reconstructing", _LESS_MEMORY)
@torch.inference_mode()
def encoded(model: Model, clip: AudioClip) -> np.ndarray:
    """A recording as the VAE hears it: its posterior's mean, float32 [D, L].

    Raises UserError if the recording is too long or at another rate.
    """
    spec = model.spec
    if clip.sample_rate != spec.sample_rate:
        raise UserError(f"{clip.name} has {clip.sample_rate} Hz, model {model.header.name} {spec.sample_rate} Hz")
    check_length(clip)
    mel = MelSpectrogram(spec).to(next(model.network.parameters()).device)
    return encode(model.network, to_log1p(mel.of_long(clip.read, clip.length), spec)).numpy()


def decoded_mels(
    model: Model, z: np.ndarray, controls: Controls | None = None, frames: int | None = None
) -> Iterator[Tensor]:
    """A latent sequence [D, L] as a mel, moved by the controls; blocks as `rendered_mels`, `frames` in all (L's own).

    Controls of timbre and axes move it as they move the corpus; those of time lay their gates and tails over it.
    """
    controls = controls or Controls()
    frames = z.shape[1] * model.network.stride if frames is None else frames
    z = (z + offsets(model.material, controls, z.shape[1], whole=True)).astype(np.float32)
    rng = np.random.default_rng(0)
    trajectory = shaped([Layer(z, None)], model.material, controls, frames, rng)
    return _within(model, mel_blocks(model.network, model.spec, trajectory))


def reconstructed_mels(model: Model, clip: AudioClip, controls: Controls) -> Iterator[Tensor]:
    """A recording as the VAE hears it, moved by the controls as by `decoded_mels`. Raises UserError as `encoded`."""
    return decoded_mels(model, encoded(model, clip), controls, -(-clip.length // model.spec.hop_length))


def check_length(clip: AudioClip) -> None:
    """Raises UserError if the recording is too long to be reconstructed."""
    seconds, most = clip.length / clip.sample_rate, 3600
    if seconds > most:
        raise UserError(f"recording={clip.name} lasts {seconds:.0f} s: at most {most} s can be reconstructed")


def play(vocoder: Vocoder, mels: Iterable[Tensor], samples: int, limit: float = 0.0) -> Iterator[np.ndarray]:
    """Mel blocks → wave blocks float32 [1, n], `samples` in all, in -1…1, in constant memory.

    limit: Hz, above which nothing is to be heard, whatever the vocoder makes there; 0 for none. Raises UserError if
    memory runs out.
    """
    blocks = _played(vocoder, mels, samples)
    if not limit:
        return blocks
    # In blocks of the vocoder's size again: waves of models with and without a limit are mixed block by block.
    return band_limited(blocks, vocoder.spec.sample_rate, limit, _VOCODER_FRAMES * vocoder.spec.hop_length)


@torch.inference_mode()
def _played(vocoder: Vocoder, mels: Iterable[Tensor], samples: int) -> Iterator[np.ndarray]:
    left = samples
    with memory_in_words("rendering", _LESS_MEMORY):
        for wave in vocoder.stream(part for mel in mels for part in mel.split(_VOCODER_FRAMES, dim=-1)):
            block = wave[0].cpu().numpy()[:, :left]
            left -= block.shape[1]
            if block.shape[1]:
                yield block


def samples_of(seconds: float, spec: MelSpec) -> tuple[int, int]:
    """A duration in seconds → samples, and mel frames that hold them. Raises UserError if it is out of range."""
    number("duration", seconds, MIN_SECONDS, MAX_SECONDS)
    samples = round(seconds * spec.sample_rate)
    return samples, -(-samples // spec.hop_length)


def render_blocks(
    model: Model,
    vocoder: Vocoder,
    seconds: float,
    seed: int,
    controls: Controls | None = None,
    strategy: SamplingStrategy | None = None,
) -> Iterator[np.ndarray]:
    """New sound from the model, block by block: float32 [1, n] at its rate, `seconds` · rate samples, in -1…1.

    The same arguments give the same samples on one device, and a longer sound does not begin as a shorter one does.

    Raises:
        UserError: `seconds` is out of range, or the vocoder's mel is not the model's.
    """
    samples, frames = samples_of(seconds, model.spec)
    model.spec.require(vocoder.spec, f"model {model.header.name}", "the vocoder")
    mels = rendered_mels(model, controls or Controls(), frames, seed, strategy or SamplingStrategy())
    return play(vocoder, mels, samples, model.band_limit_hz)


def joined(blocks: Iterable[np.ndarray], threads: int | None = None) -> np.ndarray:
    """Blocks [C, n] as one wave [C, N]; at most `threads` of them are rendered at once, None for one a core."""
    with limited(threads):
        return np.concatenate(list(blocks), 1)


def render(
    model: Model,
    vocoder: Vocoder,
    seconds: float,
    seed: int,
    controls: Controls | None = None,
    strategy: SamplingStrategy | None = None,
) -> np.ndarray:
    """The blocks of `render_blocks` as one wave, float32 [1, N]."""
    return joined(render_blocks(model, vocoder, seconds, seed, controls, strategy))


def reconstruct_blocks(
    model: Model, vocoder: Vocoder, clip: AudioClip, controls: Controls | None = None
) -> Iterator[np.ndarray]:
    """A recording through VAE and vocoder: float32 blocks [1, n], as long and as loud as it is.

    Raises:
        UserError: as `reconstructed_mels`, or the vocoder's mel is not the model's.
    """
    model.spec.require(vocoder.spec, f"model {model.header.name}", "the vocoder")
    mels = reconstructed_mels(model, clip, controls or Controls())
    blocks = play(vocoder, mels, clip.length, model.band_limit_hz)
    return (block / np.float32(clip.gain) for block in blocks)
