"""The demo corpus: twelve clips that the package synthesises itself, so that a first run needs no recordings.

They differ in what a small model can learn to move along: pitched or noisy, dark or bright, sparse or dense, smooth or
rough, dry or in a room. Each clip is a function of its own random generator, so one can change without the others.

A voice is float64 [N], a track [C, N], at 44.1 kHz; frequencies in Hz, times in seconds, t60 the time to fall by 60 dB.
What takes an `rng` is a pure function of its state: same state in, same samples out.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator
from scipy import signal

from distillgan.atomic import replace_file

SAMPLE_RATE = 44100
_MARKER = ".demo-v1"  # name → SHA-256 of every clip; raise the number when a clip changes

# Partials relative to the strike note (Fletcher & Rossing, "The Physics of Musical Instruments", chapters 2, 3 and 21;
# the glass: the table of modal ratios in the Csound manual). A marimba bar's undercut tunes its second to two octaves.
FREE_BAR = (1.0, 2.756, 5.404, 8.933, 13.34)
TUNED_BAR = (1.0, 3.95, 9.24, 15.6)
CHURCH_BELL = (0.5, 1.0, 1.183, 1.506, 2.0, 2.514, 2.662, 3.011, 4.166, 5.433, 6.796, 8.215)
MEMBRANE = (1.0, 1.593, 2.135, 2.295, 2.653, 2.917, 3.598)
WINE_GLASS = (1.0, 2.32, 4.25, 6.63, 9.38)

# A tenor's formants as (Hz, bandwidth in Hz, level in dB), rounded from the table in the Csound manual.
VOWELS = {
    "a": ((650, 80, 0), (1080, 90, -6), (2650, 120, -7), (2900, 130, -8), (3250, 140, -22)),
    "o": ((400, 40, 0), (800, 80, -10), (2600, 100, -12), (2800, 120, -12), (3000, 120, -26)),
    "i": ((290, 40, 0), (1870, 90, -15), (2800, 100, -18), (3250, 120, -20), (3540, 120, -30)),
}


def timeline(seconds: float) -> np.ndarray:
    """The time of every sample, [N]."""
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def midi(note: float) -> float:
    """Hz of an equal-tempered MIDI note (69 is 440 Hz)."""
    return 440.0 * 2 ** ((note - 69) / 12)


def decay(t: np.ndarray, t60: float) -> np.ndarray:
    """Envelope [N] that falls exponentially from 1."""
    return np.exp(-3 * np.log(10) / t60 * t)


def swell(t: np.ndarray, start: float, rise: float, end: float, fall: float) -> np.ndarray:
    """Envelope [N] in 0…1: leaves 0 at `start`, takes `rise` to reach 1 and `fall` to be back at 0 at `end`."""
    ramp = np.clip(np.minimum((t - start) / rise, (end - t) / fall), 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * ramp)


def drift(rng: Generator, t: np.ndarray, rate: float) -> np.ndarray:
    """Smooth random walk [N] about 0, of about unit size, with `rate` turning points a second: an unsteady hand."""
    place, rest = np.divmod((t - t[0]) * rate, 1)
    knots = rng.standard_normal(int(place[-1]) + 2)
    place = place.astype(int)
    return knots[place] + (knots[place + 1] - knots[place]) * (0.5 - 0.5 * np.cos(np.pi * rest))


def tone(hz: np.ndarray, brightness: np.ndarray | float, phase: float = 0.0) -> np.ndarray:
    """Harmonic tone [N] with unit rms, its k-th partial as strong as brightness^k; `hz` [N] and `brightness` may move.

    The closed form of the infinite sum (Moorer 1976, "The synthesis of complex audio spectra by means of discrete
    summation formulas"), with brightness capped so that what would fold over Nyquist is 80 dB down.
    """
    r = np.minimum(brightness, 1e-4 ** (2 * hz.max() / SAMPLE_RATE))
    angle = phase + 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE
    wave = np.sin(angle) / (1 - 2 * r * np.cos(angle) + r * r)
    return wave * np.sqrt(2 * (1 - r * r))


def pluck(rng: Generator, hz: float, seconds: float, t60: float, brightness: float, position: float) -> np.ndarray:
    """Plucked string [N] (Karplus & Strong 1983; tuning and pluck position after Jaffe & Smith 1983).

    `brightness` 0…1 shapes both the pick and the string's loss of treble, `position` 0…0.5 is where it is plucked.
    The loop is a delay line, a 3-point loss filter (exactly 1 sample) and a cubic Lagrange fraction of a sample.
    """
    period = SAMPLE_RATE / hz
    whole = int(period - 2)
    fraction = period - 1 - whole  # 1…2, where the cubic interpolator is flattest
    taps = np.array([np.prod([(fraction - j) / (i - j) for j in range(4) if j != i]) for i in range(4)])
    # The loss acts once a period: divided by hz, the treble of a low string dies as soon as that of a high one.
    loss = np.array([0, 1, 0]) + min(60 * (1 - brightness) / hz, 0.25) * np.array([1, -2, 1])
    loop = np.zeros(whole + 6)
    loop[0] = 1.0
    loop[whole:] -= decay(period / SAMPLE_RATE, t60) * np.convolve(loss, taps)

    pick = rng.uniform(-1, 1, round(period))
    pick = signal.lfilter([1.0], [1, 0.6 * brightness - 1], pick - pick.mean())
    burst = np.zeros(round(seconds * SAMPLE_RATE))
    burst[: len(pick)] = pick
    burst[round(position * period) :][: len(pick)] -= pick  # the comb of a string plucked off its middle
    string = signal.lfilter([1.0], loop, burst)
    return string / np.abs(string).max()


def strike(
    rng: Generator,
    hz: float,
    ratios: Sequence[float],
    t60: float,
    hardness: float,
    split: float = 0.0,
    bend: float = 0.0,
) -> np.ndarray:
    """Struck body [N], N of 1.2 * t60: decaying partials at hz * ratios, the higher the shorter, and the mallet's tick.

    `hardness` 0…1 lifts the upper partials and the tick. `split` is the relative detuning of each partial's twin, which
    a body that is not quite round has and which makes it beat. `bend` is how far a slack skin starts above its pitch.
    """
    t = timeline(1.2 * t60)
    bent = t + bend * 0.03 * (1 - np.exp(-t / 0.03))
    body = np.zeros_like(t)
    for ratio in (ratio for ratio in ratios if hz * ratio < 0.45 * SAMPLE_RATE):
        height = max(ratio / ratios[0], 1.0)
        level = height ** (1.4 * hardness - 1.6) * rng.uniform(0.7, 1.0)
        ring = t60 * height**-0.8
        n = round(1.2 * ring * SAMPLE_RATE)  # below -72 dB it is inaudible, and takes time to compute
        twin = 1 + split * rng.uniform(0.5, 1.5)
        angle = 2 * np.pi * hz * ratio * bent[:n]
        body[:n] += level * decay(t[:n], ring) * (np.sin(angle) + 0.6 * np.sin(twin * angle))
    sound = np.minimum(t / 0.001, 1) * body / np.abs(body).max()
    tick = signal.lfilter([1.0], [1, hardness - 1], rng.standard_normal(min(len(t), 1500)))
    sound[: len(tick)] += 0.15 * hardness * tick * decay(t[: len(tick)], 0.03)
    return sound


def bubble(radius: float, rise: float) -> np.ndarray:
    """One air bubble in water [N]: Minnaert's resonance, climbing as the bubble nears the surface.

    `radius` in metres sets the pitch (3.26 m·Hz / radius: Minnaert 1933) and the damping d = 0.13/a + 0.0072·a^-1.5;
    the pitch is f·(1 + rise·d·t) (van den Doel 2005, "Physically based models for liquid sounds").
    """
    damping = 0.13 / radius + 0.0072 * radius**-1.5
    t = timeline(7.0 / damping)
    cycles = 3.26 / radius * (t + 0.5 * rise * damping * t * t)
    return np.sin(2 * np.pi * cycles) * np.exp(-damping * t) * np.minimum(t / 0.0008, 1)


def carve(sound: np.ndarray, gain: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """A voice [N] → [N] through a filter that moves: `gain(f [F, 1], t [T])` is its magnitude [F, T]."""
    f, t, spectrum = signal.stft(sound, SAMPLE_RATE, nperseg=2048, noverlap=1536)
    _, carved = signal.istft(spectrum * gain(f[:, None], t), SAMPLE_RATE, nperseg=2048, noverlap=1536)
    return carved[: len(sound)]


def resonate(sound: np.ndarray, hz: float, bandwidth: float) -> np.ndarray:
    """A voice or track through one resonance whose gain at `hz` is about 1; same shape."""
    r = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
    angle = 2 * np.pi * hz / SAMPLE_RATE
    gain = (1 - r) * np.sqrt(1 - 2 * r * np.cos(2 * angle) + r * r)
    return signal.lfilter([gain], [1, -2 * r * np.cos(angle), r * r], sound)


def sing(source: np.ndarray, vowel: str) -> np.ndarray:
    """A voice [N] through the parallel formants of `vowel`."""
    return sum(10 ** (level / 20) * resonate(source, hz, width) for hz, width, level in VOWELS[vowel])


def lay(track: np.ndarray, sound: np.ndarray, at: float, gain: float = 1.0, pan: float = 0.0) -> None:
    """Mixes a voice [n] into the track [C, N] in place, from `at` on; what hangs over the end is cut.

    `pan` -1…1 is left to right at equal power; a mono track has none.
    """
    start = round(at * SAMPLE_RATE)
    sound = sound[: track.shape[1] - start]
    sides = np.array([1.0]) if len(track) == 1 else np.sqrt([1 - pan, 1 + pan])
    track[:, start : start + len(sound)] += gain * sides[:, None] * sound


def room(rng: Generator, track: np.ndarray, t60: float, wet: float, bright: float = 0.5) -> np.ndarray:
    """A track [C, N] in a room: dry plus `wet` times as loud a tail, of noise that decays faster the higher it is.

    Each channel has its own noise, so a stereo room is wide (Moorer 1979, "About this reverberation business").
    `bright` 0…1 is how long the treble lasts beside the bass.
    """
    t = timeline(t60)
    noise = rng.standard_normal((len(track), len(t)))
    tail = np.zeros_like(noise)
    for band, (low, high) in enumerate(pairwise((120, 700, 2500, 6500, 14000))):
        sos = signal.butter(2, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos")
        tail += signal.sosfilt(sos, noise) * decay(t, t60 * bright ** (band / 2)) * bright ** (band / 3)
    tail *= np.minimum(t / 0.012, 1)  # no direct sound in the tail: it is already there, dry
    reverb = signal.fftconvolve(track, tail, axes=1)[:, : track.shape[1]]
    return track + wet * reverb * np.sqrt(np.square(track).mean() / np.square(reverb).mean())


def finish(track: np.ndarray, peak_db: float, fade_out: float = 0.12) -> np.ndarray:
    """A track [C, N] → float32 [C, N] ready to be a file: no rumble below 20 Hz, faded ends, peak at `peak_db` dBFS."""
    track = signal.sosfilt(signal.butter(2, 20, "highpass", fs=SAMPLE_RATE, output="sos"), track)
    seconds = track.shape[1] / SAMPLE_RATE
    track = track * swell(timeline(seconds), 0.0, 0.004, seconds, fade_out)
    return (track * (10 ** (peak_db / 20) / np.abs(track).max())).astype(np.float32)


def plucked_strings(rng: Generator) -> np.ndarray:
    """A fingerpicked phrase on a wooden body: clear attacks, ringing strings, a small room."""
    track = np.zeros((1, round(5.0 * SAMPLE_RATE)))
    notes = (45, 64, 57, 60, 64, 71, 69, 64, 43, 62, 67, 74, 41, 57, 69, 72)
    times = (0.03, 0.03, 0.33, 0.62, 0.93, 1.2, 1.52, 1.83, 2.13, 2.14, 2.45, 2.74, 3.05, 3.35, 3.36, 3.66)
    for note, at in zip(notes, times, strict=True):
        bright, position = rng.uniform(0.5, 0.85), rng.uniform(0.1, 0.25)
        string = pluck(rng, midi(note), 5.0 - at, 4.5 - 0.035 * note, bright, position)
        lay(track, string, at + rng.uniform(0, 0.012), rng.uniform(0.6, 1.0))
    body = sum(resonate(track, hz, width) for hz, width in ((104, 18), (208, 24), (415, 40)))
    return finish(room(rng, track + 0.9 * body, 0.5, 0.15), -3.0, fade_out=0.5)


def wooden_bars(rng: Generator) -> np.ndarray:
    """A marimba ostinato, dry and short: one pulse, accents in threes, two hands."""
    track = np.zeros((1, round(4.0 * SAMPLE_RATE)))
    notes = (57, 64, 72, 64, 69, 64, 76, 69, 57, 65, 72, 65, 69, 81, 77, 69, 55, 62, 71, 62, 67, 62, 74, 79, 45)
    for beat, note in enumerate(notes):
        accent = 1.0 if beat % 3 == 0 else rng.uniform(0.35, 0.6)
        bar = strike(rng, midi(note), TUNED_BAR, 1.6 - 0.012 * note, hardness=0.4 * accent)
        lay(track, bar, 0.03 + 0.116 * beat + rng.uniform(0, 0.006), accent)
    return finish(track, -2.0, fade_out=0.25)


def bells(rng: Generator) -> np.ndarray:
    """Church bells and small plates, stereo, in a large bright hall."""
    track = np.zeros((2, round(6.0 * SAMPLE_RATE)))
    for note, at, gain, pan in ((69, 0.04, 1.0, -0.3), (76, 1.7, 0.7, 0.4), (72, 2.9, 0.8, 0.0), (59, 4.0, 1.0, -0.1)):
        lay(track, strike(rng, midi(note), CHURCH_BELL, 6.0, hardness=0.75, split=0.0015), at, gain, pan)
    for note, at, pan in ((93, 1.05, 0.7), (88, 2.3, -0.7), (96, 3.5, 0.6)):
        lay(track, strike(rng, midi(note), FREE_BAR, 2.2, hardness=0.5, split=0.002), at, 0.22, pan)
    return finish(room(rng, track, 3.5, 0.25, bright=0.7), -3.0, fade_out=1.0)


def glass_harmonica(rng: Generator) -> np.ndarray:
    """Rubbed glasses that overlap: few pure partials, slow beating, the friction of a wet finger."""
    t = timeline(5.5)
    track = np.zeros((1, len(t)))
    for note, start, end in ((76, 0.0, 2.7), (83, 1.2, 4.0), (79, 2.5, 5.0), (88, 3.4, 5.5)):
        hz = midi(note) * (1 + 0.0012 * drift(rng, t, 3.0))
        turning = 1 + 0.3 * np.sin(2 * np.pi * rng.uniform(2.6, 3.8) * t)
        voice = sum(0.16**k * tone(hz * ratio, 0.02) for k, ratio in enumerate(WINE_GLASS[:4]))
        finger = resonate(rng.standard_normal(len(t)), midi(note) * 2.32, 60) * 1.2
        lay(track, (voice + finger) * turning * swell(t, start, 0.9, end, 1.1), 0.0, 76 / note)
    return finish(room(rng, track, 2.0, 0.4, bright=0.6), -6.0, fade_out=0.3)


def breath_flute(rng: Generator) -> np.ndarray:
    """Breaths into a flute: the air comes first, then the tone; the last note overblows."""
    t = timeline(4.8)
    times = (0.7, 0.78, 1.3, 1.36, 2.5, 2.56, 3.1, 3.16, 3.7, 3.74)
    note = np.interp(t, times, (62, 65, 65, 69, 69, 67, 67, 62, 62, 74))
    hz = midi(note) * (1 + 0.006 * np.sin(2 * np.pi * 5.1 * t) * np.clip(t - 1.4, 0, 1) + 0.001 * drift(rng, t, 6))
    breath = swell(t, 0.0, 0.35, 2.42, 0.3) + swell(t, 2.5, 0.15, 4.75, 0.9)
    blown = swell(t, 0.22, 0.3, 2.36, 0.35) + swell(t, 2.55, 0.2, 4.5, 1.0)
    bore = midi(np.where(note > 70, note - 12, note))

    def tube(f: np.ndarray, frame: np.ndarray) -> np.ndarray:
        comb = np.cos(np.pi * f / np.interp(frame, t, bore)) ** 8  # an open tube rings at whole multiples
        return (0.1 + comb) * np.exp(-(f / 5200)) * np.minimum(f / 500, 1)

    air = carve(rng.standard_normal(len(t)), tube) * breath
    voice = tone(hz, 0.12 + 0.2 * blown * (note > 70)) * blown * (1 + 0.1 * drift(rng, t, 9))
    return finish(room(rng, (0.4 * voice + 0.8 * air)[None], 1.2, 0.2), -5.0)


def wind(rng: Generator) -> np.ndarray:
    """Wind round a house: gusts of low rumble and two whistles that climb with them."""
    t = timeline(6.0)
    gust = np.interp(t, (0, 1.3, 2.2, 3.6, 4.6, 6.0), (0.15, 0.8, 0.3, 1.0, 0.45, 0.1)) + 0.07 * drift(rng, t, 2.5)

    def gap(f: np.ndarray, frame: np.ndarray) -> np.ndarray:
        force = np.interp(frame, t, gust)
        low, high = (np.exp(-0.5 * ((f - hz * (1 + 1.1 * force)) / (0.07 * hz)) ** 2) for hz in (430, 780))
        return force**2 * (low + 0.5 * high) + 0.35 * force / (1 + (f / (120 + 500 * force)) ** 2)

    return finish(carve(rng.standard_normal(len(t)), gap)[None], -4.0, fade_out=0.6)


def bubbles(rng: Generator) -> np.ndarray:
    """A bottle filling under water: big single bubbles, then a climbing, thickening stream of small ones."""
    track = np.zeros((1, round(4.5 * SAMPLE_RATE)))
    for at in np.cumsum(rng.uniform(0.17, 0.33, 15)):
        radius = 0.016 * 0.82 ** (at / 0.6) * rng.uniform(0.8, 1.25)
        lay(track, bubble(radius, rng.uniform(0.1, 0.25)), at - 0.1, rng.uniform(0.6, 1.0))
    for at in 4.3 * np.sqrt(rng.uniform(0.05, 1.0, 260)):
        radius = 0.0035 * np.exp(0.45 * rng.standard_normal() - 0.14 * at)
        lay(track, bubble(radius, rng.uniform(0.02, 0.2)), at, 0.35 * min(radius / 0.0035, 1.5) ** 1.5)
    return finish(room(rng, track, 0.4, 0.15, bright=0.4), -3.0)


def slow_pad(rng: Generator) -> np.ndarray:
    """Two wide string-machine chords, stereo: the brightness opens, the chord turns, the brightness closes."""
    track = np.zeros((2, round(6.0 * SAMPLE_RATE)))
    for start, chord, opening in ((0.0, (45, 52, 60, 64, 71), (0.3, 0.92)), (2.6, (41, 57, 64, 67, 72), (0.92, 0.3))):
        t = timeline(3.4)
        brightness = np.interp(t, (0.0, 3.4), opening)
        envelope = swell(t, 0.0, 0.7, 3.4, 0.8)
        for note in chord:
            for pan in (-0.8, 0.8):
                hz = midi(note) * (1 + 0.003 * pan + 0.0012 * drift(rng, t, 1.5))
                lay(track, envelope * tone(hz, brightness, rng.uniform(0, 2 * np.pi)), start, 1.0, pan)
    return finish(room(rng, track, 2.5, 0.3), -6.0, fade_out=0.5)


def beating_drone(rng: Generator) -> np.ndarray:
    """A low drone whose strings are a hair apart, so that it beats, with an overtone sung through it."""
    t = timeline(6.0)
    strings = sum(
        level * tone(np.full_like(t, hz), 0.88, rng.uniform(0, 2 * np.pi))
        for hz, level in ((55.0, 1.0), (55.7, 1.0), (82.4, 0.35), (110.9, 0.4))
    )
    strings = np.tanh(0.4 * strings)

    def mouth(f: np.ndarray, frame: np.ndarray) -> np.ndarray:
        melody = np.interp(frame, (1, 1.1, 2, 2.1, 3, 3.1, 4, 4.1, 5, 5.1), (6, 8, 8, 9, 9, 12, 12, 10, 10, 8))
        return 2.5 * np.exp(-0.5 * ((f - 55 * melody) / 30) ** 2) + 1 / (1 + (f / 240) ** 2)

    return finish(carve(strings, mouth)[None] * swell(t, 0.0, 0.5, 6.0, 0.8), -8.0)


def hand_drums(rng: Generator) -> np.ndarray:
    """A frame drum, its slaps and a wood block that keeps the 12/8 bell pattern, in a dead room."""
    track = np.zeros((1, round(4.3 * SAMPLE_RATE)))
    for hits, hz, ratios, t60, hardness, bend, gain in (
        ("x.....x..x..x..x..x.x...", 82, MEMBRANE, 0.75, 0.12, 0.25, 1.0),
        ("...x.......x......x..x.x", 245, MEMBRANE, 0.16, 0.9, 0.1, 0.6),
        ("x.x.xx.x.x.xx.x.xx.x.x.x", 960, (1.0, 2.42, 4.1), 0.09, 0.5, 0.0, 0.4),
    ):
        for beat in (beat for beat, hit in enumerate(hits) if hit == "x"):
            hit = strike(rng, hz * rng.uniform(0.985, 1.015), ratios, t60, hardness, bend=bend)
            lay(track, hit, 0.02 + 0.17 * beat + rng.uniform(0, 0.008), gain * rng.uniform(0.6, 1.0))
    return finish(room(rng, track, 0.25, 0.12), -1.0)


def rain_crackle(rng: Generator) -> np.ndarray:
    """Rain that thickens and passes over dry leaves, stereo: hiss, drops of many sizes, crackle."""
    t = timeline(5.0)
    shower = np.interp(t, (0, 0.8, 2.4, 3.2, 5.0), (0.02, 0.1, 1.0, 0.7, 0.04))
    track = np.diff(rng.standard_normal((2, len(t))), prepend=0.0) * 0.03 * shower
    for hz in np.geomspace(600, 10000, 14):
        falls = rng.random(track.shape) < shower * 50 / SAMPLE_RATE
        drops = falls * rng.pareto(2.5, track.shape).clip(0, 2)
        track += 6 * resonate(drops, hz * rng.uniform(0.9, 1.1), 0.08 * hz)
    for at in rng.uniform(0.1, 4.7, 30):
        crack = strike(rng, rng.uniform(2000, 6000), FREE_BAR[:3], 0.015, hardness=0.9)
        lay(track, crack, at, rng.uniform(0.05, 0.3), rng.uniform(-1, 1))
    return finish(track, -4.0, fade_out=0.4)


def vowel_choir(rng: Generator) -> np.ndarray:
    """Ten singers on two chords, each with a vibrato of their own, going from o through a to i."""
    t = timeline(5.5)
    mix = {"o": np.interp(t, (1.0, 1.8), (1, 0)), "i": np.interp(t, (3.3, 4.2), (0, 1))}
    mix["a"] = 1 - mix["o"] - mix["i"]
    source = np.zeros_like(t)
    for first, second in ((45, 43), (52, 50), (57, 59), (60, 62), (64, 67)):
        for _ in range(2):
            turn = 2.6 + rng.uniform(-0.05, 0.05)
            note = np.interp(t, (turn, turn + 0.12), (first, second)) + 0.06 * drift(rng, t, 4)
            vibrato = 0.25 * np.sin(2 * np.pi * rng.uniform(4.8, 5.8) * t + rng.uniform(0, 6)) * np.clip(t - 0.5, 0, 1)
            voice = tone(midi(note + vibrato), 0.95, rng.uniform(0, 6))
            source += voice * swell(t, rng.uniform(0, 0.15), 0.5, 5.4, 0.8)
    source += 0.05 * rng.standard_normal(len(t)) * swell(t, 0, 0.5, 5.4, 0.8)
    track = sum(share * sing(source, vowel) for vowel, share in mix.items())[None]
    return finish(room(rng, track, 1.8, 0.3), -3.0, fade_out=0.3)


CLIPS = (
    *(plucked_strings, wooden_bars, bells, glass_harmonica, breath_flute, wind),
    *(bubbles, slow_pad, beating_drone, hand_drums, rain_crackle, vowel_choir),
)
FILES = {f"{number:02d}_{clip.__name__}.flac": (number, clip) for number, clip in enumerate(CLIPS, start=1)}


def write_demo_corpus(folder: Path) -> list[Path]:
    """Writes the twelve clips (24-bit FLAC, 44.1 kHz, 3-6 s) into `folder` and returns their paths, sorted.

    A clip that is there and whole stays untouched; a missing, torn or foreign one is written anew, in one rename.
    Raises UserError if the folder cannot be made or written.
    """
    marker = folder / _MARKER
    known = _read_marker(marker)
    digests = {}
    for name, (seed, clip) in FILES.items():
        path = folder / name
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == known.get(name):
            digests[name] = known[name]
            continue
        data = io.BytesIO()
        soundfile.write(data, clip(np.random.default_rng(seed)).T, SAMPLE_RATE, subtype="PCM_24", format="FLAC")
        with replace_file(path) as temporary:
            temporary.write_bytes(data.getvalue())
        digests[name] = hashlib.sha256(data.getvalue()).hexdigest()
    if digests != known:
        with replace_file(marker) as temporary:
            temporary.write_text(json.dumps(digests, indent=1))
    return [folder / name for name in sorted(FILES)]


def _read_marker(marker: Path) -> dict[str, str]:
    """{} where there is none or it cannot be read as JSON: then every clip is written anew."""
    try:
        return dict(json.loads(marker.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}
