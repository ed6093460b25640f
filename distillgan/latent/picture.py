"""A picture of what a model knows: the recordings' moments as a map."""

import numpy as np
from matplotlib.figure import Figure

from distillgan.audio.plots import on_any_ground
from distillgan.latent.descriptors import DESCRIPTORS
from distillgan.latent.sliders import Analysis
from distillgan.latent.trajectory import Material


def draw_map(name: str, material: Material, analysis: Analysis) -> Figure:
    """The recordings' moments on the first two axes, joined in their order, coloured by each timbre."""
    moments, axes = material.moments, analysis.axes
    places = axes.coordinates(moments.means(material.corpus.z.numpy()))[:, :2]
    places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    figure = Figure(figsize=(11, 9), layout="constrained")
    figure.suptitle(f"{name}: {len(moments)} moments of 1.5 s, joined where they follow one another")
    for number, axis in enumerate(figure.subplots(2, 2).flat):
        item = DESCRIPTORS[number]
        for end in np.unique(moments.end):
            axis.plot(*places[moments.end == end].T, color="0.85", linewidth=0.7, zorder=1)
        shown = [item.shown(value) for value in analysis.values[:, number]]
        dots = axis.scatter(*places.T, c=shown, s=18, cmap="viridis", zorder=2)
        figure.colorbar(dots, ax=axis, label=f"{item.name}, {item.unit}")
        axis.set_xlabel("axis1, standard deviations")
        axis.set_ylabel("axis2, standard deviations")
    return on_any_ground(figure)
