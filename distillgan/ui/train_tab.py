"""The Train tab, and a training as it is shown.

A training as the page shows it: in words, as a bar, as curves.

One training as it goes: progress, curves, previews, its log; stopped and gone on with.

The Train tab: a model from recordings, then a vocoder of its own; each a process that outlives the page.
"""

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr
import pandas as pd

from distillgan.atomic import Holder
from distillgan.models.plugins import LATENT_MODELS, VAE, kinds
from distillgan.store.library import models_in
from distillgan.ui import training_form as form
from distillgan.ui.data_tab import Corpora
from distillgan.ui.page import Page, Shown, errors_shown
from distillgan.ui.runs import Key, Standing, State
from distillgan.ui.runs import model_in_words as of_its_model
from distillgan.ui.spawned_run import here

STYLE = """<style>
#standing .bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); margin: 8px 0 4px; }
#standing .bar div { height: 100%; border-radius: 4px; background: var(--color-accent); }
#standing .facts { display: flex; flex-wrap: wrap; gap: 4px 28px; }
#standing .quiet { color: var(--body-text-color-subdued); }
#standing pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85em; margin: 6px 0 0; }
#train-log textarea { font-family: var(--font-mono); white-space: pre; overflow-x: auto; font-size: .85em; }
</style>"""
NOTHING = f'{STYLE}<p class="quiet">Nothing has been trained here yet.</p>'
_PHASES = {
    "running": "in training.",
    "stopping": "stopping: its checkpoint and a model that plays are being written.",
    "done": "finished.",
    "stopped": "stopped. Resume goes on from here.",
    "failed": "broke off.",
}
_PARTS = {"model": "the model", "vocoder": "its vocoder"}
_NOT_RESUMED = "stopped. The command that it was started with goes on from here."
_UNITS = {"val/mel_error_db": " dB", "val/mel_error": ""}


def stage_in_words(stage: str) -> str:
    return "the model" if stage == VAE else f"its vocoder ({stage})"


def called(key: Key) -> str:
    """A training's name in a list."""
    return key.name if key.part == "model" else f"{key.name}, {_PARTS[key.part]}"


def run_in_words(state: State, log: list[str], packed: str) -> str:
    """HTML: how far it is, what is left, how good it is; why it broke off, if it did; `packed`: what became of it."""
    standing = state.standing
    of = _PARTS[state.key.part] if standing is None else stage_in_words(standing.stage)
    phase = _NOT_RESUMED if state.phase == "stopped" and not state.resumable else _PHASES[state.phase]
    head = f"<p><b>{escape(f'{state.key.name}, {of}')}</b>: {phase}</p>"
    body = "" if standing is None else _progress(state, standing)
    if state.running and (standing is None or standing.ended):
        doing = "" if standing is None else "Its steps are done; it is measured and packed. "
        body += f'<p class="quiet">{escape(doing + (log[-1] if log else "It starts."))}</p>'
    if state.process is not None:
        body += f'<p class="quiet">{escape(_where(state.process))}</p>'
    packed = f"<p>{escape(packed)}</p>" if packed else ""
    why = f"<pre>{escape(state.words)}</pre>" if state.words else ""
    return f"{STYLE}{head}{body}{packed}{why}"


def _where(process: Holder) -> str:
    if not here(process):
        return f"It was started on {process.host}, and can only be stopped there."
    return f"It was not started from a page (process {process.pid}). Stop does what Ctrl-C does where it was started."


def frame(points: list[tuple[int, float]]) -> pd.DataFrame:
    """Points (step, value) for a line plot, in four digits."""
    return pd.DataFrame([(step, float(f"{value:.4g}")) for step, value in points], columns=["step", "value"])


