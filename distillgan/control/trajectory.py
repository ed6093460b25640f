"""Trajectories: new latent sequences from segments of a corpus, and their mels block by block, in constant memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, from_log1p, to_log_clamp
from distillgan.compute import counted
from distillgan.control.latents import CorpusLatents, Segments
from distillgan.control.segments import AXIS_SHARE, Grain, Selection, axis_target, envelope_db
from distillgan.control.sliders import Analysis, Controls
from distillgan.errors import UserError
from distillgan.models.base import LatentModel

PATHS = ("chunk", "crossfade", "interpolate")
SOURCES = ("corpus", "prior")
_OVERLAP = {"chunk": 1, "crossfade": 8, "interpolate": 0}  # latent frames
_MORPH = (24, 64)  # latent frames from one anchor to the next
_SHARE_PERIOD = 32
_OF_TIME = ("rhythm", "pulse", "density", "reverb")
_WANDER = 0.3  # of the corpus's spread, at evolution 1
DIRECT = 0.4  # share of a spectral descriptor's target that is left to its direction
BLOCK = 256  # latent frames at once, 24 s
_NEPERS = math.log(10) / 20  # a dB
_QUICKEST, _SLOWEST = 200.0, 15.0  # dB/s by which the tail falls at a slider's beginning and at its end
_WET_DB = -3.0
_DRY = 1.5  # how much faster what falls is to fall, at a slider's end
_DRIEST_DB = 60.0


@dataclass(frozen=True)
class Layer:
    """A latent sequence z, float32 [D, L], and the linear gain of its mel frames, float32 [T], or None for 1."""

    z: np.ndarray
    gain: np.ndarray | None


@dataclass(frozen=True)
class Trajectory:
    """Layers whose powers add, under a common gain in dB [T] and the tail's drive [T] (-1.2…1.2).

    frames: T, mel frames.
    """

    layers: list[Layer]
    envelope_db: np.ndarray | None
    tail: np.ndarray | None
    frames: int


@dataclass(frozen=True)
class Material:
    """The latents of a corpus that sound is drawn from, their segments and analysis.

    frame_rate: mel frames a second; stride: mel frames in a latent frame.
    """

    corpus: CorpusLatents
    analysis: Analysis | None
    frame_rate: float
    stride: int
    segments: Segments = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "segments", Segments.of(self.corpus))


@dataclass(frozen=True)
class SamplingStrategy:
    """How sound is drawn from the material. Raises UserError if a value is none of its kind.

    kind: how segments follow one another; evolution: how fast they give way to others, 0 to 1; source: `corpus`, or
    `prior` for their motion about new places.
    """

    kind: str = "crossfade"
    evolution: float = 0.5
    source: str = "corpus"

    def __post_init__(self):
        if self.kind not in PATHS:
            raise UserError(f"path={self.kind} is no path: choose one of {', '.join(PATHS)}, reconstruct")
        if self.source not in SOURCES:
            raise UserError(f"source={self.source} is nothing to draw from: choose one of {', '.join(SOURCES)}")
        if not 0 <= self.evolution <= 1:
            raise UserError(f"evolution={self.evolution} must be a number from 0 to 1")


def joined(grains: list[Grain], contents: list[np.ndarray], count: int, overlap: int) -> np.ndarray:
    """One latent sequence [D, count], each grain faded into the next over `overlap` latent frames."""
    out = np.zeros((grains[-1].at + grains[-1].count + 1, contents[0].shape[1]))
    for number, (grain, content) in enumerate(zip(grains, contents, strict=True)):
        fade = 0 if number == 0 else min(overlap, grains[number - 1].count // 2, grain.count // 2)
        ramp = (np.arange(fade) + 1)[:, None] / (fade + 1)
        out[grain.at : grain.at + fade] = out[grain.at : grain.at + fade] * (1 - ramp) + content[:fade] * ramp
        out[grain.at + fade : grain.at + grain.count] = content[fade:]
    return out[:count].T


def crossfaded(grains: list[Grain], contents: list[np.ndarray], count: int, stride: int, frames: int) -> list[Layer]:
    """Two tracks that sound by turns; the squares of their gains add up to 1 wherever they overlap."""
    ends = [grain.at + grain.count for grain in grains]
    zs = [np.zeros((max(ends), contents[0].shape[1])) for _ in range(2)]
    gains = [np.zeros(max(ends) * stride, np.float32) for _ in range(2)]
    for number, (grain, content) in enumerate(zip(grains, contents, strict=True)):
        track = number % 2
        # What is silent goes on as it was, or begins as it will be: the decoder is to meet no step at the edge.
        if number == 1:
            zs[track][: grain.at] = content[0]
        zs[track][grain.at : grains[number + 2].at if number + 2 < len(grains) else None] = content[-1]
        zs[track][grain.at : ends[number]] = content
        gain = np.ones(grain.count * stride, np.float32)
        into = 0 if number == 0 else max(0, ends[number - 1] - grain.at) * stride
        out = max(0, ends[number] - grains[number + 1].at) * stride if number + 1 < len(grains) else 0
        gain[:into] *= np.sin(np.pi / 2 * (np.arange(into) + 0.5) / max(into, 1))
        gain[len(gain) - out :] *= np.cos(np.pi / 2 * (np.arange(out) + 0.5) / max(out, 1))
        gains[track][grain.at * stride : ends[number] * stride] = gain
    return [Layer(z[:count].T, gain[:frames]) for z, gain in zip(zs, gains, strict=True)]


def morphed(grains: list[Grain], contents: list[np.ndarray], count: int) -> np.ndarray:
    """One latent sequence [D, count] from anchor to anchor on arcs, each anchor read to and fro meanwhile."""
    out, anchors = np.empty((count, contents[0].shape[1])), list(zip(grains, contents, strict=True))
    for (grain, first), (following, second) in pairwise(anchors):
        length = following.at - grain.at
        steps = np.arange(max(0, min(length, count - grain.at)))
        share = 0.5 - 0.5 * np.cos(np.pi * steps / length)
        out[grain.at : grain.at + len(steps)] = slerp(
            first[_to_and_fro(steps, len(first))], second[_to_and_fro(steps - length, len(second))], share
        )
    return out.T


def _to_and_fro(steps: np.ndarray, count: int) -> np.ndarray:
    period = max(1, 2 * (count - 1))
    place = steps % period
    return np.minimum(place, period - place) if count > 1 else np.zeros_like(steps)


def slerp(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Spherical interpolation from rows of `first` to rows of `second`, [L, D], at `share` [L]; lengths go straight.

    Shoemake 1985; White 2016 for latent spaces: a straight line between two points of a Gaussian leads near its
    middle, where hardly any lie.
    """
    lengths = [np.linalg.norm(rows, axis=1) for rows in (first, second)]
    cosine = (first * second).sum(1) / np.maximum(lengths[0] * lengths[1], 1e-9)
    angle = np.arccos(np.clip(cosine, -1, 1))
    near = np.sin(angle) < 1e-3
    safe = np.where(near, 1.0, np.sin(angle))
    a = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe)[:, None]
    b = np.where(near, share, np.sin(share * angle) / safe)[:, None]
    unit = [rows / np.maximum(length, 1e-9)[:, None] for rows, length in zip((first, second), lengths, strict=True)]
    length = lengths[0] * (1 - share) + lengths[1] * share
    return (a * unit[0] + b * unit[1]) * length[:, None]


