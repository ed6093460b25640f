"""Fidelity of sliders, measured on rendered sound, and the map of a model's recordings."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.table import Table
from torch import Tensor

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.audio.picture import decibels
from distillgan.audio.plots import add_scale, on_any_ground, show_decibels
from distillgan.compute import in_order
from distillgan.control.sliders import FULL, Analysis, Controls, Curve, Slider, rank_correlation
from distillgan.control.trajectory import Material
from distillgan.errors import UserError
from distillgan.features.descriptors import DESCRIPTORS, NAMES, describe, mean_known, readable, windows_of
from distillgan.models.base import Vocoder
from distillgan.synthesis.renderer import Model, render

LEAST_RANK, MOST_CROSSTALK = 0.9, 0.5
_SHOWN = (0, 4, 8)  # positions whose spectrograms are drawn


def draw_map(name: str, material: Material, analysis: Analysis) -> Figure:
    """The recordings' segments on the first two axes, joined in their order, coloured by each spectral descriptor."""
    segments, axes = material.segments, analysis.axes
    places = axes.coordinates(segments.means(material.corpus.z.numpy()))[:, :2]
    places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    figure = Figure(figsize=(11, 9), layout="constrained")
    figure.suptitle(f"{name}: {len(segments)} moments of 1.5 s, joined where they follow one another")
    for number, axis in enumerate(figure.subplots(2, 2).flat):
        item = DESCRIPTORS[number]
        for end in np.unique(segments.end):
            axis.plot(*places[segments.end == end].T, color="0.85", linewidth=0.7, zorder=1)
        shown = [item.shown(value) for value in analysis.values[:, number]]
        dots = axis.scatter(*places.T, c=shown, s=18, cmap="viridis", zorder=2)
        figure.colorbar(dots, ax=axis, label=f"{item.name}, {item.unit}")
        axis.set_xlabel("axis1, standard deviations")
        axis.set_ylabel("axis2, standard deviations")
    return on_any_ground(figure)


@dataclass(frozen=True)
class SliderEvaluation:
    """The result for JSON, and of each active slider its positions [9] with the descriptors [9, S, 8].

    pictures: log1p mels of each slider's first seed at three positions; spec: theirs.
    """

    result: dict
    responses: dict[str, tuple[np.ndarray, np.ndarray]]
    pictures: dict[str, list[Tensor]]
    spec: MelSpec


def evaluate_sliders(
    model: Model,
    vocoder: Vocoder,
    progress: Callable[[int, int], None],
    count: int = 9,
    seeds: int = 5,
    seconds: float = 10.0,
) -> SliderEvaluation:
    """Descriptors of sound rendered with each active slider at `count` positions, with `seeds` seeds.

    Raises UserError if the model has no analysis.
    """
    if model.analysis is None:
        raise UserError(f"model {model.header.name}: {model.header.no_sliders}")
    sliders = [slider for slider in model.analysis.sliders() if slider.name in NAMES]
    active = np.array([slider.reason is None for slider in sliders])
    mels, responses, pictures = MelSpectrogram(model.spec), {}, {}

    def rendered(setting: tuple[str, float, int]) -> tuple[np.ndarray, np.ndarray]:
        name, position, seed = setting
        controls = Controls({name: Curve((0.0,), (position,))} if position else {})
        wave = render(model, vocoder, seconds, seed + 1, controls)[0]
        windows = windows_of(len(wave), model.spec.sample_rate)
        return wave, mean_known(describe(wave, model.spec.sample_rate, windows))

    grid = {s.name: np.linspace(max(s.least, -FULL), min(s.most, FULL), count) for s in sliders if s.reason is None}
    settings = [(name, float(at), seed) for name, places in grid.items() for at in places for seed in range(seeds)]
    on_cpu = next(model.network.parameters()).device.type == "cpu"
    with closing(in_order(rendered, settings, on_cpu)) as found:
        for number, ((name, _, seed), (wave, values)) in enumerate(zip(settings, found, strict=True)):
            place = number // seeds % count
            _, described = responses.setdefault(name, (grid[name], np.empty((count, seeds, len(NAMES)))))
            described[place, seed] = values
            if seed == 0 and place * 8 // max(1, count - 1) in _SHOWN:
                with torch.inference_mode():
                    mel = to_log1p(mels(torch.from_numpy(wave)[None]), model.spec)[0]
                pictures.setdefault(name, []).append(mel)
            progress(number + 1, len(settings))
    rows = [_row(model, slider, active, responses.get(slider.name)) for slider in sliders]
    passed = sum(row["passed"] for row in rows)
    result = {"what": "controls", "model": model.header.name, "fingerprint": model.header.fingerprint}
    result |= {"positions": count, "seeds": seeds, "seconds": seconds}
    result |= {"active": int(active.sum()), "passed": passed, "sliders": rows}
    return SliderEvaluation(result, responses, pictures, model.spec)


