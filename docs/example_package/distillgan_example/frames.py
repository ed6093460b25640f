"""A vocoder that makes each frame's samples from that frame and its two neighbours."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distillgan.models.vocoders.trained import Generator, TrainedVocoder


class FramesGenerator(Generator):
    """log-clamp mel [B, num_mels, T] → wave [B, 1, T * hop_length] in -1…1.

    Args:
        num_mels: mel bands.
        hop_length: samples a frame.
        channels: width of the only hidden layer.
    """

    context_frames = 1

    def __init__(self, num_mels: int, hop_length: int, channels: int):
        super().__init__()
        self.args = {"num_mels": num_mels, "hop_length": hop_length, "channels": channels}
        self.num_mels, self.hop_length = num_mels, hop_length
        self.hidden = nn.Conv1d(num_mels, channels, 3, padding=1)
        self.samples = nn.Conv1d(channels, hop_length, 1)

    def forward(self, mel: Tensor) -> Tensor:
        wave = torch.tanh(self.samples(F.gelu(self.hidden(mel))))
        return wave.transpose(1, 2).flatten(1)[:, None]


class FramesVocoder(TrainedVocoder):
    """A `FramesGenerator` with the weights of a model file."""

    name = "frames"
    generator_type = FramesGenerator
