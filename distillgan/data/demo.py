"""The demo corpus: twelve clips that the package synthesises itself, so that a first run needs no recordings.

They differ in what a small model can learn to move along: pitched or noisy, dark or bright, sparse or dense, smooth or
rough, dry or in a room. Each clip is a function of its own random generator, so one can change without the others.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator

from distillgan.atomic import replace_file
from distillgan.data import demo_instruments as play
from distillgan.data.demo_instruments import SAMPLE_RATE, finish, lay, midi, room, swell, timeline

_MARKER = ".demo-v1"  # name → SHA-256 of every clip; raise the number when a clip changes


def plucked_strings(rng: Generator) -> np.ndarray:
    """A fingerpicked phrase on a wooden body: clear attacks, ringing strings, a small room."""
    track = np.zeros((1, round(5.0 * SAMPLE_RATE)))
    notes = (45, 64, 57, 60, 64, 71, 69, 64, 43, 62, 67, 74, 41, 57, 69, 72)
    times = (0.03, 0.03, 0.33, 0.62, 0.93, 1.2, 1.52, 1.83, 2.13, 2.14, 2.45, 2.74, 3.05, 3.35, 3.36, 3.66)
    for note, at in zip(notes, times, strict=True):
        bright, position = rng.uniform(0.5, 0.85), rng.uniform(0.1, 0.25)
        string = play.pluck(rng, midi(note), 5.0 - at, 4.5 - 0.035 * note, bright, position)
        lay(track, string, at + rng.uniform(0, 0.012), rng.uniform(0.6, 1.0))
    body = sum(play.resonate(track, hz, width) for hz, width in ((104, 18), (208, 24), (415, 40)))
    return finish(room(rng, track + 0.9 * body, 0.5, 0.15), -3.0, fade_out=0.5)


def wooden_bars(rng: Generator) -> np.ndarray:
    """A marimba ostinato, dry and short: one pulse, accents in threes, two hands."""
    track = np.zeros((1, round(4.0 * SAMPLE_RATE)))
    notes = (57, 64, 72, 64, 69, 64, 76, 69, 57, 65, 72, 65, 69, 81, 77, 69, 55, 62, 71, 62, 67, 62, 74, 79, 45)
    for beat, note in enumerate(notes):
        accent = 1.0 if beat % 3 == 0 else rng.uniform(0.35, 0.6)
        bar = play.strike(rng, midi(note), play.TUNED_BAR, 1.6 - 0.012 * note, hardness=0.4 * accent)
        lay(track, bar, 0.03 + 0.116 * beat + rng.uniform(0, 0.006), accent)
    return finish(track, -2.0, fade_out=0.25)


def bells(rng: Generator) -> np.ndarray:
    """Church bells and small plates, stereo, in a large bright hall."""
    track = np.zeros((2, round(6.0 * SAMPLE_RATE)))
    for note, at, gain, pan in ((69, 0.04, 1.0, -0.3), (76, 1.7, 0.7, 0.4), (72, 2.9, 0.8, 0.0), (59, 4.0, 1.0, -0.1)):
        lay(track, play.strike(rng, midi(note), play.CHURCH_BELL, 6.0, hardness=0.75, split=0.0015), at, gain, pan)
    for note, at, pan in ((93, 1.05, 0.7), (88, 2.3, -0.7), (96, 3.5, 0.6)):
        lay(track, play.strike(rng, midi(note), play.FREE_BAR, 2.2, hardness=0.5, split=0.002), at, 0.22, pan)
    return finish(room(rng, track, 3.5, 0.25, bright=0.7), -3.0, fade_out=1.0)


def glass_harmonica(rng: Generator) -> np.ndarray:
    """Rubbed glasses that overlap: few pure partials, slow beating, the friction of a wet finger."""
    t = timeline(5.5)
    track = np.zeros((1, len(t)))
    for note, start, end in ((76, 0.0, 2.7), (83, 1.2, 4.0), (79, 2.5, 5.0), (88, 3.4, 5.5)):
        hz = midi(note) * (1 + 0.0012 * play.drift(rng, t, 3.0))
        turning = 1 + 0.3 * np.sin(2 * np.pi * rng.uniform(2.6, 3.8) * t)
        voice = sum(0.16**k * play.tone(hz * ratio, 0.02) for k, ratio in enumerate(play.WINE_GLASS[:4]))
        finger = play.resonate(rng.standard_normal(len(t)), midi(note) * 2.32, 60) * 1.2
        lay(track, (voice + finger) * turning * swell(t, start, 0.9, end, 1.1), 0.0, 76 / note)
    return finish(room(rng, track, 2.0, 0.4, bright=0.6), -6.0, fade_out=0.3)


def breath_flute(rng: Generator) -> np.ndarray:
    """Breaths into a flute: the air comes first, then the tone; the last note overblows."""
    t = timeline(4.8)
    times = (0.7, 0.78, 1.3, 1.36, 2.5, 2.56, 3.1, 3.16, 3.7, 3.74)
    note = np.interp(t, times, (62, 65, 65, 69, 69, 67, 67, 62, 62, 74))
    hz = midi(note) * (1 + 0.006 * np.sin(2 * np.pi * 5.1 * t) * np.clip(t - 1.4, 0, 1) + 0.001 * play.drift(rng, t, 6))
    breath = swell(t, 0.0, 0.35, 2.42, 0.3) + swell(t, 2.5, 0.15, 4.75, 0.9)
    blown = swell(t, 0.22, 0.3, 2.36, 0.35) + swell(t, 2.55, 0.2, 4.5, 1.0)
    bore = midi(np.where(note > 70, note - 12, note))

    def tube(f: np.ndarray, frame: np.ndarray) -> np.ndarray:
        comb = np.cos(np.pi * f / np.interp(frame, t, bore)) ** 8  # an open tube rings at whole multiples
        return (0.1 + comb) * np.exp(-(f / 5200)) * np.minimum(f / 500, 1)

    air = play.carve(rng.standard_normal(len(t)), tube) * breath
    voice = play.tone(hz, 0.12 + 0.2 * blown * (note > 70)) * blown * (1 + 0.1 * play.drift(rng, t, 9))
    return finish(room(rng, (0.4 * voice + 0.8 * air)[None], 1.2, 0.2), -5.0)


def wind(rng: Generator) -> np.ndarray:
    """Wind round a house: gusts of low rumble and two whistles that climb with them."""
    t = timeline(6.0)
    gust = np.interp(t, (0, 1.3, 2.2, 3.6, 4.6, 6.0), (0.15, 0.8, 0.3, 1.0, 0.45, 0.1)) + 0.07 * play.drift(rng, t, 2.5)

    def gap(f: np.ndarray, frame: np.ndarray) -> np.ndarray:
        force = np.interp(frame, t, gust)
        low, high = (np.exp(-0.5 * ((f - hz * (1 + 1.1 * force)) / (0.07 * hz)) ** 2) for hz in (430, 780))
        return force**2 * (low + 0.5 * high) + 0.35 * force / (1 + (f / (120 + 500 * force)) ** 2)

    return finish(play.carve(rng.standard_normal(len(t)), gap)[None], -4.0, fade_out=0.6)


def bubbles(rng: Generator) -> np.ndarray:
    """A bottle filling under water: big single bubbles, then a climbing, thickening stream of small ones."""
    track = np.zeros((1, round(4.5 * SAMPLE_RATE)))
    for at in np.cumsum(rng.uniform(0.17, 0.33, 15)):
        radius = 0.016 * 0.82 ** (at / 0.6) * rng.uniform(0.8, 1.25)
        lay(track, play.bubble(radius, rng.uniform(0.1, 0.25)), at - 0.1, rng.uniform(0.6, 1.0))
    for at in 4.3 * np.sqrt(rng.uniform(0.05, 1.0, 260)):
        radius = 0.0035 * np.exp(0.45 * rng.standard_normal() - 0.14 * at)
        lay(track, play.bubble(radius, rng.uniform(0.02, 0.2)), at, 0.35 * min(radius / 0.0035, 1.5) ** 1.5)
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
                hz = midi(note) * (1 + 0.003 * pan + 0.0012 * play.drift(rng, t, 1.5))
                lay(track, envelope * play.tone(hz, brightness, rng.uniform(0, 2 * np.pi)), start, 1.0, pan)
    return finish(room(rng, track, 2.5, 0.3), -6.0, fade_out=0.5)


def beating_drone(rng: Generator) -> np.ndarray:
    """A low drone whose strings are a hair apart, so that it beats, with an overtone sung through it."""
    t = timeline(6.0)
    strings = sum(
        level * play.tone(np.full_like(t, hz), 0.88, rng.uniform(0, 2 * np.pi))
        for hz, level in ((55.0, 1.0), (55.7, 1.0), (82.4, 0.35), (110.9, 0.4))
    )
    strings = np.tanh(0.4 * strings)

    def mouth(f: np.ndarray, frame: np.ndarray) -> np.ndarray:
        melody = np.interp(frame, (1, 1.1, 2, 2.1, 3, 3.1, 4, 4.1, 5, 5.1), (6, 8, 8, 9, 9, 12, 12, 10, 10, 8))
        return 2.5 * np.exp(-0.5 * ((f - 55 * melody) / 30) ** 2) + 1 / (1 + (f / 240) ** 2)

    return finish(play.carve(strings, mouth)[None] * swell(t, 0.0, 0.5, 6.0, 0.8), -8.0)


def hand_drums(rng: Generator) -> np.ndarray:
    """A frame drum, its slaps and a wood block that keeps the 12/8 bell pattern, in a dead room."""
    track = np.zeros((1, round(4.3 * SAMPLE_RATE)))
    for hits, hz, ratios, t60, hardness, bend, gain in (
        ("x.....x..x..x..x..x.x...", 82, play.MEMBRANE, 0.75, 0.12, 0.25, 1.0),
        ("...x.......x......x..x.x", 245, play.MEMBRANE, 0.16, 0.9, 0.1, 0.6),
        ("x.x.xx.x.x.xx.x.xx.x.x.x", 960, (1.0, 2.42, 4.1), 0.09, 0.5, 0.0, 0.4),
    ):
        for beat in (beat for beat, hit in enumerate(hits) if hit == "x"):
            hit = play.strike(rng, hz * rng.uniform(0.985, 1.015), ratios, t60, hardness, bend=bend)
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
        track += 6 * play.resonate(drops, hz * rng.uniform(0.9, 1.1), 0.08 * hz)
    for at in rng.uniform(0.1, 4.7, 30):
        crack = play.strike(rng, rng.uniform(2000, 6000), play.FREE_BAR[:3], 0.015, hardness=0.9)
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
            note = np.interp(t, (turn, turn + 0.12), (first, second)) + 0.06 * play.drift(rng, t, 4)
            vibrato = 0.25 * np.sin(2 * np.pi * rng.uniform(4.8, 5.8) * t + rng.uniform(0, 6)) * np.clip(t - 0.5, 0, 1)
            voice = play.tone(midi(note + vibrato), 0.95, rng.uniform(0, 6))
            source += voice * swell(t, rng.uniform(0, 0.15), 0.5, 5.4, 0.8)
    source += 0.05 * rng.standard_normal(len(t)) * swell(t, 0, 0.5, 5.4, 0.8)
    track = sum(share * play.sing(source, vowel) for vowel, share in mix.items())[None]
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
