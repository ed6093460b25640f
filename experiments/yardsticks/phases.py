"""Phases guessed until a spectrogram fits (Griffin and Lim 1984): no network, nothing learnt."""

from collections.abc import Callable

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distillgan.audio.mel import MelSpec, MelSpectrogram

ITERATIONS = 64


def griffin_lim(spec: MelSpec) -> Callable[[Tensor], Tensor]:
    """A function: log-clamp mel [1, n_mels, T] → wave [T * hop_length], the same for the same mel.

    The least-squares inverse of the mel's filterbank, then 64 iterations of the fast variant with momentum
    (Perraudin et al. 2013, algorithm 1), from random phases that are the same each time.
    """
    inverse, hop = torch.linalg.pinv(MelSpectrogram(spec).bank), spec.hop_length

    def play(mel: Tensor) -> Tensor:
        magnitude = (inverse @ mel[0].exp()).clamp(min=0)
        # The mel's frames are centred half a hop after those that librosa joins: one more at each end, cut in halves.
        magnitude = F.pad(magnitude[None], (1, 1), mode="replicate")[0].numpy()
        wave = librosa.griffinlim(magnitude, n_iter=ITERATIONS, hop_length=hop, n_fft=spec.n_fft, random_state=0)
        return torch.from_numpy(np.ascontiguousarray(wave[hop // 2 :][: mel.shape[-1] * hop], dtype=np.float32))

    return play
