"""Sounds of our own for the corpus: what a vocoder must be able to say and recordings seldom hold. Deterministic.

A recipe takes a random generator and returns mono float64 [N] at 44.1 kHz. The strings, bars and bubbles are the demo
corpus's instruments.
"""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from scipy import signal

from distillgan.data import demo as play
from distillgan.data.demo import SAMPLE_RATE, drift, lay, midi, timeline

TAKES = 9  # of each recipe
_BODIES = (play.FREE_BAR, play.TUNED_BAR, play.CHURCH_BELL, play.MEMBRANE, play.WINE_GLASS)


def clips(seed: int, takes: int = TAKES) -> Iterator[tuple[str, np.ndarray]]:
    """(name, float32 [N]) of every recipe's takes, all recipes before the second take of any."""
    for take in range(takes):
        for number, recipe in enumerate(RECIPES):
            rng = np.random.default_rng([seed, number, take])
            sound = recipe(rng)
            sound = sound * play.swell(timeline(len(sound) / SAMPLE_RATE), 0, 0.003, len(sound) / SAMPLE_RATE, 0.05)
            peak = 10 ** (rng.uniform(-18, -1) / 20)
            yield f"{recipe.__name__}-{take}", (sound * peak / np.abs(sound).max()).astype(np.float32)


def _seconds(rng: Generator) -> float:
    return float(rng.uniform(5.5, 8.0))


def _spaced(rng: Generator, seconds: float, gap: float) -> np.ndarray:
    """Irregular moments in s, `gap` apart on average, from near 0 to short of `seconds`."""
    times = 0.02 + np.cumsum(rng.exponential(gap, round(2 * seconds / gap) + 4))
    return times[times < seconds - 0.1]


def _coloured(rng: Generator, n: int, slope: float) -> np.ndarray:
    """Noise [n] with unit rms whose amplitude falls as f^-slope above 20 Hz."""
    f = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 20.0)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * f**-slope, n)
    return noise / noise.std()


def coloured_noise(rng: Generator) -> np.ndarray:
    """Blue to brown noise whose loudness wanders or steps."""
    t = timeline(_seconds(rng))
    noise = _coloured(rng, len(t), rng.uniform(-0.4, 1.2))
    if rng.random() < 0.4:  # steps of level, down to near silence
        levels = 10 ** (rng.uniform(-60, 0, 24) / 20)
        return noise * levels[(t * 3).astype(int)]
    return noise * np.exp(0.9 * drift(rng, t, rng.uniform(0.5, 8.0)))


def swept_noise(rng: Generator) -> np.ndarray:
    """Noise through bands that move over the whole spectrum: wind, surf, jets."""
    t = timeline(_seconds(rng))
    tracks = [(drift(rng, t, rng.uniform(0.3, 2.5)), rng.uniform(0.03, 0.8)) for _ in range(rng.integers(1, 4))]

    def bands(f: np.ndarray, frames: np.ndarray) -> np.ndarray:
        octave = np.log2(np.maximum(f, 20) / 1500)
        centres = [(1.8 * np.interp(frames, t, path), width) for path, width in tracks]
        return sum(np.exp(-0.5 * ((octave - centre) / width) ** 2) for centre, width in centres) + 1e-3

    return play.carve(rng.standard_normal(len(t)), bands)


def sweep(rng: Generator) -> np.ndarray:
    """A glide through all pitches, up or down, pure or with harmonics."""
    t = timeline(_seconds(rng))
    low, high = rng.uniform(25, 200), rng.uniform(3000, 20000)
    hz = low * (high / low) ** np.interp(t, (0, t[-1]), (0, 1) if rng.random() < 0.6 else (1, 0))
    count = int(rng.integers(1, 9)) if rng.random() < 0.6 else 1
    angle = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE
    return sum(np.sin(k * angle) / k * (k * hz < 21000) for k in range(1, count + 1))


def vibrato(rng: Generator) -> np.ndarray:
    """Held tones of all pitches, one after the other, pure to bright, with vibrato, tremolo and some breath."""
    seconds = _seconds(rng)
    track = np.zeros((1, round(seconds * SAMPLE_RATE)))
    at = 0.02
    while at < seconds - 0.3:
        t = timeline(float(rng.uniform(0.3, 2.5)))
        depth, rate = rng.uniform(0, 0.02), rng.uniform(3.5, 7.5)
        hz = midi(rng.uniform(24, 118)) * (1 + depth * np.sin(2 * np.pi * rate * t) + 0.001 * drift(rng, t, 6))
        voice = play.tone(hz, rng.choice([0.0, 0.3, 0.6, 0.85, 0.95]), rng.uniform(0, 6))
        voice = voice * (1 + rng.uniform(0, 0.5) * np.sin(2 * np.pi * rate * t))
        voice += rng.choice([0, 0.02, 0.15]) * rng.standard_normal(len(t))
        envelope = play.swell(t, 0, rng.choice([0.004, 0.05, 0.3]), t[-1], rng.choice([0.01, 0.1, 0.3]))
        lay(track, voice * envelope, at, 10 ** (rng.uniform(-24, 0) / 20))
        at += t[-1] * rng.uniform(0.6, 1.1)
    return track[0]


