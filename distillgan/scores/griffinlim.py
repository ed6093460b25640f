"""Phase guessing (Griffin and Lim 1984), the yardstick that a vocoder has to beat. It plays in no rendering."""

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distillgan.audio.mel import MelSpec, MelSpectrogram

_ITERATIONS = 64


class GriffinLim:
    """Log-clamp mel [1, n_mels, T] → wave [T * hop_length]: the mel's least-squares inverse, then 64 iterations.

    The fast variant with momentum (Perraudin et al. 2013), from random phases that are the same each time.
    """

    def __init__(self, spec: MelSpec):
        self.spec = spec
        self._inverse = torch.linalg.pinv(MelSpectrogram(spec).bank)

    def __call__(self, mel: Tensor) -> Tensor:
        hop = self.spec.hop_length
        magnitude = (self._inverse @ mel[0].cpu().exp()).clamp(min=0)
        # The mel's frames are centred half a hop after those that librosa joins: one more at each end, cut in halves.
        magnitude = F.pad(magnitude[None], (1, 1), mode="replicate")[0].numpy()
        wave = librosa.griffinlim(magnitude, n_iter=_ITERATIONS, hop_length=hop, n_fft=self.spec.n_fft, random_state=0)
        samples = mel.shape[-1] * hop
        return torch.from_numpy(np.ascontiguousarray(wave[hop // 2 :][:samples], dtype=np.float32))
