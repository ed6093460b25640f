"""Gains over time for the sliders of time: beats, accents and rests that are laid over whatever sounds."""

import numpy as np

# Of what a slider wishes for above 0, the share that comes by its gates; the rest is left to the choice of moments.
BROUGHT = {"rhythm": 0.5, "pulse": 0.8, "density": 0.3}
_BEAT_SECONDS = (0.4, 0.75)
_BEAT_DB, _BEAT_FALL = 30.0, 0.15  # depth of a full slider's beats; s to fall to a third of it
_ACCENT_DB, _ACCENT_FALL, _ACCENTS = 18.0, 0.35, 3.0  # the last a second, at a full slider
_EVENT_DB, _EVENT_FALL, _EVENTS = 14.0, 0.06, 6.0
_UNEVEN = 0.7  # share by which the time from one to the next may be longer or shorter
_SOUND_SECONDS = (0.8, 1.6)
_MOST_REST = 0.85  # of the time, at a full slider
_REST_DB, _RISE_SECONDS, _RELEASE_SECONDS = -60.0, 0.1, 0.2


def envelope_db(
    rhythm: np.ndarray, pulse: np.ndarray, density: np.ndarray, frame_rate: float, rng: np.random.Generator
) -> np.ndarray | None:
    """Sliders' positions over 10, each [T] → gain in dB, float32 [T], 0 or less; None if they ask for nothing.

    pulse above 0: beats at a steady tempo, drawn once; rhythm above 0: accents at irregular times; density above 0:
    short ones, more often; below 0: rests. What the sliders ask for in the other direction is left to the choice of
    moments.
    """
    frames = len(pulse)
    beating, accenting, striking, resting = rng.spawn(4)
    gain = np.zeros(frames)
    if (pulse > 0).any():
        beat = beating.uniform(*_BEAT_SECONDS) * frame_rate
        gain += _struck(np.arange(frames) % beat, np.maximum(pulse, 0) * _BEAT_DB, _BEAT_FALL * frame_rate)
    for drive, rate, depth, fall, generator in (
        (np.maximum(rhythm, 0), _ACCENTS, _ACCENT_DB, _ACCENT_FALL, accenting),
        (np.maximum(density, 0), _EVENTS, _EVENT_DB, _EVENT_FALL, striking),
    ):
        if drive.any():
            since = _since_strokes(drive * rate / frame_rate, generator)
            gain += _struck(since, depth * np.minimum(1, 2 * drive), fall * frame_rate)
    if (density < 0).any():
        gain += _rests(np.maximum(-density, 0), frame_rate, resting)
    return gain.astype(np.float32) if gain.any() else None


def _struck(since: np.ndarray, depth_db: np.ndarray, fall: float) -> np.ndarray:
    """Full gain at each stroke, and `depth_db` less when long past; `since` counts frames from the last stroke."""
    return -depth_db * (1 - np.exp(-since / fall))


def _since_strokes(rate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strokes a frame on average [T] → frames since the last of strokes at uneven times, [T]."""
    passed, frames = np.cumsum(rate), np.arange(len(rate))
    due = np.cumsum(rng.uniform(1 - _UNEVEN, 1 + _UNEVEN, int(passed[-1] / (1 - _UNEVEN)) + 2))
    number = np.searchsorted(due, passed, "right")
    struck = np.append(True, number[1:] > number[:-1])
    return frames - np.maximum.accumulate(np.where(struck, frames, 0))


def _rests(share: np.ndarray, frame_rate: float, rng: np.random.Generator) -> np.ndarray:
    """Sound and silence by turns, silent for `share` [T] of the time (0…1.2, of _MOST_REST)."""
    frames, gain, at = len(share), np.zeros(len(share)), 0
    while at < frames:
        sound = int(rng.uniform(*_SOUND_SECONDS) * frame_rate)
        silent = min(0.97, share[min(at, frames - 1)] * _MOST_REST)
        rest = int(sound * silent / (1 - silent))
        begin, end = at + sound, min(at + sound + rest, frames)
        if begin < end:
            release = np.arange(end - begin) / (_RELEASE_SECONDS * frame_rate)
            rise = (end - np.arange(begin, end)) / (_RISE_SECONDS * frame_rate)
            gain[begin:end] = _REST_DB * np.minimum(np.minimum(release, 1), rise)
        at += sound + rest
    return gain