def plucked(rng: Generator) -> np.ndarray:
    """Strings, single and in strummed chords, from a bass to a harp's top."""
    seconds = _seconds(rng)
    track = np.zeros((1, round(seconds * SAMPLE_RATE)))
    for at in _spaced(rng, seconds, rng.uniform(0.2, 0.9)):
        root = rng.uniform(28, 84)
        for i in range(int(rng.choice([1, 1, 1, 3, 5]))):
            bright, length = rng.uniform(0.2, 0.95), rng.uniform(0.4, 3.0)
            note = root + i * rng.choice([3, 4, 5, 7])
            voice = play.pluck(rng, midi(min(note, 96)), length, rng.uniform(0.3, 5.0), bright, rng.uniform(0.08, 0.45))
            lay(track, voice, at + 0.018 * i, rng.uniform(0.1, 1.0))
    return _sometimes_in_a_room(rng, track)


def struck(rng: Generator) -> np.ndarray:
    """Bars, bells, skins and glasses, hit hard and soft."""
    seconds = _seconds(rng)
    track = np.zeros((1, round(seconds * SAMPLE_RATE)))
    for at in _spaced(rng, seconds, rng.uniform(0.1, 0.7)):
        body = _BODIES[rng.integers(len(_BODIES))]
        skin = body is play.MEMBRANE
        hz = midi(rng.uniform(30, 60) if skin else rng.uniform(45, 100))
        t60, bend = (rng.uniform(0.15, 0.8), 0.5) if skin else (rng.uniform(0.2, 4.0), 0.0)
        voice = play.strike(rng, hz, body, t60, rng.uniform(0, 1), rng.choice([0, 0.001, 0.004]), bend)
        lay(track, voice, at, rng.uniform(0.1, 1.0))
    return _sometimes_in_a_room(rng, track)


def frequency_modulation(rng: Generator) -> np.ndarray:
    """FM notes: bells, brass, basses, clangs."""
    seconds = _seconds(rng)
    track = np.zeros((1, round(seconds * SAMPLE_RATE)))
    for at in _spaced(rng, seconds, rng.uniform(0.15, 0.8)):
        t = timeline(float(rng.uniform(0.15, 2.5)))
        hz, ratio = midi(rng.uniform(30, 88)), rng.choice([0.5, 1, 1.4142, 2, 3, 3.5, rng.uniform(0.3, 7)])
        index = rng.uniform(0.2, 7) * play.decay(t, rng.uniform(0.1, 3))
        index = np.minimum(index, 16000 / (hz * ratio))  # sidebands reach about index + 1 modulators far
        voice = np.sin(2 * np.pi * hz * t + index * np.sin(2 * np.pi * hz * ratio * t))
        lay(track, voice * play.decay(t, rng.uniform(0.3, 4)), at, rng.uniform(0.1, 1.0))
    return _sometimes_in_a_room(rng, track)


def grains(rng: Generator) -> np.ndarray:
    """Bursts of filtered noise, sparse as drops or dense as rain and gravel."""
    seconds = _seconds(rng)
    track = np.zeros((1, round(seconds * SAMPLE_RATE)))
    density, brightness = 10 ** rng.uniform(0.3, 2.6), rng.uniform(-1, 1)
    for at in _spaced(rng, seconds, 1 / density):
        t = timeline(float(10 ** rng.uniform(-2.3, -0.7)))
        centre = float(np.clip(2500 * 2 ** (brightness + rng.normal(0, 1.2)), 80, 16000))
        grain = play.resonate(rng.standard_normal(len(t)), centre, centre * rng.choice([0.05, 0.3, 1.0]))
        lay(track, grain * play.decay(t, t[-1]), at, 10 ** (rng.uniform(-30, 0) / 20))
    return track[0]


