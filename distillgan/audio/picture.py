"""Spectrogram pictures: what was made, to be seen before it is heard."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from distillgan.atomic import replace_file
from distillgan.audio.mel import LOG_FLOOR, from_log1p
from distillgan.audio.spec import MelSpec

RANGE_DB = 80  # between the brightest and the darkest colour
_GREY = "#7d8590"  # 3.7 times as dark as white, 5.6 times as bright as black
_TICKS = (100, 1000, 10000, 2000, 5000, 500, 20000, 200, 50, 20)  # Hz, those that must be seen first
_LEAST_GAP = 0.07  # between two ticks, of the axis
_SILENCE_DB = -200.0


def draw_mels(rows: list[dict[str, Tensor]], title: str, spec: MelSpec, frame_rate: float | None = None) -> Figure:
    """Named log1p mels [n_mels, T] over seconds and Hz, a row a clip, in dB under the loudest of the row.

    `frame_rate` in frames a second; the spec's where there is none.
    """
    figure = Figure(figsize=(max(7, 5 * len(rows[0])), 2.2 * len(rows) + 0.8), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharey=True)
    for line, row in zip(axes, rows, strict=True):
        levels = decibels(list(row.values()), spec)
        for axis, name, level in zip(line, row, levels, strict=True):
            image = show_decibels(axis, level, spec, frame_rate or spec.frame_rate)
            axis.set_title(name, fontsize=9)
        line[0].set_ylabel("Hz")
        add_scale(figure, image, line)
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    return on_any_ground(figure)


def decibels(mels: Sequence[Tensor], spec: MelSpec) -> list[np.ndarray]:
    """Log1p mels [n_mels, T] of any lengths → the same in dB, at most 0: the loudest there is in any of them."""
    linear = [from_log1p(mel.detach().float().cpu(), spec).numpy() for mel in mels]
    top = max(LOG_FLOOR, *(mel.max() for mel in linear))
    return [20 * np.log10(mel / top, out=np.full_like(mel, _SILENCE_DB / 20), where=mel > LOG_FLOOR) for mel in linear]


def show_decibels(axis: Axes, levels: np.ndarray, spec: MelSpec, frame_rate: float) -> AxesImage:
    """Draw levels in dB [n_mels, T], 0 the brightest, over seconds and over Hz as the mel's bands are spaced."""
    bands, frames = levels.shape
    extent = (0, frames / frame_rate, -0.5, bands - 0.5)
    image = axis.imshow(levels, origin="lower", aspect="auto", cmap="magma", vmin=-RANGE_DB, vmax=0, extent=extent)
    ticks = _ticks(spec)
    axis.set_yticks(list(ticks.values()), [f"{hertz // 1000}k" if hertz >= 1000 else str(hertz) for hertz in ticks])
    axis.tick_params(labelsize=8)
    return image


def add_scale(figure: Figure, image: AxesImage, axes: Sequence[Axes]) -> None:
    """Beside the axes, which colour is how many dB."""
    bar = figure.colorbar(image, ax=axes, label="dB", pad=0.01, aspect=15, fraction=0.04)
    bar.set_ticks(range(-RANGE_DB, 1, 20))
    bar.ax.tick_params(labelsize=8)


def _ticks(spec: MelSpec) -> dict[int, float]:
    """Frequencies in Hz for an axis of mel bands, and their places; none so near another that their numbers touch."""
    found: dict[int, float] = {}
    for hertz in _TICKS:
        band = spec.band_of(hertz)
        if -0.5 <= band <= spec.n_mels - 0.5 and all(abs(band - o) >= _LEAST_GAP * spec.n_mels for o in found.values()):
            found[hertz] = band
    return found


def on_any_ground(figure: Figure) -> Figure:
    """The figure with nothing behind it, and its letters and lines in a grey that is read on white and black alike."""
    figure.patch.set_alpha(0)
    texts = [*figure.texts]
    for axis in figure.axes:
        axis.patch.set_alpha(0)
        axis.tick_params(which="both", colors=_GREY)
        for spine in axis.spines.values():
            spine.set_color(_GREY)
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        if (legend := axis.get_legend()) is not None:
            legend.get_frame().set_alpha(0)
            texts += legend.get_texts()
    for text in texts:
        text.set_color(_GREY)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all. Raises UserError if the disk refuses."""
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
