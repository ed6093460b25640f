"""What a visitor sets before a sound is rendered: model, vocoder and sliders, and what each of them does."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr
import torch

from distillgan.control.sliders import FULL, LIMIT, MAX_AXES, Slider
from distillgan.errors import UserError
from distillgan.features.descriptors import NAMES, readable
from distillgan.models.header import read_header
from distillgan.models.vocoders.registry import open_weights
from distillgan.paths import Home
from distillgan.store.library import find_model, models_in
from distillgan.synthesis.renderer import MAX_SECONDS, MIN_SECONDS, Model
from distillgan.synthesis.request import MAX_COUNT, MOST_BLENDED, RenderRequest
from distillgan.ui.page import HIDDEN, Page, errors_shown
from distillgan.ui.sound_settings import START, SoundSettings, playing, request_of, slider_values

_ALWAYS = [("Auto", "auto"), ("BigVGAN, universal", "bigvgan"), ("Small universal", "universal")]


def choices(page: Page, models: Sequence[str]) -> list[tuple[str, str]]:
    """Raises UserError if a model cannot be read."""
    kind = _own(page, models)
    return _ALWAYS if kind is None else [*_ALWAYS, (f"This model's own ({kind})", kind)]


def foreseen(page: Page, models: Sequence[str], vocoder: str) -> str:
    """What will play, in words. Raises UserError if a model cannot be read."""
    kind = _own(page, models)
    if vocoder == "auto" and kind is not None:
        return f"Auto takes the model's own vocoder ({kind})."
    if vocoder not in ("auto", "bigvgan"):
        return ""
    try:
        weights = open_weights(page.settings.vocoder, page.home)
    except UserError as error:
        return f"BigVGAN cannot play: {error}"
    alone = "a blend has no vocoder of its own" if len(models) > 1 else "this model has no vocoder of its own"
    why = f"Auto takes BigVGAN: {alone}, and " if vocoder == "auto" else "BigVGAN: "
    if weights.here():
        return f"{why}its weights are here."
    if weights.folder is not None:
        return f"BigVGAN's weights are not in {weights.folder}."
    size = sum(file.size for file in weights.release.files) / 1e6
    fetched = f"its weights ({size:,.0f} MB) are fetched first, once."
    return f"{why}{fetched}{' Without a connection the small universal one plays.' if vocoder == 'auto' else ''}"


def _own(page: Page, models: Sequence[str]) -> str | None:
    """The kind of the only model's own vocoder."""
    if len(models) != 1:
        return None
    vocoder = read_header(find_model(page.home, models[0])).vocoder
    return vocoder["name"] if vocoder else None


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
    least, most = min(slider.least for slider in sliders), max(slider.most for slider in sliders)
    return replace(sliders[0], least=max(least, -LIMIT), most=min(most, LIMIT))


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
            button.click(errors_shown(act), [self.there, *self.positions, *locks], self.positions, **HIDDEN)
        for row in rows:
            inputs = [row.lock, row.slider]
            row.zero.click(None, inputs, row.slider, js="(lock, value) => lock ? value : 0", api_visibility="private")
            row.dice.click(_drawn(row.name), [*inputs, self.there], row.slider, **HIDDEN)

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


_SEEDS = 999_999  # as the dice throws them


