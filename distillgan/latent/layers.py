"""Moments put one after another, as latent sequences that sound together: joined, crossfaded or morphed."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distillgan.latent.selection import Slot


@dataclass(frozen=True)
class Layer:
    """z: float32 [D, L]; gain: float32 [T], linear, of its mel frames, or None where it is 1 throughout."""

    z: np.ndarray
    gain: np.ndarray | None


def joined(slots: list[Slot], contents: list[np.ndarray], count: int, overlap: int) -> np.ndarray:
    """One after another, faded into one another over `overlap` latent frames, [D, count]."""
    out = np.zeros((slots[-1].at + slots[-1].count + 1, contents[0].shape[1]))
    for number, (slot, content) in enumerate(zip(slots, contents, strict=True)):
        fade = 0 if number == 0 else min(overlap, slots[number - 1].count // 2, slot.count // 2)
        ramp = (np.arange(fade) + 1)[:, None] / (fade + 1)
        out[slot.at : slot.at + fade] = out[slot.at : slot.at + fade] * (1 - ramp) + content[:fade] * ramp
        out[slot.at + fade : slot.at + slot.count] = content[fade:]
    return out[:count].T


def crossfaded(slots: list[Slot], contents: list[np.ndarray], count: int, stride: int, frames: int) -> list[Layer]:
    """Two tracks by turns; the gains' squares of both add up to 1 wherever they overlap."""
    ends = [slot.at + slot.count for slot in slots]
    zs = [np.zeros((max(ends), contents[0].shape[1])) for _ in range(2)]
    gains = [np.zeros(max(ends) * stride, np.float32) for _ in range(2)]
    for number, (slot, content) in enumerate(zip(slots, contents, strict=True)):
        track = number % 2
        # What is silent goes on as it was, or begins as it will be: the decoder is to meet no step at the edge.
        if number == 1:
            zs[track][: slot.at] = content[0]
        zs[track][slot.at : slots[number + 2].at if number + 2 < len(slots) else None] = content[-1]
        zs[track][slot.at : ends[number]] = content
        gain = np.ones(slot.count * stride, np.float32)
        into = 0 if number == 0 else max(0, ends[number - 1] - slot.at) * stride
        out = max(0, ends[number] - slots[number + 1].at) * stride if number + 1 < len(slots) else 0
        gain[:into] *= np.sin(np.pi / 2 * (np.arange(into) + 0.5) / max(into, 1))
        gain[len(gain) - out :] *= np.cos(np.pi / 2 * (np.arange(out) + 0.5) / max(out, 1))
        gains[track][slot.at * stride : ends[number] * stride] = gain
    return [Layer(z[:count].T, gain[:frames]) for z, gain in zip(zs, gains, strict=True)]


def morphed(slots: list[Slot], contents: list[np.ndarray], count: int) -> np.ndarray:
    """From anchor to anchor on arcs, each anchor read to and fro meanwhile, [D, count]."""
    out, anchors = np.empty((count, contents[0].shape[1])), list(zip(slots, contents, strict=True))
    for (slot, first), (following, second) in pairwise(anchors):
        length = following.at - slot.at
        steps = np.arange(max(0, min(length, count - slot.at)))
        share = 0.5 - 0.5 * np.cos(np.pi * steps / length)
        out[slot.at : slot.at + len(steps)] = slerp(
            first[_to_and_fro(steps, len(first))], second[_to_and_fro(steps - length, len(second))], share
        )
    return out.T


def _to_and_fro(steps: np.ndarray, count: int) -> np.ndarray:
    period = max(1, 2 * (count - 1))
    place = steps % period
    return np.minimum(place, period - place) if count > 1 else np.zeros_like(steps)


def slerp(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rows of `first` to rows of `second`, [L, D], on arcs (Shoemake 1985; White 2016 for latent spaces), share [L].

    Straight lines between two points of a Gaussian pass where it has hardly any: near its middle. Lengths go straight.
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
