"""Spectrogram pictures: what was made, to be seen before it is heard."""

from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from distillgan.atomic import replace_file

_GREY = "#7d8590"  # 3.7 times as dark as white, 5.6 times as bright as black


def draw_mels(rows: list[dict[str, Tensor]], title: str, frame_rate: float) -> Figure:
    """Named log1p mels [n_mels, T], a row a clip, each row on one scale of colours; `frame_rate` in frames a second."""
    figure = Figure(figsize=(max(7, 5 * len(rows[0])), 2.2 * len(rows) + 0.8), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        top = max(1e-6, max(float(mel.max()) for mel in row.values()))
        for axis, (name, mel) in zip(line, row.items(), strict=True):
            extent = (0, mel.shape[-1] / frame_rate, 0, mel.shape[0])
            axis.imshow(
                mel.detach().cpu().numpy(), origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=top, extent=extent
            )
            axis.set_title(name, fontsize=9)
            axis.set_ylabel("mel band")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    return on_any_ground(figure)


def on_any_ground(figure: Figure) -> Figure:
    """The figure with nothing behind it, and its letters and lines in a grey that is read on white and black alike."""
    figure.patch.set_alpha(0)
    texts = [*figure.texts]
    for axis in figure.axes:
        axis.patch.set_alpha(0)
        axis.tick_params(which="both", colors=_GREY)
        for spine in axis.spines.values():
            spine.set_color(_GREY)
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label]
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
