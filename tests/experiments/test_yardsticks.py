"""The yardsticks that vocoders are held against."""

import numpy as np
import pytest
import torch

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log_clamp
from distillgan.evaluation.metrics import TrueWave
from experiments.yardsticks import griffin_lim


def test_griffin_lim_keeps_pitch_and_place():
    spec, time = MelSpec(), np.arange(64 * 512) / 44100
    partials = [np.sin(2 * np.pi * 220 * number * time) / number for number in range(1, 11)]
    wave = torch.from_numpy((0.1 * np.sum(partials, 0)).astype(np.float32))
    mel = to_log_clamp(MelSpectrogram(spec)(wave[None]))
    play = griffin_lim(spec)
    made = play(mel)
    assert made.shape == wave.shape and torch.equal(made, play(mel))
    scores = TrueWave(wave, spec).compare(made)
    assert scores["pitch_error_cents"] < 30 and scores["mel_l1"] < 0.5
    click = torch.zeros(64 * spec.hop_length)
    click[15000] = 0.5
    guessed = play(to_log_clamp(MelSpectrogram(spec)(click[None]))).square()
    centre = float((guessed * torch.arange(len(guessed))).sum() / guessed.sum())
    assert centre == pytest.approx(15000, abs=spec.hop_length / 4)