def _progress(state: State, standing: Standing) -> str:
    status = standing.status
    facts = [(f"{status['step']:,}", f"of {status['steps']:,} steps")]
    if state.running and not standing.ended and status["seconds_left"] is not None:
        facts.append((_time(status["seconds_left"]), "left"))
    facts.append((_time(status["seconds"]), "trained so far"))
    error = status["judged"].get(status["monitor"])
    if error is not None:
        facts.append((f"{error:.2f}{_UNITS.get(status['monitor'], '')}", "error on what is judged"))
    share = 100 * status["share"]
    cells = "".join(f"<div><b>{escape(value)}</b> {escape(words)}</div>" for value, words in facts)
    return (
        f'<div class="bar" role="progressbar" aria-valuenow="{share:.0f}" aria-label="progress">'
        f'<div style="width: {share:.1f}%"></div></div><div class="facts">{cells}</div>'
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


_SECONDS = 2.0
_LOG_LINES = 200
_ELSEWHERE = "What it says is to be read where it was started."
_HEARD = {
    "recording": "The recording",
    "target": "The recording",
    "reconstruction_heard": "Through the model",
    "generated": "Through the vocoder",
}
_HIDDEN = {"api_visibility": "private"}


class Panel:
    """`name` chooses the training; everything else follows it every two seconds, and is sent where it has changed.

    What a visitor has been shown already is in `seen`, his session's.
    """

    def __init__(self, page: Page):
        self._page = page
        self.seen = gr.State({})
        self.name = gr.Dropdown([], value=None, label="Trainings", elem_id="trainings")
        with gr.Row():
            self.stop = gr.Button("Stop", interactive=False, size="md", min_width=90, elem_id="train-stop")
            self.resume = gr.Button("Resume", interactive=False, size="md", min_width=90, elem_id="train-resume")
        self.about = gr.HTML(NOTHING, padding=False, elem_id="standing")
        with gr.Row(visible=False) as self.plots:
            self.loss = self._plot("Loss on what is learnt")
            self.judged = self._plot("Error on what is judged")
        self.picture = gr.Image(
            label="The same sounds, as they are and as they are remade", interactive=False, visible=False, buttons=[]
        )
        with gr.Row():
            self.before = self._player()
            self.after = self._player()
        with gr.Accordion("What it says", open=False):
            self.log = gr.Textbox(
                label="Log", show_label=False, lines=12, max_lines=12, interactive=False, elem_id="train-log"
            )
        self._wire()

    def _plot(self, title: str) -> gr.LinePlot:
        return gr.LinePlot(
            x="step", y="value", title=title, x_title="step", y_title=" ", height=220, min_width=220, buttons=[]
        )

    def _player(self) -> gr.Audio:
        return gr.Audio(interactive=False, visible=False, min_width=200, buttons=[])

    def _wire(self) -> None:
        shown = [self.name, self.about, self.stop, self.resume, self.plots, self.loss, self.judged]
        shown += [self.picture, self.before, self.after, self.log, self.seen]
        quiet = {"show_progress": "hidden", **_HIDDEN}
        gr.Timer(_SECONDS).tick(self._look, [self.name, self.seen], shown, **quiet)
        self.name.change(self._look, [self.name, self.seen], shown, **quiet)
        self.stop.click(errors_shown(self._stop), self.name, self.stop, **_HIDDEN)
        self.resume.click(errors_shown(self._resume), self.name, [self.resume, self.name], **_HIDDEN)

    def choice(self, key: Key) -> Any:
        """An update of `name` that looks at this training."""
        return gr.update(choices=self._choices(), value=str(key))

    def _choices(self) -> list[tuple[str, str]]:
        return [(called(key), str(key)) for key in self._page.trainings.listed()]

    def _stop(self, name: str) -> Any:
        self._page.trainings.cancel(Key.parse(name))
        return gr.update(interactive=False)

    def _resume(self, name: str) -> tuple[Any, Any]:
        key, others = self._page.trainings.resume(Key.parse(name))
        if others:
            gr.Warning(f"{', '.join(others)} is being trained on the same device: both take longer.")
        return gr.update(interactive=False), self.choice(key)

    def _look(self, name: str | None, seen: dict[str, Any]) -> tuple[Any, ...]:
        """All that has changed since it was looked at last; the training that runs, if none is chosen."""
        choices = self._choices()
        names = [value for _, value in choices]
        chosen = name if name in names else (names[0] if names else None)
        state = self._page.trainings.state(Key.parse(chosen)) if chosen else None
        now = {"names": names, "chosen": chosen}
        menu = gr.skip() if seen.get("names") == names else gr.update(choices=choices)
        if chosen != name:  # never otherwise: a visitor may have chosen another one meanwhile
            menu = gr.update(choices=choices, value=chosen)
        if state is None:
            return (menu, *[gr.skip()] * 10, now)
        if seen.get("chosen") != chosen:
            seen = {}
        standing, log = state.standing, state.started.log() if state.started else [_ELSEWHERE]
        ended = state.phase in ("done", "stopped") and standing is not None
        words = run_in_words(state, log, of_its_model(self._page.home, state.key.name, standing) if ended else "")
        now |= {"words": words, "log": log[-1:], "curves": _mark(standing, "curves.jsonl")}
        now |= {"picture": _mark(standing, "preview.png")}

        def changed(key: str, count: int, make: Callable[[], list[Any]]) -> list[Any]:
            return [gr.skip()] * count if key in seen and seen[key] == now[key] else make()

        return (
            menu,
            *changed("words", 1, lambda: [words]),
            gr.update(interactive=state.phase == "running"),
            gr.update(interactive=state.resumable),
            *changed("curves", 3, lambda: _curves(standing)),
            *changed("picture", 3, lambda: _previews(standing)),
            *changed("log", 1, lambda: ["\n".join(log[-_LOG_LINES:])]),
            now,
        )


def _mark(standing: Standing | None, name: str) -> float | None:
    """Changes when the file does."""
    path = None if standing is None else standing.folder / name
    return path.stat().st_mtime if path is not None and path.exists() else None


def _curves(standing: Standing | None) -> list[Any]:
    loss, judged = ([], []) if standing is None else standing.curves()
    return [gr.update(visible=bool(loss)), frame(loss), frame(judged)]


def _previews(standing: Standing | None) -> list[Any]:
    if standing is None or standing.picture is None:
        return [gr.update(visible=False)] * 3
    stage = stage_in_words(standing.stage)
    heard = [(_HEARD[name], path) for name, path in standing.heard()]
    players = [gr.update(value=str(path), label=label, visible=True) for label, path in heard[:2]]
    picture = gr.update(value=str(standing.picture), label=f"What {stage} makes of recordings", visible=True)
    return [picture, *players, *[gr.update(visible=False)] * (2 - len(players))]


_TRAIN_TAB_HIDDEN = {"api_visibility": "private"}


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
        latent_models = kinds(LATENT_MODELS)
        self.latent = gr.Radio(latent_models, value=VAE, label="Kind", visible=len(latent_models) > 1)
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
            form.vocoders(),
            value=form.VOCODER,
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
            form.VOCODER_FIELDS, [f"vocoder={form.VOCODER}"], "vocoder-more"
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
        asked = [self.corpus, self.name, self.latent, self.size, self.device, self.steps, self.minutes]
        asked += [self.grow, self.anew]
        self.start.click(
            errors_shown(self._start), [*asked, self.more, *self.fields], self.panel.name, **_TRAIN_TAB_HIDDEN
        )
        vocoder = [self.model, self.sounds, self.kind, self.vocoder_device, self.vocoder_steps, self.vocoder_minutes]
        vocoder += [self.vocoder_anew, self.vocoder_more, *self.vocoder_fields]
        started = [self.panel.name, self.asking, self.question]
        self.vocoder_start.click(errors_shown(self._start_vocoder), vocoder, started, **_TRAIN_TAB_HIDDEN)
        self.better.click(errors_shown(self._start_better), vocoder, started, **_TRAIN_TAB_HIDDEN)
        self.replace.click(errors_shown(self._start_replacing), vocoder, started, **_TRAIN_TAB_HIDDEN)
        # A model that is finished meanwhile can be chosen.
        self.panel.about.change(
            lambda: self._refreshed()[1], None, self.model, show_progress="hidden", **_TRAIN_TAB_HIDDEN
        )
        # Another model is another question: it may have no vocoder, or a better one.
        for act in (self.leave.click, self.model.input):
            act(lambda: gr.update(visible=False), None, self.asking, show_progress="hidden", **_TRAIN_TAB_HIDDEN)

    def _refreshed(self) -> tuple[Any, ...]:
        names, models = self._corpora.names(), [path.stem for path in models_in(self._page.home)]
        return (
            gr.update(choices=[*names, form.DEMO]),
            gr.update(choices=models),
            gr.update(choices=[form.ITS_OWN, *names]),
        )

    def _start(self, corpus: str, name: str, *values: Any) -> Any:
        kind, size, device, steps, minutes, grow, anew, more, *fields = values
        overrides = form.model_overrides(
            self._corpora, corpus, size, device, steps, minutes, grow, anew, fields, more, kind
        )
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