def impulses(rng: Generator) -> np.ndarray:
    """Clicks through decays: dry, resonant, in rooms; regular trains to single ones."""
    seconds = _seconds(rng)
    n = round(seconds * SAMPLE_RATE)
    clicks = np.zeros((1, n))
    if rng.random() < 0.4:
        clicks[0, :: round(SAMPLE_RATE / 10 ** rng.uniform(0.2, 2.2))] = 1.0
    else:
        at = (_spaced(rng, seconds, rng.uniform(0.05, 0.6)) * SAMPLE_RATE).astype(int)
        clicks[0, at] = rng.choice([-1, 1], len(at)) * rng.uniform(0.05, 1, len(at))
    sound = rng.uniform(0, 1) * clicks
    for _ in range(rng.integers(0, 4)):
        hz = 10 ** rng.uniform(2.0, 4.1)
        sound = sound + play.resonate(clicks, hz, hz / rng.uniform(3, 80)) * hz / 300
    tail = _coloured(rng, n, rng.uniform(0, 0.6)) * play.decay(timeline(seconds), 10 ** rng.uniform(-1.3, 0.5))
    wet = signal.fftconvolve(clicks[0], tail)[:n]
    return sound[0] + rng.uniform(0, 0.5) * wet / np.abs(wet).max()


def cloud(rng: Generator) -> np.ndarray:
    """Dozens of unrelated slowly moving sines: a thick pad with no fundamental."""
    t = timeline(_seconds(rng))
    total = np.zeros_like(t)
    for _ in range(rng.integers(5, 60)):
        hz = min(midi(rng.uniform(28, 130)), 15000) * (1 + 0.004 * drift(rng, t, 0.7))
        level = np.exp(drift(rng, t, rng.uniform(0.3, 4))) / (hz / 300) ** rng.uniform(0, 0.8)
        total += level * np.sin(rng.uniform(0, 6) + 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE)
    return total


def voices(rng: Generator) -> np.ndarray:
    """Vowels on gliding pitches, with breath, and hisses between them."""
    seconds = _seconds(rng)
    track = np.zeros((1, round(seconds * SAMPLE_RATE)))
    for at in _spaced(rng, seconds, 0.35):
        t = timeline(float(rng.uniform(0.1, 0.9)))
        envelope = play.swell(t, 0, 0.03, t[-1], 0.06)
        if rng.random() < 0.3:  # s, sh, f
            centre = rng.uniform(2500, 9000)
            voice = play.resonate(rng.standard_normal(len(t)), centre, centre * 0.5) * 0.4
        else:
            hz = midi(rng.uniform(40, 72)) * 2 ** (0.4 * drift(rng, t, 2.5) + 0.01 * drift(rng, t, 25))
            source = play.tone(hz, 0.93) + rng.uniform(0, 0.3) * rng.standard_normal(len(t))
            voice = play.sing(source, str(rng.choice(list(play.VOWELS)))) * 4
        lay(track, voice * envelope, at, rng.uniform(0.2, 1.0))
    return _sometimes_in_a_room(rng, track)


def water(rng: Generator) -> np.ndarray:
    """Bubbles, single to a stream, over a little noise."""
    seconds = _seconds(rng)
    track = 10 ** rng.uniform(-4, -1.5) * _coloured(rng, round(seconds * SAMPLE_RATE), 0.5)[None]
    for at in _spaced(rng, seconds, 10 ** rng.uniform(-2, -0.6)):
        lay(track, play.bubble(10 ** rng.uniform(-3.1, -1.8), rng.uniform(0, 0.3)), at, rng.uniform(0.05, 1.0))
    return _sometimes_in_a_room(rng, track)


def mixture(rng: Generator) -> np.ndarray:
    """Two or three of the others at once, at different levels and through a tilting filter."""
    chosen = rng.choice(len(RECIPES) - 1, int(rng.integers(2, 4)), replace=False)
    parts = [RECIPES[i](rng) for i in chosen]
    n = min(map(len, parts))
    total = sum(10 ** (rng.uniform(-20, 0) / 20) * part[:n] / np.abs(part[:n]).max() for part in parts)
    return signal.lfilter([1.0], [1, rng.uniform(-0.7, 0.3)], total)


def _sometimes_in_a_room(rng: Generator, track: np.ndarray) -> np.ndarray:
    """A track [1, N] → mono [N], in a room one time out of three."""
    if rng.random() < 1 / 3 and np.abs(track).max():
        track = play.room(rng, track, rng.uniform(0.3, 3), rng.uniform(0.1, 0.6), rng.uniform(0.4, 0.8))
    return track[0]


RECIPES = (
    *(coloured_noise, swept_noise, sweep, vibrato, plucked, struck, frequency_modulation),
    *(grains, impulses, cloud, voices, water, mixture),
)