def draw(
    material: Material, controls: Controls, frames: int, seed: int, strategy: SamplingStrategy, second: bool = False
) -> Trajectory:
    """A trajectory of `frames` mel frames, a pure function of its arguments.

    Each use of chance has a generator of its own, so that what a slider changes changes nothing else. `second`: the
    same segments at the same times with other slow deviations, for the side of a stereo sound.
    """
    choosing, deviating, gating, leaping = (np.random.default_rng([seed, number]) for number in range(4))
    if second:
        deviating = np.random.default_rng([seed, 4])
    z, count = material.corpus.z.numpy(), -(-frames // material.stride)
    latent_rate = material.frame_rate / material.stride
    coordinates = None if material.analysis is None else material.analysis.axes.coordinates(material.segments.means(z))
    selection = Selection(material.segments, material.analysis, controls, coordinates)
    overlap = _OVERLAP[strategy.kind]
    apart = _MORPH if strategy.kind == "interpolate" else None
    wanted = count if apart is None else count + apart[1]  # the last anchor lies past the end
    grains = list(selection.grains(wanted, latent_rate, strategy.evolution, overlap, choosing, apart))
    contents = [z[grain.first : grain.first + grain.count].astype(np.float64) for grain in grains]
    if strategy.source == "prior":
        contents = _about_new_means(contents, material, strategy.evolution, leaping)
    spread = z.std(0)[:, None]
    added = _WANDER * strategy.evolution * spread * _slow_noise(z.shape[1], count, deviating) + offsets(
        material, controls, count, strategy.source == "prior"
    )
    if strategy.kind == "interpolate":
        layers = [Layer(morphed(grains, contents, count), None)]
    elif strategy.kind == "chunk":
        layers = [Layer(joined(grains, contents, count, overlap), None)]
    else:
        layers = crossfaded(grains, contents, count, material.stride, frames)
    layers = [Layer((layer.z + added).astype(np.float32), layer.gain) for layer in layers]
    return shaped(layers, material, controls, frames, gating)


def shaped(
    layers: list[Layer], material: Material, controls: Controls, frames: int, rng: np.random.Generator
) -> Trajectory:
    """A trajectory of the layers under the gates and the tail of the sliders of time."""
    seconds = np.arange(frames) / material.frame_rate
    rhythm, pulse, density, reverb = (controls.position(name, seconds) / 10 for name in _OF_TIME)
    envelope = envelope_db(rhythm, pulse, density, material.frame_rate, rng)
    tail = reverb.astype(np.float32) if reverb.any() else None
    return Trajectory(layers, envelope, tail, frames)


def offsets(material: Material, controls: Controls, count: int, whole: bool = False) -> np.ndarray:
    """Offsets [D, count] that the sliders of spectral descriptors and of axes add to `count` latent frames.

    whole: they bring the whole target, where no selection of segments brings any of it.
    """
    analysis, latent_dim = material.analysis, material.corpus.z.shape[1]
    added = np.zeros((latent_dim, count))
    if analysis is None or not controls.curves:
        return added
    seconds = np.arange(count) * material.stride / material.frame_rate
    positions = controls.descriptors(seconds)
    steps = np.linspace(-12, 12, 49)
    for number in range(len(positions)):
        if positions[number].any() and analysis.directions[number].any():
            alone = np.zeros((len(steps), len(positions)))
            alone[:, number] = steps
            target = np.array([analysis.targets(position)[number] for position in alone])
            share = 1.0 if whole else DIRECT
            added += share * analysis.directions[number][:, None] * np.interp(positions[number], steps, target)
    for number, curve in controls.axes().items():
        axes = analysis.axes
        share = 1.0 if whole else AXIS_SHARE
        added += share * axes.spread[number] * axes.directions[number][:, None] * axis_target(curve.at(seconds))
    return added


def _about_new_means(
    contents: list[np.ndarray], material: Material, evolution: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Each content's motion about a mean drawn from the Gaussian of the corpus's segments."""
    means = material.segments.means(material.corpus.z.numpy())
    covariance = np.atleast_2d(np.cov(means.T)) if len(means) > 1 else np.zeros((means.shape[1],) * 2)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    keep, normal, moved = np.cos(np.pi / 2 * evolution), rng.standard_normal(len(root)), []
    for content in contents:
        moved.append(content - content.mean(0) + means.mean(0) + root @ normal)
        normal = keep * normal + np.sqrt(1 - keep**2) * rng.standard_normal(len(root))
    return moved


def _slow_noise(channels: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit variance that changes over some 3 s, [channels, frames]."""
    points = frames // _SHARE_PERIOD + 3
    values = rng.standard_normal((channels, points))
    position = np.arange(frames) / _SHARE_PERIOD + rng.random()
    left = position.astype(int)
    blend = 0.5 - 0.5 * np.cos(np.pi * (position - left))
    return values[:, left] * np.sqrt(1 - blend) + values[:, left + 1] * np.sqrt(blend)


def encode(network: LatentModel, x: Tensor) -> Tensor:
    """Posterior mean [D, ceil(T / stride)] of a log1p mel x [n_mels, T], in blocks that equal the whole."""
    context, stride, frames = network.context_frames, network.stride, x.shape[-1]
    parts = []
    for start in range(0, network.latent_frames(frames), BLOCK):
        left = max(0, start - context)
        mean, _ = counted(network.encode, x[None, :, left * stride : (start + BLOCK + context) * stride])
        parts.append(mean[0, :, start - left :][:, :BLOCK].cpu())
    return torch.cat(parts, -1)


def decode_block(network: LatentModel, z: Tensor, start: int) -> Tensor:
    """Log1p mel [1, n_mels, t] of latent frames start … start + BLOCK of z [D, L], equal to that of the whole."""
    device, context, stride = next(network.parameters()).device, network.context_frames, network.stride
    left = max(0, start - context)
    part = z[None, :, left : start + BLOCK + context].to(device)
    mel = counted(network.decode, part, part.shape[-1] * stride)
    return mel[..., (start - left) * stride :][..., : BLOCK * stride].cpu()


def decode(network: LatentModel, z: Tensor, frames: int) -> Tensor:
    """Log1p mel [1, n_mels, frames] of a latent sequence z [D, L], in blocks that equal the whole."""
    return torch.cat([decode_block(network, z, start) for start in range(0, z.shape[-1], BLOCK)], -1)[..., :frames]


def mel_blocks(network: LatentModel, spec: MelSpec, trajectory: Trajectory) -> Iterator[Tensor]:
    """Log-clamp mel blocks [1, n_mels, t] of a trajectory, T frames in all."""
    tail = None if trajectory.tail is None else Tail(spec)
    size = BLOCK * network.stride
    for first in range(0, trajectory.frames, size):
        yield counted(_mel_block, network, spec, trajectory, tail, first, min(first + size, trajectory.frames))


def _mel_block(
    network: LatentModel, spec: MelSpec, trajectory: Trajectory, tail: "Tail | None", first: int, last: int
) -> Tensor:
    """Mel frames `first` to `last`; all before them must have been through `tail`."""
    power = 0
    for layer in trajectory.layers:  # sounds that know nothing of each other add by their powers
        x = decode_block(network, torch.from_numpy(layer.z), first // network.stride)[..., : last - first]
        mel = from_log1p(x, spec)
        if layer.gain is not None:
            mel = mel * torch.from_numpy(layer.gain[first:last])
        power = power + mel.square()
    mel = to_log_clamp(power.sqrt())
    if trajectory.envelope_db is not None:
        mel = mel + _NEPERS * torch.from_numpy(trajectory.envelope_db[first:last])
    if tail is not None:
        mel = tail(mel, torch.from_numpy(trajectory.tail[first:last]))
    return to_log_clamp(mel.exp())


class Tail:
    """Reverb of a log mel, or its opposite, band by band; keeps its state from block to block.

    drive above 0: no band falls faster than by 200 (a little) to 15 dB/s (at 1); below 0: a band that falls does so up
    to 1.5 times as far again.
    """

    def __init__(self, spec: MelSpec):
        self._frame_rate = spec.frame_rate
        self._ringing: Tensor | None = None
        self._held: Tensor | None = None

    def __call__(self, mel: Tensor, drive: Tensor) -> Tensor:
        """Log mel [1, n_mels, t] and drive [t] → log mel."""
        wet, dry = drive.clamp(min=0), drive.clamp(max=0).neg()
        rate = _QUICKEST * (_SLOWEST / _QUICKEST) ** wet
        ringing = _falling(mel, rate * _NEPERS / self._frame_rate, self._ringing)
        held = _falling(mel, torch.full_like(drive, _SLOWEST * _NEPERS / self._frame_rate), self._held)
        self._ringing, self._held = ringing[..., -1:], held[..., -1:]
        cut = mel - (_DRY * dry * (held - mel)).clamp(max=_DRIEST_DB * _NEPERS)
        return torch.where(wet > 0, torch.maximum(mel, ringing + _WET_DB * _NEPERS), cut)


def _falling(mel: Tensor, fall: Tensor, before: Tensor | None) -> Tensor:
    """The least curve above `mel` that falls by at most `fall` [t] a frame; `before` [1, n, 1] is where it was."""
    fallen = torch.cumsum(fall.double(), 0)
    lifted = mel.double() + fallen
    if before is not None:
        lifted[..., :1] = torch.maximum(lifted[..., :1], before.double())
    return (torch.cummax(lifted, -1).values - fallen).to(mel.dtype)
