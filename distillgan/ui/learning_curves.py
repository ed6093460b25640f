"""How the training of a model went, drawn from what TensorBoard was told."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distillgan.audio.plots import on_any_ground

_POINTS = 1000  # of each curve that are read
_STAGES = {"vae": "VAE", "vocos": "vocoder (vocos)", "hifigan": "vocoder (hifigan)"}
_LOSSES, _ERRORS = ("loss", "reconstruction"), ("error",)

Curves = dict[str, tuple[list[int], list[float]]]


def curves(run: Path) -> dict[str, Curves]:
    """Stage → name, as it was logged → steps and values: what was trained on and what was held out. {} of no run."""
    found = {}
    for stage in _STAGES:
        folder = run / stage
        if not folder.is_dir():
            continue
        events = EventAccumulator(str(folder), size_guidance={"scalars": _POINTS, "images": 1, "audio": 1})
        events.Reload()
        names = [name for name in events.Tags()["scalars"] if _group(name) is not None]
        scalars = {name: events.Scalars(name) for name in names}
        found[stage] = {
            name: ([point.step for point in points], [point.value for point in points])
            for name, points in scalars.items()
        }
    return {stage: lines for stage, lines in found.items() if lines}


def draw_curves(found: dict[str, Curves], name: str) -> Figure:
    """A row a stage: losses on the left, errors of the held-out recordings on the right."""
    figure = Figure(figsize=(11, 0.6 + 2.7 * len(found)), layout="constrained")
    figure.suptitle(f"{name}: how the training went")
    rows = figure.subplots(len(found), 2, squeeze=False)
    for axes, (stage, lines) in zip(rows, found.items(), strict=True):
        for kind, axis in zip(("train", "val"), axes, strict=True):
            for line, points in sorted(lines.items()):
                if _group(line) == kind:
                    axis.plot(
                        *points, label=line.partition("/")[2].replace("_", " "), marker="." if kind == "val" else ""
                    )
            axis.set_title(f"{_STAGES[stage]}, {'losses' if kind == 'train' else 'error on the held-out recordings'}")
            axis.set_xlabel("step")
            if axis.lines:
                _scale(axis)
                axis.legend(fontsize=8)
    return on_any_ground(figure)


def _scale(axis: Axes) -> None:
    """Logarithmic where a curve goes through more than one order of magnitude."""
    values = np.concatenate([line.get_ydata() for line in axis.lines])
    if values.min() > 0 and values.max() > 10 * values.min():
        axis.set_yscale("log")
        for formatted in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            formatted("{x:g}")


def _group(name: str) -> str | None:
    """`train` or `val` for a curve that is worth a look, None for another."""
    kind, _, inner = name.partition("/")
    wanted = {"train": _LOSSES, "val": _ERRORS}.get(kind, ())
    return kind if any(word in inner for word in wanted) else None
