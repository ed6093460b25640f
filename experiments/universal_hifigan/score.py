"""Scores universal vocoders on whole held-out sources.

    python experiments/universal_hifigan/score.py WEIGHTS …

WEIGHTS are what train.py writes. Rows: each yardstick (`--yardsticks`, a module:callable each, found from the folder of
the clone) and each file of weights; true mels in. `--clips` at most of each source are taken (four times as many of the
largest), spread over it, `--seconds` of each. Percussive means the drums. Prints Markdown tables and writes scores.json
beside the first file of weights; the second table is of made sounds that a vocoder must not fail. Wants

    pip install 'distillgan[scores]' && pip install --no-deps cdpam==0.0.6 resampy
"""

import argparse
import functools
import json
import math
import multiprocessing
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile
import torch
from pieces import spread
from scipy import signal

from distillgan.audio.io import resample
from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log_clamp
from distillgan.evaluation.metrics import PERCEPTUAL, SPEED, WINDOWS, TrueWave, mean, multi_resolution, stft_distances
from distillgan.evaluation.vocoders import external
from distillgan.models.vocoders.registry import load_own, read_weights

HERE = Path(__file__).parent
SPEC = MelSpec()
KEYS = (*PERCEPTUAL, "cdpam", "stft", "stft_short", "log_spectral_distance_db", "mel_l1", SPEED)
_WINDOWS = (*WINDOWS, 4096)
_FRAME_RATE = SPEC.sample_rate / SPEC.hop_length


def player(name: str):
    """A file of weights or a yardstick's module:callable → log-clamp mel [1, n_mels, T] → wave [N]."""
    if ":" in name:
        return external(name, SPEC, torch.device("cpu")).play
    weights = read_weights(name)
    state = {f"vocoder.{key}": tensor for key, tensor in weights.tensors.items()}
    vocoder = load_own({"name": weights.name, "generator": weights.arguments}, state, weights.spec)
    return lambda mel: vocoder.render(mel)[0, 0]


@functools.lru_cache(maxsize=1)
def cdpam():
    """CDPAM (Manocha et al. 2021): waves [N] → a learned distance, 0 is the same. It hears up to 11 kHz."""
    # Its weights are a pickle of the package's own, which the package (not distillgan) unpickles.
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        from cdpam import CDPAM

        network = CDPAM(dev="cpu")
    finally:
        del os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"]

    def distance(*waves: torch.Tensor) -> float:
        pair = [np.round(32768 * resample(wave[None].numpy(), SPEC.sample_rate, 22050)) for wave in waves]
        with torch.inference_mode():
            return float(network.forward(*pair))

    return distance


def score(job: tuple[str, Path, float]) -> dict:
    name, path, seconds = job
    wave, _ = soundfile.read(path, dtype="float32", frames=round(seconds * SPEC.sample_rate))
    hop = SPEC.hop_length
    wave = torch.from_numpy(np.pad(wave, (0, -len(wave) % hop + 2 * hop)))
    with torch.inference_mode():
        mel, play = to_log_clamp(MelSpectrogram(SPEC)(wave[None])), player(name)
        play(mel)
        begun = time.perf_counter()
        made = play(mel)
        speed = len(wave) / SPEC.sample_rate / (time.perf_counter() - begun)
    values = TrueWave(wave, SPEC).compare(made) | {SPEED: speed, "cdpam": cdpam()(wave, made)}
    values["stft"] = multi_resolution(stft_distances(wave, made, _WINDOWS), _WINDOWS)
    return {"vocoder": name, "source": path.parent.name, "file": path.name, **values}


