"""A General MIDI soundfont, played: every instrument, every drum kit, and small bands. Deterministic by its seed.

tinysoundfont makes the notes; `room` of the demo corpus puts every third clip in a room.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tinysoundfont
from numpy.random import Generator

from distillgan.data.demo import room

SAMPLE_RATE = 44100
BANDS = 18
_DRUM_BANK, _KITS, _DRUM_CHANNEL = 128, (0, 8, 16, 24, 25, 32, 40, 48), 9
# MIDI notes that a group of eight programs is at home in: pianos, mallets, organs, guitars, basses, strings …
_RANGES = (
    *((28, 96), (48, 96), (36, 84), (40, 84), (24, 55), (36, 88), (40, 84), (36, 76)),
    *((48, 88), (55, 96), (40, 90), (36, 84), (36, 84), (45, 84), (40, 80), (40, 80)),
)
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 3, 7, 10), (0, 5, 7, 12), (0, 7), (0, 3, 6, 9), (-12, 0, 7, 16))
# A note is (start in s, length in s, channel, MIDI note, velocity 1…127).
Note = tuple[float, float, int, int, int]


def clips(path: Path, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """The whole programme: (name, mono float32 [N]). Bands and kits come first, so that a cap of minutes keeps them."""
    synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=-9)
    font = synth.sfload(str(path), max_voices=256)
    kits = [kit for kit in _KITS if synth.sfpreset_name(font, _DRUM_BANK, kit)]

    def clip(name: str, number: int, programs: dict[int, int], notes: list[Note]) -> tuple[str, np.ndarray]:
        for channel, program in programs.items():
            bank = _DRUM_BANK if channel == _DRUM_CHANNEL else 0
            synth.program_select(channel, font, bank, program, channel == _DRUM_CHANNEL)
        return name, _finish(np.random.default_rng([seed, 3, number]), _play(synth, notes), wet=number % 3 == 0)

    for number in range(BANDS):
        rng = np.random.default_rng([seed, 0, number])
        programs = {0: int(rng.integers(32, 40)), 1: int(rng.integers(0, 112)), 2: int(rng.integers(0, 112))}
        programs[_DRUM_CHANNEL] = int(rng.choice(kits))
        yield clip(f"band-{number:02d}", number, programs, _band(rng))
    for kit in kits:
        for take in range(2):
            rng = np.random.default_rng([seed, 1, kit, take])
            yield clip(f"kit-{kit:03d}-{take}", kit + take, {_DRUM_CHANNEL: kit}, _drums(rng, 14.0, solo=True))
    for program in range(128):
        if synth.sfpreset_name(font, 0, program):
            rng = np.random.default_rng([seed, 2, program])
            low, high = _RANGES[program // 8]
            yield clip(f"program-{program:03d}", program, {0: program}, _phrase(rng, low, high))


def _phrase(rng: Generator, low: int, high: int) -> list[Note]:
    """About 9 s of one instrument: a line over its whole range, soft to loud, then chords or an arpeggio."""
    notes, at = [], 0.02
    while at < 4.2:
        length = float(rng.choice([0.12, 0.25, 0.5, 1.0], p=[0.2, 0.35, 0.3, 0.15]))
        notes.append((at, length * rng.uniform(0.5, 1.1), 0, int(rng.integers(low, high)), int(rng.integers(25, 128))))
        at += length
    at = 4.6
    while at < 7.8:
        length, chord = float(rng.choice([0.4, 0.8, 1.6])), _CHORDS[rng.integers(len(_CHORDS))]
        root, strum = int(rng.integers(low + 12, max(low + 13, high - 12))), float(rng.choice([0.0, 0.02, 0.12]))
        velocity = int(rng.integers(40, 120))
        notes += [(at + strum * i, length * 0.95, 0, root + step, velocity) for i, step in enumerate(chord)]
        at += length
    return notes


def _drums(rng: Generator, seconds: float, solo: bool = False) -> list[Note]:
    """A beat with accents, ghost notes, fills; on its own it visits the whole kit."""
    sixteenth = 60 / float(rng.uniform(70, 160)) / 4
    kick, snare = rng.random(16) < 0.25, rng.random(16) < 0.08
    kick[0], snare[[4, 12]] = True, True
    hat = int(rng.choice([42, 44, 46, 51]))
    notes = []
    for step in range(int(seconds / sixteenth)):
        at, place = 0.02 + step * sixteenth, step % 16
        hits = [36] * bool(kick[place]) + [38] * bool(snare[place]) + [hat] * (step % 2 == 0)
        if (step // 16) % 4 == 3 and place > 9:
            hits = [int(rng.choice([41, 43, 45, 47, 48, 50, 38]))]
        if solo and step % 3 == 0:
            hits.append(int(rng.integers(35, 82)))
        if place == 0 and (step // 16) % 4 == 0:
            hits.append(int(rng.choice([49, 57, 55])))
        accent = 1.0 if place % 4 == 0 else 0.7
        notes += [(at, 0.2, _DRUM_CHANNEL, hit, int(accent * rng.integers(60, 127))) for hit in hits]
    return notes


def _band(rng: Generator) -> list[Note]:
    """19 s of drums, a bass, chords and a melody in one key."""
    scale = np.array([0, 2, 3, 5, 7, 8, 10] if rng.random() < 0.5 else [0, 2, 4, 5, 7, 9, 11])
    key, beat = int(rng.integers(38, 50)), 60 / float(rng.uniform(75, 150))
    notes = _drums(rng, 17.0) if rng.random() < 0.8 else []

    def pitch(degree: int) -> int:
        return key + int(scale[degree % 7]) + 12 * (degree // 7)

    for bar in range(int(17 / (4 * beat))):
        root, start = int(rng.choice([0, 3, 4, 5, 1])), 0.02 + 4 * beat * bar
        for i in range(4 if rng.random() < 0.5 else 8):
            notes.append((start + i * beat / 2, beat * 0.45, 0, pitch(root) - 12, int(rng.integers(70, 115))))
        for step in (0, 2, 4, 6)[: int(rng.integers(3, 5))]:
            notes.append((start, 3.8 * beat, 1, pitch(root + step) + 12, int(rng.integers(50, 90))))
        for i in np.flatnonzero(rng.random(8) < 0.6):
            degree = root + int(rng.integers(0, 10))
            notes.append((start + i * beat / 2, beat * 0.6, 2, pitch(degree) + 24, int(rng.integers(60, 120))))
    return notes


def _play(synth: tinysoundfont.Synth, notes: list[Note]) -> np.ndarray:
    """The notes and 1.2 s of what they leave behind, float32 [2, N]."""
    synth.sounds_off()
    events = [(start, True, channel, key, velocity) for start, _, channel, key, velocity in notes]
    events += [(start + length, False, channel, key, 0) for start, length, channel, key, _ in notes]
    blocks, now = [], 0
    for at, on, channel, key, velocity in [*sorted(events), (max(e[0] for e in events) + 1.2, False, 0, 0, 0)]:
        if (count := round(at * SAMPLE_RATE) - now) > 0:
            blocks.append(np.frombuffer(synth.generate(count), np.float32).reshape(-1, 2).copy())
            now += count
        if on:
            synth.noteon(channel, key, velocity)
        else:
            synth.noteoff(channel, key)
    return np.concatenate(blocks).T


def _finish(rng: Generator, track: np.ndarray, wet: bool) -> np.ndarray:
    """float [2, N] → mono float32 [N], in a room or dry, its peak between -12 and -1 dBFS."""
    mono = track.mean(axis=0, keepdims=True).astype(np.float64)
    if not np.abs(mono).max():
        return np.zeros(0, np.float32)
    if wet:
        mono = room(rng, mono, rng.uniform(0.4, 3.0), rng.uniform(0.1, 0.5), rng.uniform(0.4, 0.8))
    peak = 10 ** (rng.uniform(-12, -1) / 20)
    return (mono[0] * peak / np.abs(mono).max()).astype(np.float32)