def _row(model: Model, slider: Slider, active: np.ndarray, response: tuple[np.ndarray, np.ndarray] | None) -> dict:
    row = {"name": slider.name, "unit": slider.unit, "reason": slider.reason, "passed": False}
    if response is None:
        return row
    positions, values = response
    number = NAMES.index(slider.name)
    means = mean_known(values, 1)
    means = np.where(np.isfinite(means), means, model.analysis.values.mean(0))
    rank = rank_correlation(positions, means[:, number])
    crosstalk = model.analysis.crosstalk(number, positions, means, active)
    moved = float((means[-1, number] - means[0, number]) / model.analysis.spread[number])
    shown = [float(DESCRIPTORS[number].shown(value)) for value in means[:, number]]
    passed = rank >= LEAST_RANK - 1e-9 and crosstalk <= MOST_CROSSTALK
    return {**row, "rank": rank, "crosstalk": crosstalk, "moved_sd": moved, "shown": shown, "passed": bool(passed)}


def table(result: dict) -> Table:
    shown = Table(title=f"{result['model']}: sliders on rendered sound", title_justify="left")
    for heading in ("slider", "at its least", "middle", "most", "unit", "rank ≥ 0.9", "crosstalk ≤ 0.5", ""):
        shown.add_column(heading, justify="left" if heading in ("slider", "unit", "") else "right")
    for row in result["sliders"]:
        shown.add_row(*_cells(row))
    return shown


def markdown(result: dict) -> str:
    lines = [
        f"# {result['model']}: sliders on rendered sound",
        "",
        f"{result['positions']} positions × {result['seeds']} seeds of {result['seconds']:g} s each. Rank: Spearman's "
        "correlation of position and mean descriptor. Crosstalk: mean change of the other active descriptors over the "
        "slider's own, each in standard deviations of the recordings.",
        "",
        "| slider | least | middle | most | unit | rank | crosstalk | |",
        "|---|---:|---:|---:|---|---:|---:|---|",
        *("| " + " | ".join(_cells(row)) + " |" for row in result["sliders"]),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: dict) -> list[str]:
    if row["reason"] is not None:
        return [row["name"], "", "", "", row["unit"], "", "", f"inactive: {row['reason']}"]
    ends = [readable(row["shown"][place]) for place in (0, len(row["shown"]) // 2, -1)]
    verdict = "passed" if row["passed"] else "FAILED"
    return [row["name"], *ends, row["unit"], f"{row['rank']:.2f}", f"{row['crosstalk']:.2f}", verdict]


def draw(evaluation: SliderEvaluation) -> Figure:
    """A figure with a row a slider: its descriptor over the positions, each seed and the mean; three spectrograms."""
    names = list(evaluation.responses)
    figure = Figure(figsize=(13, 2.3 * max(1, len(names)) + 0.6), layout="constrained")
    figure.suptitle(f"{evaluation.result['model']}: sliders on rendered sound")
    if not names:
        return on_any_ground(figure)
    for axes, name in zip(figure.subplots(len(names), 4, squeeze=False), names, strict=True):
        positions, values = evaluation.responses[name]
        number = NAMES.index(name)
        item = DESCRIPTORS[number]
        show = np.vectorize(item.shown, otypes=[float])
        axes[0].plot(positions, show(values[:, :, number]), color="0.75", linewidth=0.8)
        means = np.ma.masked_invalid(values[:, :, number]).mean(1).filled(np.nan)
        axes[0].plot(positions, show(means), color="C0", marker="o", markersize=3)
        axes[0].set_title(name, fontsize=9)
        axes[0].set_ylabel(item.unit)
        levels = decibels(evaluation.pictures[name], evaluation.spec)
        places = np.linspace(positions[0], positions[-1], len(levels))
        for axis, level, place in zip(axes[1:], levels, places, strict=False):
            image = show_decibels(axis, level, evaluation.spec, evaluation.spec.frame_rate)
            axis.set_title(f"{name} {place:g}", fontsize=9)
        axes[1].set_ylabel("Hz")
        add_scale(figure, image, axes[1:])
    axes[0].set_xlabel("position of the slider")
    for axis in axes[1:]:
        axis.set_xlabel("seconds")
    return on_any_ground(figure)
