"""Onset features: how many onsets there are and how regular, how much of a sound is silent, and how it decays."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distillgan.audio.filters import butterworth, sosfiltfilt
from distillgan.audio.mel import slaney_filters

_N_FFT, _HOP, _MELS = 1024, 256, 64
_LEAD = 8  # frames of silence put before
_TOP_DB = 60.0  # what is this far below the loudest band is silence
_ONSET_DB = 2.0  # rise of the mean band in a hop, above its surroundings'
_ONSET_SECONDS = 0.06  # the least between two
_RHYTHM = (0.5, 8.0)  # Hz
_ACTIVE_DB = -50.0  # below full scale
_PULSE_LAGS = (0.2, 1.2)  # s: 300 to 50 beats a minute
_PULSE_BEATS = (1, 2, 3)  # lags of a beat, two and three: two strokes by themselves are no pulse
_PULSE_SECONDS = 4.5  # looked at together
_PULSE_BLUR = 0.05  # s by which a beat may come early or late
_PULSE_FLOOR = 0.2  # dB² of flux that is inaudible, however regular
_DECAY_SECONDS, _DECAY_DB, _LEAST_DECAY = 1.0, 30.0, 0.06
_LEAST_FALL = 5.0  # dB/s: what falls more slowly is held


@dataclass(frozen=True)
class OnsetFeatures:
    """A sound's onsets and levels, at `frame_rate` frames a second.

    flux [T]: rise of the mean mel band in dB a frame (spectral flux of Böck and Widmer 2013, "Maximum filter vibrato
    suppression for onset detection", without the maximum filter); level_db [T]: of full scale; onsets [O]: frames;
    decays [O]: dB/s after each onset, NaN where what follows is held, or too short.
    """

    flux: np.ndarray
    level_db: np.ndarray
    onsets: np.ndarray
    decays: np.ndarray
    frame_rate: float

    @classmethod
    def of(cls, wave: np.ndarray, rate: int) -> "OnsetFeatures":
        """Wave float32 [N] at `rate` Hz; before it there was silence, so what begins at once has an onset."""
        wave = np.concatenate([np.zeros(_LEAD * _HOP, np.float32), wave])
        samples = torch.from_numpy(np.asarray(wave, np.float32))
        flux, level = _flux(samples, rate), _level(samples)
        frame_rate = rate / _HOP
        # Peaks as Böck et al. 2012 pick them.
        near = round(_ONSET_SECONDS * frame_rate)
        highest, mean = _around(flux, near).max(1), _around(flux, 4 * near).mean(1)
        onsets = np.flatnonzero((flux == highest) & (flux > mean + _ONSET_DB))
        level_db = 20 * np.log10(np.maximum(level, 1e-6))
        ends = np.append(onsets, len(level_db))[1:]
        decays = [_decay(level_db[first:last], frame_rate) for first, last in zip(onsets, ends, strict=True)]
        return cls(flux[_LEAD:], level_db[_LEAD:], np.maximum(onsets - _LEAD, 0), np.asarray(decays, float), frame_rate)

    def rhythm(self, seconds: np.ndarray) -> np.ndarray:
        """Windows (first, last second) [W, 2] → RMS, in dB, of flux that comes and goes 0.5 to 8 times a second.

        That range of onset modulations carries rhythm (Pampalk 2006, "Computational models of music similarity",
        section 2.2.4).
        """
        sections, padding = butterworth(2, _RHYTHM, self.frame_rate), round(2 * self.frame_rate)
        beating = sosfiltfilt(sections, self.flux[None], min(len(self.flux) - 1, padding))[0]
        return np.sqrt(self._means(np.square(beating), seconds))

    def pulse(self, seconds: np.ndarray) -> np.ndarray:
        """Windows [W, 2] → autocorrelation of the flux, 0…1, at lags of one, two and three beats.

        It is taken over 4.5 s about each window, for the beat that makes the mean of the three the largest (after
        Tzanetakis and Cook 2002, "Musical genre classification of audio signals", section III.C).
        """
        length = round(_PULSE_SECONDS * self.frame_rate)
        blur = np.hanning(round(2 * _PULSE_BLUR * self.frame_rate) + 2)
        flux = np.convolve(self.flux, blur / blur.sum(), "same")
        length = min(length, len(flux))
        middles = (seconds.mean(1) * self.frame_rate).astype(int)
        firsts = np.clip(middles - length // 2, 0, len(flux) - length)
        pieces = flux[firsts[:, None] + np.arange(length)]
        pieces = pieces - pieces.mean(1, keepdims=True)
        spectra = np.fft.rfft(pieces, 2 * length)
        lags = np.fft.irfft(np.square(np.abs(spectra)), axis=1)[:, :length] / (length - np.arange(length))
        least, most = (round(lag * self.frame_rate) for lag in _PULSE_LAGS)
        beats = np.arange(least, min(most, (length - 1) // _PULSE_BEATS[-1]))
        if len(beats) == 0:  # too short for three of them
            return np.zeros(len(seconds))
        together = np.mean([lags[:, times * beats] for times in _PULSE_BEATS], axis=0)
        return np.clip(together.max(1) / (lags[:, 0] + _PULSE_FLOOR), 0, 1)

    def density(self, seconds: np.ndarray) -> np.ndarray:
        """Windows [W, 2] → events a second: onsets, and the share of the time that sounds at all.

        So silence has 0, a steady sound 1, and one with four onsets a second 5.
        """
        struck = np.zeros(len(self.flux))
        struck[self.onsets] = self.frame_rate
        return self._means(struck + (self.level_db[: len(struck)] > _ACTIVE_DB), seconds)

    def decay(self, seconds: np.ndarray) -> np.ndarray:
        """Windows [W, 2] → log2 of the mean decay in dB/s after the onsets in each, NaN without onsets that decay.

        A room of reverberation time T falls by 60 / T dB/s (ISO 3382-1).
        """
        frames = self._frames(seconds)
        known = np.isfinite(self.decays)
        inside = (self.onsets >= frames[:, :1]) & (self.onsets < frames[:, 1:]) & known
        count = inside.sum(1)
        values = np.where(known, np.log2(np.where(known, self.decays, 1.0)), 0.0)
        return np.where(count > 0, (inside * values).sum(1) / np.maximum(count, 1), np.nan)

    def _frames(self, seconds: np.ndarray) -> np.ndarray:
        frames = np.clip(np.rint(seconds * self.frame_rate).astype(int), 0, len(self.flux))
        first = np.minimum(frames[:, 0], len(self.flux) - 1)
        return np.stack([first, np.maximum(frames[:, 1], first + 1)], 1)

    def _means(self, values: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(values)])
        frames = self._frames(seconds)
        return (total[frames[:, 1]] - total[frames[:, 0]]) / (frames[:, 1] - frames[:, 0])


def _flux(wave: Tensor, rate: int) -> np.ndarray:
    """Wave [N] → rise of the mean mel band in dB a frame, [1 + N // _HOP], 0 where it falls."""
    window = torch.hann_window(_N_FFT)
    spectra = torch.stft(wave, _N_FFT, _HOP, window=window, pad_mode="constant", return_complex=True)
    bank = slaney_filters(_N_FFT // 2 + 1, _MELS, rate, 0.0, rate / 2)
    bands_db = 10 * torch.log10((bank @ (spectra.real.square() + spectra.imag.square())).clamp(min=1e-9))
    bands_db = bands_db.clamp(min=float(bands_db.max()) - _TOP_DB)
    rise = bands_db.diff().clamp(min=0).mean(0).numpy()
    # A frame is centred: what begins is in its window half a window earlier.
    return np.pad(rise, (1 + _N_FFT // (2 * _HOP), 0))[: len(rise) + 1]


def _around(values: np.ndarray, reach: int) -> np.ndarray:
    """Values [T] → each with its neighbours [T, 2 * reach + 1]; beyond the ends they are mirrored."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, "symmetric"), 2 * reach + 1)


def _level(wave: Tensor) -> np.ndarray:
    """Wave [N] → root mean square about each frame, [1 + N // _HOP]."""
    return F.avg_pool1d(wave.square()[None], _N_FFT, _HOP, padding=_N_FFT // 2)[0].sqrt().numpy()


def _decay(level_db: np.ndarray, frame_rate: float) -> float:
    """dB/s by which what follows an onset falls (a line through its level, from the loudest on); NaN if unknown."""
    rise = round(_LEAST_DECAY * frame_rate)
    if len(level_db) <= 2 * rise:
        return np.nan
    top = int(np.argmax(level_db[: 3 * rise]))
    tail = level_db[top : top + round(_DECAY_SECONDS * frame_rate)]
    below = np.flatnonzero(tail < tail[0] - _DECAY_DB)
    tail = tail[: below[0] + 1] if len(below) else tail
    if len(tail) < rise // 2:
        return np.nan
    slope = np.polyfit(np.arange(len(tail)) / frame_rate, tail, 1)[0]
    return -slope if slope < -_LEAST_FALL else np.nan
