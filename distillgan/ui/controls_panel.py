"""All that a visitor sets before a sound is rendered: read, filled, and brought in line with the model."""

import random
from collections.abc import Mapping
from typing import Any

import gradio as gr
from omegaconf import DictConfig

from distillgan.errors import UserError
from distillgan.generate import MAX_COUNT
from distillgan.library.catalog import find_model, models_in
from distillgan.render.engine import MAX_SECONDS, MIN_SECONDS
from distillgan.ui import vocoder_words
from distillgan.ui.asked import BLENDED, START, config_of, playing, slider_values
from distillgan.ui.page import Page
from distillgan.ui.sliders import Sliders
from distillgan.ui.sound_settings import SoundSettings
from distillgan.ui.steering import ROWS, Steering

_SEEDS = 999_999  # as the dice throws them
_HIDDEN = {"show_progress": "hidden", "api_visibility": "private"}


class ControlsPanel:
    """`inputs` are what `read` and `config` take, `outputs` what `recalled` and `arrived` fill."""

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
        blends = [self.fields[f"blend_model{number}"] for number in range(1, BLENDED + 1)]
        steered = [vocoder, self.words, *self.sliders.outputs]
        for chosen in (model, vocoder, *blends):
            chosen.select(self._steered, self.inputs, steered, **_HIDDEN)
        cleared = others.unblend.click(lambda: [None] * BLENDED, None, blends, **_HIDDEN)
        cleared.then(self._steered, self.inputs, steered, **_HIDDEN)
        dice.click(lambda: random.randint(0, _SEEDS), None, seed, **_HIDDEN)

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

    def config(self, *given: Any) -> DictConfig:
        """What `generate` is told. Raises UserError."""
        return config_of(self._page, *self.read(*given))

    def arrived(self, *given: Any) -> list[Any]:
        """Updates for `outputs`: the models there are by now; what a visitor has set stays."""
        values, positions = self.read(*given)
        names = self._names()
        updates = {name: gr.skip() for name in self.fields}
        updates["model"] = gr.update(choices=names)
        if values["model"] not in names:
            values["model"] = names[0] if names else None
            updates["model"] = gr.update(choices=names, value=values["model"])
        for number in range(1, BLENDED + 1):
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
        for key in ("model", *(f"blend_model{number}" for number in range(1, BLENDED + 1))):
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
            there = vocoder_words.choices(self._page, models)
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
            return f"<p>{vocoder_words.foreseen(self._page, models, vocoder)}</p>"
        except UserError:
            return ""

    def _names(self) -> list[str]:
        return [path.stem for path in models_in(self._page.home)]
