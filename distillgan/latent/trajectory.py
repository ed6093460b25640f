"""New latent sequences from moments of a corpus, and the gains under which they sound."""

from dataclasses import dataclass, field

import numpy as np

from distillgan.errors import UserError
from distillgan.latent.controls import Controls
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.gates import envelope_db
from distillgan.latent.layers import Layer, crossfaded, joined, morphed
from distillgan.latent.moments import Moments
from distillgan.latent.selection import AXIS_SHARE, Selection, axis_wish
from distillgan.latent.sliders import Analysis

PATHS = ("chunk", "crossfade", "interpolate")
SOURCES = ("corpus", "prior")
_OVERLAP = {"chunk": 1, "crossfade": 8, "interpolate": 0}  # latent frames
_MORPH = (24, 64)  # latent frames from one anchor to the next
_SHARE_PERIOD = 32
_OF_TIME = ("rhythm", "pulse", "density", "reverb")
_WANDER = 0.3  # of the corpus's spread, at evolution 1
DIRECT = 0.4  # share of a timbre's wish that is left to its direction


@dataclass(frozen=True)
class Trajectory:
    """What is to sound: layers whose powers add, then a common gain in dB [T] and the tail's drive [T] (-1.2…1.2).

    frames: T, mel frames.
    """

    layers: list[Layer]
    envelope_db: np.ndarray | None
    tail: np.ndarray | None
    frames: int


@dataclass(frozen=True)
class Material:
    """What sound can be drawn from: a corpus's latents, their moments and what is known of them.

    frame_rate: mel frames a second; stride: mel frames in a latent frame.
    """

    corpus: CorpusLatents
    analysis: Analysis | None
    frame_rate: float
    stride: int
    moments: Moments = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "moments", Moments.of(self.corpus))


@dataclass(frozen=True)
class Path:
    """How to go through the material. Raises UserError if a value is none of its kind."""

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


def draw(
    material: Material, controls: Controls, frames: int, seed: int, path: Path, second: bool = False
) -> Trajectory:
    """A trajectory of `frames` mel frames, a pure function of its arguments.

    Each use of chance has a generator of its own, so that what a slider changes changes nothing else. `second`: the
    same moments at the same times, whose slow deviations are others; for the other side of a stereo sound.
    """
    choosing, deviating, gating, leaping = (np.random.default_rng([seed, number]) for number in range(4))
    if second:
        deviating = np.random.default_rng([seed, 4])
    z, count = material.corpus.z.numpy(), -(-frames // material.stride)
    latent_rate = material.frame_rate / material.stride
    coordinates = None if material.analysis is None else material.analysis.axes.coordinates(material.moments.means(z))
    selection = Selection(material.moments, material.analysis, controls, coordinates)
    overlap = _OVERLAP[path.kind]
    apart = _MORPH if path.kind == "interpolate" else None
    wanted = count if apart is None else count + apart[1]  # the last anchor lies past the end
    slots = list(selection.slots(wanted, latent_rate, path.evolution, overlap, choosing, apart))
    contents = [z[slot.first : slot.first + slot.count].astype(np.float64) for slot in slots]
    if path.source == "prior":
        contents = _elsewhere(contents, material, path.evolution, leaping)
    spread = z.std(0)[:, None]
    added = _WANDER * path.evolution * spread * _slow_noise(z.shape[1], count, deviating) + offsets(
        material, controls, count, path.source == "prior"
    )
    if path.kind == "interpolate":
        layers = [Layer(morphed(slots, contents, count), None)]
    elif path.kind == "chunk":
        layers = [Layer(joined(slots, contents, count, overlap), None)]
    else:
        layers = crossfaded(slots, contents, count, material.stride, frames)
    layers = [Layer((layer.z + added).astype(np.float32), layer.gain) for layer in layers]
    return shaped(layers, material, controls, frames, gating)


def shaped(
    layers: list[Layer], material: Material, controls: Controls, frames: int, rng: np.random.Generator
) -> Trajectory:
    """Layers under the gates and the tail that the sliders of time ask for."""
    seconds = np.arange(frames) / material.frame_rate
    rhythm, pulse, density, reverb = (controls.position(name, seconds) / 10 for name in _OF_TIME)
    envelope = envelope_db(rhythm, pulse, density, material.frame_rate, rng)
    tail = reverb.astype(np.float32) if reverb.any() else None
    return Trajectory(layers, envelope, tail, frames)


def offsets(material: Material, controls: Controls, count: int, whole: bool = False) -> np.ndarray:
    """What the sliders of timbre and the axes add to `count` latent frames, [D, count].

    whole: the sliders' whole wish, where no choice of moments brings any of it.
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
            wish = np.array([analysis.wished(position)[number] for position in alone])
            share = 1.0 if whole else DIRECT
            added += share * analysis.directions[number][:, None] * np.interp(positions[number], steps, wish)
    for number, curve in controls.axes().items():
        axes = analysis.axes
        share = 1.0 if whole else AXIS_SHARE
        added += share * axes.spread[number] * axes.directions[number][:, None] * axis_wish(curve.at(seconds))
    return added


def _elsewhere(
    contents: list[np.ndarray], material: Material, evolution: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Each content's motion about a mean that is drawn from the Gaussian of the corpus's moments."""
    means = material.moments.means(material.corpus.z.numpy())
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
