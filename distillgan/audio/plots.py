"""Figures with axes, drawn with matplotlib, in colours that are legible on any background."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from distillgan.atomic import replace_file
from distillgan.audio.picture import GREY, RANGE_DB, hertz_ticks
from distillgan.audio.spec import MelSpec


def show_decibels(axis: Axes, levels: np.ndarray, spec: MelSpec, frame_rate: float) -> AxesImage:
    """Draw levels in dB [n_mels, T], 0 the brightest, over seconds and over Hz as the mel's bands are spaced."""
    bands, frames = levels.shape
    extent = (0, frames / frame_rate, -0.5, bands - 0.5)
    image = axis.imshow(levels, origin="lower", aspect="auto", cmap="magma", vmin=-RANGE_DB, vmax=0, extent=extent)
    ticks = hertz_ticks(spec)
    axis.set_yticks(list(ticks.values()), list(ticks))
    axis.tick_params(labelsize=8)
    return image


def add_scale(figure: Figure, image: AxesImage, axes: Sequence[Axes]) -> None:
    """Beside the axes, which colour is how many dB."""
    bar = figure.colorbar(image, ax=axes, label="dB", pad=0.01, aspect=15, fraction=0.04)
    bar.set_ticks(range(-RANGE_DB, 1, 20))
    bar.ax.tick_params(labelsize=8)


def on_any_ground(figure: Figure) -> Figure:
    """The figure with nothing behind it, and its letters and lines in a grey that is read on white and black alike."""
    figure.patch.set_alpha(0)
    texts = [*figure.texts]
    for axis in figure.axes:
        axis.patch.set_alpha(0)
        axis.tick_params(which="both", colors=GREY)
        for spine in axis.spines.values():
            spine.set_color(GREY)
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        if (legend := axis.get_legend()) is not None:
            legend.get_frame().set_alpha(0)
            texts += legend.get_texts()
    for text in texts:
        text.set_color(GREY)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all. Raises UserError if the disk refuses."""
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
