"""The sliders on the page: a row each for all that a model may have, of which those are shown that it has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from distillgan.latent.descriptors import NAMES
from distillgan.ui.steering import ROWS, STEP, Steering, about, reasons, scale, title
from distillgan.ui.telling import told

STYLE = """
.steer { gap: 8px !important; align-items: start; padding: 4px 0; }
.steer .column { gap: 0 !important; }
.steer .form, .steer .block { border: none !important; background: none !important; box-shadow: none !important; }
.steer .block { padding: 0 !important; }
.steer .min_value, .steer .max_value { display: none; }
.steer .ends { padding-top: 2px; gap: 6px !important; }
.steer .html-container { padding: 0 !important; }
.scale { position: relative; height: 24px; font-size: 11px; line-height: 1.2; color: var(--body-text-color-subdued); }
.scale i { display: block; height: 4px; border-radius: 2px; background: linear-gradient(90deg,
  #d9822b 0 var(--low), var(--color-accent) var(--low) var(--high), #d9822b var(--high) 100%); opacity: .45; }
.scale span { position: absolute; top: 6px; white-space: nowrap; }
.scale span.middle { transform: translateX(-50%); }
"""
_NO_PROGRESS = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class _Row:
    name: str
    whole: gr.Row
    slider: gr.Slider
    scale: gr.HTML
    lock: gr.Checkbox
    zero: gr.Button
    dice: gr.Button


class Sliders:
    """Components and how they are brought in line with a model. `positions` are those of ROWS, in that order."""

    def __init__(self):
        """Build them, where it is called."""
        self.there = gr.State(Steering({}, {}))
        self.note = gr.HTML(visible=False, padding=False)
        with gr.Row():
            reset = gr.Button("Reset all", size="sm", min_width=90)
            randomise = gr.Button("Randomise all", size="sm", min_width=110)
        rows = [_row(name) for name in NAMES]
        with gr.Accordion("Principal axes: ways in which the recordings differ, not measured", open=False) as self.axes:
            any_axes = gr.Button("Randomise the axes", size="sm")
            rows += [_row(name) for name in ROWS if name not in NAMES]
        with gr.Accordion("Sliders that this model has not, and why", open=False) as self.missing:
            self.reasons = gr.HTML(padding=True)
        self._rows, self.positions = rows, [row.slider for row in rows]
        locks = [row.lock for row in rows]
        acts = ((_reset, reset), (_randomised(NAMES), randomise), (_randomised(ROWS[len(NAMES) :]), any_axes))
        for act, button in acts:
            button.click(told(act), [self.there, *self.positions, *locks], self.positions, **_NO_PROGRESS)
        for row in rows:
            inputs = [row.lock, row.slider]
            row.zero.click(None, inputs, row.slider, js="(lock, value) => lock ? value : 0", api_visibility="private")
            row.dice.click(_drawn(row.name), [*inputs, self.there], row.slider, **_NO_PROGRESS)

    @property
    def outputs(self) -> list[Any]:
        parts = [part for row in self._rows for part in (row.whole, row.slider, row.scale)]
        return [self.there, self.note, self.axes, self.missing, self.reasons, *parts]

    def shown(self, steering: Steering, positions: dict[str, float], recalled: bool = False) -> list[Any]:
        """Updates for `outputs`: the rows that there are, at these positions.

        Unless the positions are recalled, they are where the sliders are, and only those that cannot stay are moved:
        the others may be in somebody's hand.
        """
        axes = sum(name not in NAMES for name in steering.active)
        updates = [
            steering,
            gr.update(visible=bool(steering.note), value=f"<p>{escape(steering.note)}</p>"),
            gr.update(
                visible=axes > 0, label=f"Principal axes ({axes}): ways in which the recordings differ, not measured"
            ),
            gr.update(visible=bool(steering.inactive), label=f"Sliders that rest ({len(steering.inactive)}), and why"),
            reasons(steering),
        ]
        for row in self._rows:
            slider = steering.active.get(row.name)
            if slider is None:
                updates += [gr.update(visible=False), gr.update(value=0.0), gr.update()]
                continue
            value = steering.held(row.name, positions.get(row.name))
            there = {"minimum": slider.least, "maximum": slider.most, "info": about(slider)}
            if recalled or value != positions.get(row.name, 0.0):
                there["value"] = value
            updates += [gr.update(visible=True), gr.update(**there), scale(slider)]
        return updates


def _row(name: str) -> _Row:
    with gr.Row(elem_classes="steer", visible=False, elem_id=f"row-{name}") as whole:
        with gr.Column(scale=6, min_width=220):
            slider = gr.Slider(-12, 12, 0, step=STEP, label=title(name), buttons=[], elem_id=f"slider-{name}")
            drawn = gr.HTML(padding=False)
        with gr.Column(scale=1, min_width=96, elem_classes="ends"):
            lock = gr.Checkbox(False, label="Lock", container=False, elem_id=f"lock-{name}", min_width=60)
            with gr.Row():
                zero = gr.Button("0", size="sm", min_width=32, elem_id=f"zero-{name}")
                dice = gr.Button("Any", size="sm", min_width=44, elem_id=f"any-{name}")
    return _Row(name, whole, slider, drawn, lock, zero, dice)


def _reset(steering: Steering, *values: Any) -> list[Any]:
    positions, locks = values[: len(ROWS)], values[len(ROWS) :]
    return [value if lock else 0.0 for value, lock in zip(positions, locks, strict=True)]


def _randomised(names: Sequence[str]) -> Callable:
    """A handler that moves those of `names` that there are, and that are not locked."""

    def randomised(steering: Steering, *values: Any) -> list[Any]:
        positions, locks = values[: len(ROWS)], values[len(ROWS) :]
        return [
            value if lock or name not in names or name not in steering.active else steering.drawn(name)
            for name, value, lock in zip(ROWS, positions, locks, strict=True)
        ]

    return randomised


def _drawn(name: str) -> Callable:
    def drawn(lock: bool, value: float, steering: Steering) -> float:
        return value if lock or name not in steering.active else steering.drawn(name)

    return drawn
