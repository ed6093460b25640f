"""How near to its recordings what a model invents is.

    python experiments/beta/samples.py RECORDINGS SWEEP

Fréchet distance (Heusel et al. 2017, section 3; for audio Kilgour et al. 2019) between windows of 1.5 s of the
recordings and of sound rendered from each of the sweep's models. A window is described by the mean and the standard
deviation over time of its mel in dB, [256], on the recordings' first 6 principal axes, each scaled to a variance of 1.
"corpus" recombines the recordings' own moments, "prior" draws new places from the latent's Gaussian. The floor is the
distance between one half of the recordings' windows and the other.
"""

import json
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import sqrtm

import distillgan as dg
from distillgan.audio.mel import MelSpec, MelSpectrogram
from distillgan.data.cache import AudioCache
from distillgan.paths import Home, default_home

WINDOW, AXES, SEEDS, SECONDS = 129, 6, 16, 6.0  # mel frames, -, sounds a model, seconds each
FLOOR_DB, LEVEL = -80.0, -20.0  # of a mel band; of every sound, RMS dBFS


def windows(wave: np.ndarray, mel: MelSpectrogram) -> np.ndarray:
    """Wave float32 [N] → [W, 256]."""
    wave = wave * 10 ** (LEVEL / 20) / max(float(np.sqrt(np.mean(wave**2))), 1e-6)
    decibels = 20 * torch.log10(mel(torch.from_numpy(wave)[None, None])[0]).clamp(min=FLOOR_DB / 20)
    pieces = [piece for piece in decibels.split(WINDOW, -1) if piece.shape[-1] > WINDOW // 3]
    return torch.stack([torch.cat([piece.mean(-1), piece.std(-1)]) for piece in pieces]).numpy()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Fréchet distance of two clouds [W, D], as if both were Gaussian."""
    covariances = [np.cov(cloud.T) for cloud in (one, other)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    return float(np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(sum(covariances) - 2 * root))


def main(recordings: Path, sweep: Path) -> None:
    if not recordings.is_dir():
        sys.exit(f"{recordings}: there is no such folder. python experiments/corpora.py all makes those of the studies")
    spec = MelSpec()
    mel = MelSpectrogram(spec)
    with AudioCache(Home(default_home()).decoded, spec.sample_rate) as cache:
        clips = [cache.clip(path) for path in sorted(recordings.iterdir())]
        clips = [clip for clip in clips if clip.length > spec.sample_rate]  # shorter ones are hardly a window
        real = np.concatenate([windows(clip.read(0, clip.length), mel) for clip in clips])
    centre = real.mean(0)
    _, scale, axes = np.linalg.svd(real - centre, full_matrices=False)
    project = axes[:AXES].T / scale[:AXES] * np.sqrt(len(real))
    real = (real - centre) @ project
    shuffled = np.random.default_rng(1).permutation(real)
    floor = distance(shuffled[::2], shuffled[1::2])
    print(f"{len(real)} windows of the recordings; between their halves {floor:.2f}\n", flush=True)
    found: dict[tuple[str, str], list[float]] = {}
    for row in json.loads((sweep / "table.json").read_text()):
        if row["reason"] is None:
            model = dg.load(row["model"], device="cpu")
            for source in ("corpus", "prior"):
                clips = [model.render(SECONDS, seed=seed, source=source, vocoder="universal") for seed in range(SEEDS)]
                made = np.concatenate([windows(clip.wave[0], mel) for clip in clips])
                key = (row["model.module.kl.weight"], source)
                found.setdefault(key, []).append(distance(real, (made - centre) @ project))
    print("| kl.weight | corpus | prior |\n|---|---|---|")
    for weight in sorted({key[0] for key in found}, key=float):
        cells = [found[weight, source] for source in ("corpus", "prior")]
        print(
            f"| {weight} | " + " | ".join(f"{statistics.mean(v):.2f} ± {statistics.stdev(v):.2f}" for v in cells) + " |"
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
