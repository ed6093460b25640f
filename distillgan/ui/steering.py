"""The sliders that the chosen models have: what each end means, how far it goes, and why others are missing."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

import torch

from distillgan.latent.axes import MAX_AXES
from distillgan.latent.descriptors import NAMES, readable
from distillgan.latent.sliders import FULL, LIMIT, Slider
from distillgan.library.catalog import find_model
from distillgan.paths import Home
from distillgan.render.engine import Model

ROWS = (*NAMES, *(f"axis{number}" for number in range(1, MAX_AXES + 1)))
STEP = 0.1


@dataclass(frozen=True)
class Steering:
    """active: name → slider, in the order of ROWS; inactive: name → why; note: said where there is none at all."""

    active: Mapping[str, Slider]
    inactive: Mapping[str, str]
    note: str = ""

    @classmethod
    def of(cls, home: Home, models: Iterable[str]) -> "Steering":
        """Of one model, or of a blend: there a slider moves every model that has it.

        Raises:
            UserError: a model cannot be found or read.
        """
        found, inactive, without = {}, {}, []
        for name in models:
            model = Model.load(find_model(home, name), torch.device("cpu"))
            if model.analysis is None:
                without.append(f"{model.header.name}: {model.header.no_sliders}.")
                continue
            for slider in model.analysis.sliders():
                if slider.reason is None:
                    found.setdefault(slider.name, []).append(slider)
                else:
                    inactive.setdefault(slider.name, slider.reason)
        active = {name: _widest(found[name]) for name in ROWS if name in found}
        inactive = {name: reason for name, reason in inactive.items() if name not in active}
        return cls(active, inactive, " ".join(without))

    def held(self, name: str, value: float | None) -> float:
        """Where a slider stands after the model has changed: where it was, if this one goes there, else at 0."""
        slider, value = self.active.get(name), value or 0.0
        return value if slider is not None and slider.least <= value <= slider.most else 0.0

    def drawn(self, name: str) -> float:
        """A position by chance, in the safe zone."""
        slider = self.active[name]
        low, high = max(slider.least, -FULL), min(slider.most, FULL)
        return round(random.uniform(low, high), 1)


def title(name: str) -> str:
    return f"Axis {name.removeprefix('axis')}" if name.startswith("axis") else name.capitalize()


def about(slider: Slider) -> str:
    """What it is measured as."""
    ends, _, measured = slider.about.partition(": ")
    return f"{measured}, {slider.unit}" if measured else ends


def scale(slider: Slider) -> str:
    """The zones, and under -10, 0 and 10 what the sound was measured to be there, as HTML."""
    whole = slider.most - slider.least
    ends = (slider.about.partition(":")[0].split(" … ") if slider.shown else []) or ["", ""]
    values = [readable(slider.shown[n]) for n in (0, 2, 4)] if slider.shown else ["-10", "0", "10"]
    words = [" · ".join(filter(None, pair)) for pair in zip((ends[0], "", ends[-1]), values, strict=True)]
    marks = []
    for position, text in zip((-FULL, 0.0, FULL), words, strict=True):
        if slider.least <= position <= slider.most:
            place = 100 * (position - slider.least) / whole
            side = "right" if place > 70 else "left" if place < 30 else "middle"
            style = f"right:{100 - place:.1f}%" if side == "right" else f"left:{place:.1f}%"
            marks.append(f'<span class="{side}" style="{style}">{escape(text)}</span>')
    low, high = (100 * (min(max(end, slider.least), slider.most) - slider.least) / whole for end in (-FULL, FULL))
    zones = f"--low:{low:.1f}%;--high:{high:.1f}%"
    hint = "safe from -10 to 10; beyond, what is rendered is rare in the recordings"
    return f'<div class="scale" style="{zones}"><i title="{hint}"></i>{"".join(marks)}</div>'


def reasons(steering: Steering) -> str:
    """Why sliders are missing, as HTML."""
    rows = [f"<li><b>{title(name)}</b>: {escape(reason)}</li>" for name, reason in steering.inactive.items()]
    return f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nothing: all of this model's sliders play.</p>"


def _widest(sliders: list[Slider]) -> Slider:
    """The first, as far as any of them goes."""
    first = sliders[0]
    least, most = min(s.least for s in sliders), max(s.most for s in sliders)
    return Slider(
        first.name,
        first.about,
        first.unit,
        max(least, -LIMIT),
        min(most, LIMIT),
        first.shown,
        first.corpus,
        first.rank,
        first.crosstalk,
        None,
    )
