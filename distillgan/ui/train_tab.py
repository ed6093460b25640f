"""The Train tab: a model from recordings, then a vocoder of its own; each a process that outlives the page."""

from typing import Any

import gradio as gr

from distillgan.library.catalog import models_in
from distillgan.ui import training_form as form
from distillgan.ui.corpora import Corpora
from distillgan.ui.page import Page, Shown
from distillgan.ui.telling import told
from distillgan.ui.training_panel import Panel

_HIDDEN = {"api_visibility": "private"}


def build(page: Page) -> Shown:
    return _Train(page).shown


class _Train:
    """The forms on the left; on the right the panel of the training that is looked at."""

    def __init__(self, page: Page):
        self._page, self._corpora = page, Corpora(page.home)
        with gr.Row():
            with gr.Column(scale=2, min_width=320), gr.Tabs():
                with gr.Tab("A model"):
                    self._model_form()
                with gr.Tab("A vocoder of its own"):
                    self._vocoder_form()
            with gr.Column(scale=3, min_width=480):
                self.panel = Panel(page)
        self._wire()
        self.shown = Shown(self._refreshed, [self.corpus, self.model, self.sounds])

    def _model_form(self) -> None:
        self.corpus = gr.Dropdown([form.DEMO], value=None, label="Recordings", elem_id="train-corpus")
        self.name = gr.Textbox(
            "", label="Name of the model", placeholder="that of the recordings", max_length=80, elem_id="train-name"
        )
        self.size = gr.Radio(list(form.SIZES), value="medium", label="Size", info=form.SIZE_WORDS)
        with gr.Row():
            self.steps = gr.Number(
                label="Steps", info="0: by the length of the recordings.", value=0, minimum=0, precision=0
            )
            self.minutes = gr.Number(label="Minutes at most", info="0: no limit.", value=0, minimum=0)
        self.device = self._devices()
        self.grow = gr.Checkbox(
            label="Let the model of this name grow",
            info="It learns these recordings too, and forgets none of its own; it keeps its size.",
        )
        self.anew = gr.Checkbox(label="Begin anew", info="What there was of this name is kept beside it.")
        self.fields, self.more = _advanced(form.MODEL_FIELDS, ["device=auto"], "train-more")
        self.start = gr.Button("Start training", variant="primary", elem_id="train-start")

    def _vocoder_form(self) -> None:
        gr.HTML(
            "<p>Trained on the same recordings, for this model alone. Without one a model plays through a "
            "universal vocoder.</p>",
            padding=False,
        )
        self.model = gr.Dropdown([], value=None, label="Model", elem_id="vocoder-model")
        self.sounds = gr.Dropdown([form.ITS_OWN], value=form.ITS_OWN, label="Recordings")
        self.kind = gr.Radio(
            list(form.KINDS),
            value=form.KINDS[0],
            label="Kind",
            info="vocos: plays from its first step, in tune. hifigan: starts from noise, wants hours or a GPU.",
        )
        with gr.Row():
            self.vocoder_steps = gr.Number(
                label="Steps", info="0: chosen by the device.", value=0, minimum=0, precision=0
            )
            self.vocoder_minutes = gr.Number(label="Minutes at most", info="0: no limit.", value=0, minimum=0)
        self.vocoder_device = self._devices()
        self.vocoder_anew = gr.Checkbox(
            label="Begin anew", info="What was trained of this kind is kept beside it. Otherwise it goes on."
        )
        self.vocoder_fields, self.vocoder_more = _advanced(
            form.VOCODER_FIELDS, [f"vocoder={form.KINDS[0]}"], "vocoder-more"
        )
        self.vocoder_start = gr.Button("Train vocoder", variant="primary", elem_id="vocoder-start")
        with gr.Column(visible=False) as self.asking:
            self.question = gr.HTML(padding=False)
            self.better = gr.Button("Train; the better one stays", variant="primary", size="md")
            self.replace = gr.Button("Train; the new one takes its place", variant="stop", size="md")
            self.leave = gr.Button("Leave it", size="md")

    def _devices(self) -> gr.Dropdown:
        there, given = form.devices(), self._page.settings.device.name
        return gr.Dropdown(there, value=given if given in there else "auto", label="Device")

    def _wire(self) -> None:
        asked = [self.corpus, self.name, self.size, self.device, self.steps, self.minutes, self.grow, self.anew]
        self.start.click(told(self._start), [*asked, self.more, *self.fields], self.panel.name, **_HIDDEN)
        vocoder = [self.model, self.sounds, self.kind, self.vocoder_device, self.vocoder_steps, self.vocoder_minutes]
        vocoder += [self.vocoder_anew, self.vocoder_more, *self.vocoder_fields]
        started = [self.panel.name, self.asking, self.question]
        self.vocoder_start.click(told(self._start_vocoder), vocoder, started, **_HIDDEN)
        self.better.click(told(self._start_better), vocoder, started, **_HIDDEN)
        self.replace.click(told(self._start_replacing), vocoder, started, **_HIDDEN)
        # A model that is finished meanwhile can be chosen.
        self.panel.about.change(lambda: self._refreshed()[1], None, self.model, show_progress="hidden", **_HIDDEN)
        # Another model is another question: it may have no vocoder, or a better one.
        for act in (self.leave.click, self.model.input):
            act(lambda: gr.update(visible=False), None, self.asking, show_progress="hidden", **_HIDDEN)

    def _refreshed(self) -> tuple[Any, ...]:
        names, models = self._corpora.names(), [path.stem for path in models_in(self._page.home)]
        return (
            gr.update(choices=[*names, form.DEMO]),
            gr.update(choices=models),
            gr.update(choices=[form.ITS_OWN, *names]),
        )

    def _start(self, corpus: str, name: str, *values: Any) -> Any:
        size, device, steps, minutes, grow, anew, more, *fields = values
        overrides = form.model_overrides(self._corpora, corpus, size, device, steps, minutes, grow, anew, fields, more)
        return self._started(name.strip() or ("demo" if corpus == form.DEMO else corpus), overrides)

    def _start_vocoder(self, model: str, *values: Any) -> tuple[Any, ...]:
        old = form.vocoder_of(self._page.home, model) if model else None
        if old is None:
            return self._start_better(model, *values)
        kind, error = old
        judged = "" if error is None else f", whose error on what is judged is {error:.3f}"
        words = f"<p>{model} has a vocoder of its own already, a {kind}{judged}.</p>"
        return gr.skip(), gr.update(visible=True), words

    def _start_better(self, *values: Any, replace: tuple[str, ...] = ()) -> tuple[Any, ...]:
        model, sounds, kind, device, steps, minutes, anew, more, *fields = values
        overrides = form.vocoder_overrides(
            self._page.home, self._corpora, model, sounds, kind, device, steps, minutes, anew, fields, more
        )
        return self._started(model, [*overrides, *replace]), gr.update(visible=False), ""

    def _start_replacing(self, *values: Any) -> tuple[Any, ...]:
        return self._start_better(*values, replace=("vocoder.replace=true",))

    def _started(self, name: str, overrides: list[str]) -> Any:
        key, others = self._page.trainings.start(name, overrides)
        if others:
            gr.Warning(f"{', '.join(others)} is being trained on the same device: both take longer.")
        return self.panel.choice(key)


def _advanced(fields: list[form.Field], overrides: list[str], name: str) -> tuple[list[gr.Textbox], gr.Textbox]:
    """A text for each field, which shows what it is if left empty, and one for all that has none."""
    with gr.Accordion("More settings", open=False):
        texts = []
        given = form.defaults(fields, overrides)
        for pair in range(0, len(fields), 2):
            with gr.Row():
                for field, default in zip(fields[pair : pair + 2], given[pair : pair + 2], strict=True):
                    texts.append(gr.Textbox("", label=field.label, info=field.info, placeholder=default, min_width=140))
        more = gr.Textbox(
            "",
            label="Anything else",
            info="key=value, one a line, as on the command line.",
            placeholder="model.module.kl.weight=1e-3",
            lines=2,
            elem_id=name,
        )
    return texts, more