def made_sounds(name: str) -> dict[str, float]:
    """How far off a vocoder is on sounds of known truth: levels and lines at the frame rate in dB, pitches in cents."""
    time_axis = np.arange(8 * SPEC.sample_rate // SPEC.hop_length * SPEC.hop_length) / SPEC.sample_rate
    random, play = np.random.default_rng(0), player(name)
    found = {}
    noise = 0.1 * random.standard_normal(len(time_axis))
    sweep = 0.3 * signal.chirp(time_axis, 50, time_axis[-1], 18000, method="logarithmic")
    for label, wave in (("noise", noise), ("sweep", sweep), ("silence", 0 * noise)):
        made = _played(play, wave)
        if label != "silence":
            found[f"{label} level dB"] = 20 * math.log10(made.std() / wave.std())
        found[f"{label} line dB"] = _line(made) - (0 if label == "silence" else _line(wave))
    for hz in (55, 110, 440, 1234.5, 3000, 8000):
        made = _played(play, 0.3 * np.sin(2 * np.pi * hz * time_axis))
        spectrum = np.abs(np.fft.rfft(made * np.hanning(len(made)), 8 * len(made)))
        peak = spectrum.argmax() * SPEC.sample_rate / (8 * len(made))
        found[f"{hz:g} Hz cents"] = 1200 * math.log2(peak / hz)
        found[f"{hz:g} Hz level dB"] = 20 * math.log10(made.std() / (0.3 / math.sqrt(2)))
        power, near = spectrum**2, np.abs(np.arange(len(spectrum)) * SPEC.sample_rate / (8 * len(made)) - hz) < 3
        found[f"{hz:g} Hz above the rest dB"] = 10 * math.log10(power[near].sum() / power[~near].sum())
    return found


def _played(play, wave: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        mel = to_log_clamp(MelSpectrogram(SPEC)(torch.from_numpy(wave.astype(np.float32))[None]))
        return play(mel).double().numpy()[SPEC.n_fft : -SPEC.n_fft]


def _line(wave: np.ndarray) -> float:
    """How far steady lines at multiples of the frame rate stand above what is beside them: median over lines in dB.

    For silence (the loudest line's own level in dBFS), since beside it there is nothing.
    """
    spectrum = np.abs(np.fft.rfft(wave * signal.windows.hann(len(wave)))) * 4 / len(wave)
    if wave.std() < 1e-4:
        return 20 * math.log10(max(spectrum.max(), 1e-9))
    step = _FRAME_RATE * len(wave) / SPEC.sample_rate
    above = []
    for line in np.arange(2, 200) * step:
        at = round(line)
        beside = np.median(spectrum[at - round(step / 2) : at + round(step / 2)])
        above.append(20 * math.log10(spectrum[at - 1 : at + 2].max() / max(beside, 1e-9)))
    return float(np.percentile(above, 90))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--folder", type=Path, default=HERE / "corpus" / "held_out")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--yardsticks", nargs="*", default=["experiments.yardsticks:griffin_lim"])
    options = parser.parse_args()
    if not options.folder.is_dir():
        sys.exit(f"{options.folder}: there is no such folder. build_corpus.py, beside this script, makes it")
    names = [*options.yardsticks, *options.weights]
    paths = []
    for folder in sorted(path for path in options.folder.iterdir() if path.is_dir()):
        files = sorted(folder.glob("*.flac"))
        paths += spread(files, options.clips * (4 if "supersonic" in folder.name else 1))
    jobs = [(name, path, options.seconds) for path in paths for name in names]
    with multiprocessing.get_context("spawn").Pool(options.processes, torch.set_num_threads, (1,)) as pool:
        rows = pool.map(score, jobs, chunksize=1)
    parts = {"all": rows, "percussive": [row for row in rows if "drum_" in row["file"]]}
    parts |= {
        source: [row for row in rows if row["source"] == source] for source in sorted({r["source"] for r in rows})
    }
    table = [["sounds", "clips", "vocoder", *KEYS]]
    for part, some in parts.items():
        for name in names:
            mine = [row for row in some if row["vocoder"] == name]
            values = [mean([row[key] for row in mine]) for key in KEYS]
            cells = ["n/a" if value is None else f"{value:.3g}" for value in values]
            label = name.partition(":")[2] or Path(name).stem
            table.append([part, str(len(mine)), label, *cells])
    print("\n".join(f"| {' | '.join(row)} |" for row in (table[0], ["---"] * len(table[0]), *table[1:])))
    truths = {name: made_sounds(name) for name in names}
    for key in next(iter(truths.values())):
        print(f"| {key} | {' | '.join(f'{truths[name][key]:.2f}' for name in names)} |")
    target = Path(options.weights[0]).with_name("scores.json")
    target.write_text(json.dumps({"clips": rows, "made sounds": truths}, indent=1))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
