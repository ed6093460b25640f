"""Between latent sequences and mels, block by block: encoding, decoding, and what a trajectory sounds like."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from distillgan.audio.mel import MelSpec, from_log1p, to_log_clamp
from distillgan.latent.layers import Layer
from distillgan.latent.trajectory import Trajectory
from distillgan.parallel import counted
from distillgan.vae.network import VAENetwork

BLOCK = 256  # latent frames at once, 24 s
_NEPERS = math.log(10) / 20  # a dB
_QUICKEST, _SLOWEST = 200.0, 15.0  # dB/s by which the tail falls at a slider's beginning and at its end
_WET_DB = -3.0
_DRY = 1.5  # how much faster what falls is to fall, at a slider's end
_DRIEST_DB = 60.0


def encode(network: VAENetwork, x: Tensor) -> Tensor:
    """log1p mel x [n_mels, T] → the posterior's mean [D, ceil(T / stride)], in blocks that equal the whole."""
    context, stride, frames = network.context_frames, network.stride, x.shape[-1]
    parts = []
    for start in range(0, network.latent_frames(frames), BLOCK):
        left = max(0, start - context)
        mean, _ = counted(network.encode, x[None, :, left * stride : (start + BLOCK + context) * stride])
        parts.append(mean[0, :, start - left :][:, :BLOCK].cpu())
    return torch.cat(parts, -1)


def decode_block(network: VAENetwork, z: Tensor, start: int) -> Tensor:
    """Latent frames start … start + BLOCK of z [D, L] → their log1p mel [1, n_mels, t], equal to that of the whole."""
    device, context, stride = next(network.parameters()).device, network.context_frames, network.stride
    left = max(0, start - context)
    part = z[None, :, left : start + BLOCK + context].to(device)
    mel = counted(network.decode, part, part.shape[-1] * stride)
    return mel[..., (start - left) * stride :][..., : BLOCK * stride].cpu()


def decode(network: VAENetwork, z: Tensor, frames: int) -> Tensor:
    """Latent sequence z [D, L] → log1p mel [1, n_mels, frames], in blocks that equal the whole."""
    return torch.cat([decode_block(network, z, start) for start in range(0, z.shape[-1], BLOCK)], -1)[..., :frames]


def mel_blocks(network: VAENetwork, spec: MelSpec, trajectory: Trajectory) -> Iterator[Tensor]:
    """What a trajectory sounds like: log-clamp mel blocks [1, n_mels, t], T frames in all, in constant memory."""
    tail = None if trajectory.tail is None else Tail(spec)
    size = BLOCK * network.stride
    for first in range(0, trajectory.frames, size):
        yield counted(_mel_block, network, spec, trajectory, tail, first, min(first + size, trajectory.frames))


def _mel_block(
    network: VAENetwork, spec: MelSpec, trajectory: Trajectory, tail: "Tail | None", first: int, last: int
) -> Tensor:
    """Frames `first` to `last`, all that come before having been through `tail`."""
    power = sum(_power(network, spec, layer, first, last) for layer in trajectory.layers)
    mel = to_log_clamp(power.sqrt())
    if trajectory.envelope_db is not None:
        mel = mel + _NEPERS * torch.from_numpy(trajectory.envelope_db[first:last])
    if tail is not None:
        mel = tail(mel, torch.from_numpy(trajectory.tail[first:last]))
    return to_log_clamp(mel.exp())


def _power(network: VAENetwork, spec: MelSpec, layer: Layer, first: int, last: int) -> Tensor:
    """A layer's mel squared, under its gain: sounds that know nothing of each other add by their powers."""
    x = decode_block(network, torch.from_numpy(layer.z), first // network.stride)[..., : last - first]
    mel = from_log1p(x, spec)
    if layer.gain is not None:
        mel = mel * torch.from_numpy(layer.gain[first:last])
    return mel.square()


class Tail:
    """Lets sounds ring on, or cuts them short, band by band; keeps its state from block to block.

    drive above 0: no band falls faster than by 200 (a little) to 15 dB/s (at 1); below 0: what a band has fallen, it
    falls up to 1.5 times as far again.
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
