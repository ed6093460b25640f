"""The figures of the README, from a real model.

    python docs/figures.py MODEL RECORDING

docs/pipeline.png: the pipeline. docs/spectrograms.png: a recording, what the model hears in it, and new sound.
"""

import sys
from pathlib import Path

import librosa
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

import distillgan as dg
from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.audio.picture import RANGE_DB, decibels
from distillgan.audio.plots import add_scale, on_any_ground, save_figure, show_decibels

HERE = Path(__file__).parent
SECONDS = 6.0
BLUE, GREY = "#4878a8", "#7d8590"


def levels(wave: np.ndarray, spec: MelSpec) -> np.ndarray:
    """Wave float32 [N] → mel in dB under its loudest, [n_mels, T]."""
    linear = MelSpectrogram(spec)(torch.from_numpy(np.ascontiguousarray(wave))[None])[0]
    return decibels([to_log1p(linear, spec)], spec)[0]


def picture(axis: Axes, image: np.ndarray, colours: str, least: float, most: float) -> None:
    axis.imshow(image, origin="lower", aspect="auto", cmap=colours, vmin=least, vmax=most)
    axis.set(xticks=[], yticks=[])


def mel(axis: Axes, wave: np.ndarray, spec: MelSpec) -> None:
    picture(axis, levels(wave, spec), "magma", -RANGE_DB, 0)


def line(axis: Axes, wave: np.ndarray) -> None:
    axis.plot(wave[:: max(1, len(wave) // 2000)], color=BLUE, linewidth=0.5)
    axis.set(xticks=[], yticks=[], xlim=(0, None))
    axis.margins(x=0)


def pipeline(model: dg.api.Model, recording: Path, spec: MelSpec) -> Figure:
    heard = model.reconstruct(recording, vocoder="universal").wave[0][: int(SECONDS * spec.sample_rate)]
    z = model.encode(recording)[:, : int(SECONDS * model.latent_rate)]
    new = model.render(SECONDS, seed=2, vocoder="universal").wave[0]
    figure = Figure(figsize=(13, 3.1))
    stations = (
        ("your recordings", "data/", lambda axis: line(axis, heard)),
        ("mel spectrogram\n128 bands", "audio/", lambda axis: mel(axis, heard, spec)),
        (f"latent z\n{len(z)} numbers, {model.latent_rate:.1f} times a second", "models/", lambda a: latent(a, z)),
        ("sliders choose and\nmove moments", "control/", lambda axis: sliders(axis, model)),
        ("new mel spectrogram", "models/", lambda axis: mel(axis, new, spec)),
        ("new sound\nmono, stereo, binaural", "models/ synthesis/", lambda axis: line(axis, new)),
    )
    width, gap = 0.128, 0.0385
    for number, (title, room, draw) in enumerate(stations):
        left = 0.008 + number * (width + gap)
        axis = figure.add_axes((left, 0.22, width, 0.5))
        draw(axis)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(room, fontsize=9, family="monospace", color=GREY)
        if number:
            figure.add_artist(arrow(left - gap + 0.004, left - 0.004))
    return on_any_ground(figure)


def arrow(start: float, end: float) -> FancyArrowPatch:
    return FancyArrowPatch((start, 0.47), (end, 0.47), arrowstyle="-|>", mutation_scale=14, color=GREY)


def latent(axis: Axes, z: np.ndarray) -> None:
    limit = np.abs(z).max()
    picture(axis, z, "RdBu", -limit, limit)


def sliders(axis: Axes, model: dg.api.Model) -> None:
    """The model's own, each at some place."""
    names = [name for name in model.sliders if not name.startswith("axis")]
    places = np.random.default_rng(4).uniform(-7, 7, len(names))
    for height, (name, place) in enumerate(zip(names[::-1], places, strict=True)):
        axis.plot([-10, 10], [height, height], color="#cccccc", linewidth=2)
        axis.plot(place, height, "o", color=BLUE, markersize=6)
        axis.text(0, height + 0.22, name, ha="center", fontsize=8)
    axis.set(xlim=(-12, 12), ylim=(-0.6, len(names)), xticks=[], yticks=[])


def spectrograms(model: dg.api.Model, recording: Path, spec: MelSpec) -> Figure:
    samples = int(SECONDS * spec.sample_rate)
    original = librosa.load(recording, sr=spec.sample_rate, duration=SECONDS)[0]
    shown = {
        "a recording": original,
        "as the model hears it": model.reconstruct(recording, vocoder="universal").wave[0][:samples],
        "new sound (seed 2)": model.render(SECONDS, seed=2, vocoder="universal").wave[0],
        "brighter (brightness 8)": model.render(SECONDS, seed=2, vocoder="universal", brightness=8).wave[0],
    }
    figure = Figure(figsize=(13, 3.2), layout="constrained")
    axes = figure.subplots(1, len(shown), sharey=True)
    for axis, (title, wave) in zip(axes, shown.items(), strict=True):
        image = show_decibels(axis, levels(wave, spec), spec, spec.frame_rate)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("seconds")
    axes[0].set_ylabel("Hz")
    add_scale(figure, image, axes)
    return on_any_ground(figure)


def main(name: str, recording: Path) -> None:
    model, spec = dg.load(name, device="cpu"), MelSpec()
    save_figure(pipeline(model, recording, spec), HERE / "pipeline.png")
    save_figure(spectrograms(model, recording, spec), HERE / "spectrograms.png")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
