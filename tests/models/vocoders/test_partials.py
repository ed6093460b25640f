"""Partials are where and as loud as the sines that the mel was made of, and their phases go on as those do."""

import math

import pytest
import torch

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log_clamp
from distillgan.models.vocoders.harmonic import Partials

SPEC = MelSpec()
INNER = slice(4, -4)  # frames that saw no padding


@pytest.fixture(scope="module")
def partials() -> Partials:
    return Partials(SPEC)


def mel_of(*tones: tuple[float, float], seconds: float = 1.0) -> torch.Tensor:
    """Of sines of (frequency in Hz, amplitude)."""
    time = torch.arange(round(seconds * SPEC.sample_rate), dtype=torch.float64) / SPEC.sample_rate
    wave = sum(level * torch.sin(2 * math.pi * hertz * time) for hertz, level in tones)
    return to_log_clamp(MelSpectrogram(SPEC)(wave.float()[None]))


def at(values: torch.Tensor, mel: torch.Tensor, hertz: float) -> torch.Tensor:
    """The inner frames' values [T] of the band that is loudest within a tenth of `hertz`."""
    centres = MelSpectrogram(SPEC).bank
    centres = centres @ torch.arange(centres.shape[1]).float() / centres.sum(1) * SPEC.sample_rate / SPEC.n_fft
    near = ((centres / hertz).log().abs() < 0.1) | ((centres - hertz).abs() < 40)
    return values[0, mel[0].mean(-1).masked_fill(~near, -math.inf).argmax(), INNER]


def cents(bins: torch.Tensor, hertz: float) -> torch.Tensor:
    return 1200 * torch.log2(bins * SPEC.sample_rate / SPEC.n_fft / hertz)


@pytest.mark.parametrize("hertz", [41.2, 55, 110, 261.6, 440, 1000, 1234.5, 3000, 5000, 8000, 12000, 16000])
def test_a_steady_sine_is_found_at_its_pitch_and_level(partials, hertz):
    mel = mel_of((hertz, 0.3))
    peak, bins, level = partials(mel)
    limit = 3.0 if hertz < 60 else 0.2  # its mirror image below zero is near
    assert cents(at(bins, mel, hertz), hertz).abs().max() < limit
    assert at(level, mel, hertz).exp().sub(0.3).abs().max() < 0.003
    turn = at(partials.phases(peak, bins), mel, hertz).diff()
    expected = hertz * SPEC.hop_length / SPEC.sample_rate % 1
    off = (turn - expected + 0.5) % 1 - 0.5
    assert off.abs().max() < 0.003


def test_partials_of_a_chord_keep_apart(partials):
    tones = (220.0, 0.2), (331.0, 0.1), (523.3, 0.15), (1567.9, 0.05)
    mel = mel_of(*tones)
    _, bins, level = partials(mel)
    for hertz, amplitude in tones:
        assert cents(at(bins, mel, hertz), hertz).abs().max() < 5
        assert at(level, mel, hertz).exp().mean() == pytest.approx(amplitude, rel=0.05)


def test_a_glide_is_followed(partials):
    time = torch.arange(2 * SPEC.sample_rate, dtype=torch.float64) / SPEC.sample_rate
    hertz = 300 * 2 ** (time / 2)  # an octave in two seconds
    wave = 0.3 * torch.sin(2 * math.pi * torch.cumsum(hertz, 0) / SPEC.sample_rate)
    mel = to_log_clamp(MelSpectrogram(SPEC)(wave.float()[None]))
    peak, bins, _ = partials(mel)
    loudest = mel[:, :, INNER].argmax(1, keepdim=True)
    found = bins[..., INNER].gather(1, loudest)[0, 0] * SPEC.sample_rate / SPEC.n_fft
    middle = (torch.arange(mel.shape[-1])[INNER] * SPEC.hop_length + SPEC.hop_length // 2).long()
    assert (1200 * torch.log2(found / hertz[middle])).abs().max() < 6
    # Phases go on across the bands that it passes: their differences are the frequency's integral.
    phase = partials.phases(peak, bins)[..., INNER].gather(1, loudest)[0, 0]
    true = (torch.cumsum(hertz, 0) / SPEC.sample_rate)[middle].float()
    off = (phase - true).diff()
    assert ((off + 0.5) % 1 - 0.5).abs().max() < 0.02


def test_every_band_belongs_to_a_maximum(partials):
    mel = torch.randn(2, SPEC.n_mels, 7)
    peak, bins, _ = partials(mel)
    owner = mel.gather(1, peak)
    assert (owner >= mel).all() and torch.equal(peak.gather(1, peak), peak)
    for neighbour in (peak - 1, peak + 1):
        assert (mel.gather(1, neighbour.clamp(0, SPEC.n_mels - 1)) <= owner).all()
    assert (bins >= 0).all() and (bins <= SPEC.n_fft / 2).all()


def test_phases_in_pieces_equal_the_whole(partials):
    peak, bins, _ = partials(torch.randn(2, SPEC.n_mels, 50))
    whole = partials.phases(peak, bins)
    assert (whole >= 0).all() and (whole < 1).all()
    first = partials.phases(peak[..., :20], bins[..., :20])
    before = first[..., -1], bins[..., 19]
    second = partials.phases(peak[..., 20:], bins[..., 20:], before)
    off = torch.cat([first, second], -1) - whole
    assert ((off + 0.5) % 1 - 0.5).abs().max() < 1e-5


def test_silence_and_single_frames(partials):
    for frames in (1, 2, 30):
        peak, bins, level = partials(torch.full((1, SPEC.n_mels, frames), -11.5))
        phase = partials.phases(peak, bins)
        assert all(torch.isfinite(value).all() for value in (bins, level, phase))
        assert level.max() < math.log(1e-4)


def test_its_tables_are_real_where_networks_are_built_without_memory():
    with torch.device("meta"):
        built = Partials(SPEC)
    assert not any(buffer.is_meta for buffer in built.buffers())
    assert not built.state_dict()
