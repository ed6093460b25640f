"""The instruments of the demo corpus: small physical and spectral models, numpy and scipy.signal only.

A voice is float64 [N], a track [C, N], at 44.1 kHz; frequencies in Hz, times in seconds, t60 the time to fall by 60 dB.
What takes an `rng` is a pure function of its state: same state in, same samples out.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from scipy import signal

SAMPLE_RATE = 44100

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
        n = round(1.2 * ring * SAMPLE_RATE)  # below -72 dB nobody hears it, and it takes time to compute
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