class ControlsPanel:
    """`inputs` are what `read` and `request` take, `outputs` what `recalled` and `arrived` fill."""

    def __init__(self, page: Page):
        """Build them, where it is called."""
        self._page = page
        with gr.Row():
            model = gr.Dropdown([], label="Model", scale=3, min_width=160, elem_id="model")
            vocoder = gr.Dropdown(["auto"], value="auto", label="Vocoder", scale=3, min_width=160)
        self.words = gr.HTML(padding=False, elem_classes="subdued")
        with gr.Row():
            info = f"seconds, {MIN_SECONDS:g} to {MAX_SECONDS:g}"
            duration = gr.Number(START["duration"], label="Duration", info=info, min_width=110)
            dice, info = gr.Button("Dice", elem_id="dice"), "same seed, same sound"
            seed = gr.Number(START["seed"], label="Seed", info=info, precision=0, min_width=110, buttons=[dice])
            info = f"with further seeds, 1 to {MAX_COUNT}"
            count = gr.Number(START["count"], label="Variations", info=info, precision=0, min_width=110)
        self.sliders = Sliders()
        others = SoundSettings()
        found = {"model": model, "vocoder": vocoder, "duration": duration, "seed": seed, "count": count} | others.fields
        self.fields = {name: found[name] for name in START}
        blends = [self.fields[f"blend_model{number}"] for number in range(1, MOST_BLENDED + 1)]
        steered = [vocoder, self.words, *self.sliders.outputs]
        for chosen in (model, vocoder, *blends):
            chosen.select(self._steered, self.inputs, steered, **HIDDEN)
        cleared = others.unblend.click(lambda: [None] * MOST_BLENDED, None, blends, **HIDDEN)
        cleared.then(self._steered, self.inputs, steered, **HIDDEN)
        dice.click(lambda: random.randint(0, _SEEDS), None, seed, **HIDDEN)

    @property
    def inputs(self) -> list[Any]:
        return [self.sliders.there, *self.fields.values(), *self.sliders.positions]

    @property
    def outputs(self) -> list[Any]:
        return [*self.fields.values(), self.words, *self.sliders.outputs]

    def read(self, steering: Steering, *given: Any) -> tuple[dict[str, Any], dict[str, float]]:
        """What the components hold → values by the names in START, and the positions of the sliders there are."""
        values = dict(zip(self.fields, given[: len(START)], strict=True))
        return values, slider_values(ROWS, given[len(START) :], steering.active)

    def models(self, *given: Any) -> list[str]:
        return playing(self.read(*given)[0])

    def request(self, *given: Any) -> RenderRequest:
        """What `generate` is given. Raises UserError."""
        return request_of(self._page, *self.read(*given))

    def arrived(self, *given: Any) -> list[Any]:
        """Updates for `outputs`: the models there are by now; what a visitor has set stays."""
        values, positions = self.read(*given)
        names = self._names()
        updates = {name: gr.skip() for name in self.fields}
        updates["model"] = gr.update(choices=names)
        if values["model"] not in names:
            values["model"] = names[0] if names else None
            updates["model"] = gr.update(choices=names, value=values["model"])
        for number in range(1, MOST_BLENDED + 1):
            name = f"blend_model{number}"
            updates[name] = gr.update(choices=[("none", ""), *names])
            if values[name] and values[name] not in names:
                gr.Warning(f"model {values[name]} is gone: it is out of the blend")
                values[name] = None
                updates[name] = gr.update(choices=[("none", ""), *names], value=None)
        return self._filled(updates, values, positions)

    def recalled(self, values: Mapping[str, Any], positions: Mapping[str, float]) -> list[Any]:
        """Updates for `outputs`: these values and positions.

        Raises:
            UserError: a model is not in the library.
        """
        values, names = dict(values), self._names()
        for key in ("model", *(f"blend_model{number}" for number in range(1, MOST_BLENDED + 1))):
            if values[key]:
                path = find_model(self._page.home, values[key])
                if path.stem not in names:
                    raise UserError(f"model {path} is not in the library: import it first")
                values[key] = path.stem
        updates = {name: gr.update(value=values[name]) for name in self.fields}
        if playing(values) != [values["model"]]:  # a blend says nothing of the model above it
            updates["model"] = gr.skip()
        return self._filled(updates, values, positions, recalled=True)

    def _steered(self, *given: Any) -> list[Any]:
        values, positions = self.read(*given)
        return self._filled({"vocoder": gr.skip()}, values, positions)

    def _filled(
        self,
        updates: dict[str, Any],
        values: Mapping[str, Any],
        positions: Mapping[str, float],
        recalled: bool = False,
    ) -> list[Any]:
        """`updates` with the vocoders there are, then what Auto takes, then the sliders."""
        models, vocoder = playing(values), values["vocoder"]
        try:
            there = choices(self._page, models)
            steering = Steering.of(self._page.home, models)
        except UserError as error:  # said where the sliders would be, and the rest of the page goes on
            there, steering = [("Auto", "auto")], Steering({}, {}, str(error))
        updates["vocoder"] = gr.update(choices=there, value=vocoder) if recalled else gr.update(choices=there)
        if vocoder not in [value for _, value in there]:
            gr.Warning(f"these models have no vocoder {vocoder}: Auto chooses")
            vocoder = "auto"
            updates["vocoder"] = gr.update(choices=there, value=vocoder)
        for name, value in positions.items():
            if value and steering.held(name, value) != value:
                gr.Warning(f"{name} {value:g} is beyond what this model does: it is at 0 now")
        words, sliders = self._foreseen(models, vocoder), self.sliders.shown(steering, dict(positions), recalled)
        return [*updates.values(), words, *sliders]

    def _foreseen(self, models: list[str], vocoder: str) -> str:
        if not models:
            return f"<p>No model in {self._page.home.models} yet: train one in the tab Train.</p>"
        try:
            return f"<p>{foreseen(self._page, models, vocoder)}</p>"
        except UserError:
            return ""

    def _names(self) -> list[str]:
        return [path.stem for path in models_in(self._page.home)]
