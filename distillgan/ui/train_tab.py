"""The Train tab: a model from recordings, then a vocoder of its own; each run a process that outlives the page."""

import math
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from distillgan.errors import UserError
from distillgan.models.header import Header, read_header
from distillgan.models.plugins import LATENT_MODELS, VAE, kinds
from distillgan.paths import Home
from distillgan.store.library import models_in
from distillgan.training.run_status import CURVES, KILLED, RunProcess, StageStatus
from distillgan.ui import training_form as form
from distillgan.ui.data_tab import Corpora
from distillgan.ui.page import PRIVATE, QUIET, Page, Shown, errors_shown, figures
from distillgan.ui.runs import RunKey, RunState, part_of

CSS = """
#run-status .bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); margin: 8px 0 4px; }
#run-status .bar i { display: block; height: 100%; border-radius: 4px; background: var(--color-accent); }
#run-status pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85em; margin: 6px 0 0; }
#train-log textarea { font-family: var(--font-mono); white-space: pre; overflow-x: auto; font-size: .85em; }
"""
NOTHING = '<p class="quiet">Nothing has been trained here yet.</p>'
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
_PLAYS = "It plays on the Generate tab."
_SAID_ELSEWHERE = "More was said where it was started; the same command there goes on from its last checkpoint."
_LAST_LINES = 12  # of the log that tell of a failure
_LOG_LINES = 200
_SECONDS = 2.0
_POINTS = 400  # of a curve, at most
_PICTURE = "preview.png"
# What of a stage's losses is drawn: its own one, before everything that only helps.
_LOSS = {"model": "train/reconstruction", "vocoder": "train/loss_mel"}
_PREVIEWS = {  # of the first clip, the recording first
    "recording": "The recording",
    "reconstruction_heard": "Through the model",
    "target": "The recording",
    "generated": "Through the vocoder",
}


def result_text(home: Home, name: str, status: StageStatus) -> str:
    """In words, what is to be known of the model that came of a run that has ended."""
    try:
        header = read_header(home.model(name))
    except UserError:
        return "Its model is not in the library any more."
    if part_of(status.stage) == "model":
        pending = f" {header.no_sliders.capitalize()}." if header.sliders_pending else ""
        return f"{_grown(header)}{_PLAYS}{pending}"
    there = header.training.get("vocoder")
    if header.vocoder is None or not there:
        return "Its model has no vocoder of its own any more."
    error = there.get("mel_error")
    try:
        packed = datetime.fromisoformat(str(there.get("date"))).timestamp()
    except ValueError:  # of what a stranger's file calls a date
        packed = math.inf
    # Its steps end before it is packed; dates have whole seconds.
    if packed >= math.floor(status.ended_at or status.written):
        return _PLAYS
    judged = f": its error is {error:.3f}, and the new one's is larger" if isinstance(error, float) else ""
    return (
        f"It is not in the model, which keeps the {header.vocoder['name']} vocoder that it had{judged}. "
        "To have the new one all the same, train it again as it was, without beginning anew, and let it take the "
        "other's place: that takes no more steps."
    )


def _grown(header: Header) -> str:
    statistics = header.training["vae"]
    before, now = statistics.get("old_error_before_db"), statistics.get("old_error_db")
    if not isinstance(before, float) or not isinstance(now, float):
        return ""
    return f"It has grown: its error on the old recordings was {before:.2f} dB before, and is {now:.2f} dB now. "


def failure_text(state: RunState) -> str:
    """In words, why a run failed, and the last that it said; empty for one that has not failed."""
    if state.phase != "failed":
        return ""
    if state.spawned is None:
        return f"{state.error or KILLED} {_SAID_ELSEWHERE}"
    lines = state.spawned.log()
    refusal = next((at for at, line in enumerate(lines) if line.startswith("error: ")), None)
    if refusal is not None:
        return "\n".join(lines[refusal:]).removeprefix("error: ")
    last = "\n".join(lines[-_LAST_LINES:])
    return f"{state.error or KILLED} Resume goes on from its last checkpoint. The last that it said:\n{last}"


def _stage_text(stage: str) -> str:
    return _PARTS["model"] if stage == VAE else f"{_PARTS['vocoder']} ({stage})"


def _key_text(key: RunKey) -> str:
    return key.name if key.part == "model" else f"{key.name}, {_PARTS['vocoder']}"


def run_text(home: Home, state: RunState, log: list[str]) -> str:
    """HTML: how far a run is, what is left, how good it is; what has become of it, or why it broke off."""
    status = state.status
    of = _PARTS[state.key.part] if status is None else _stage_text(status.stage)
    phase = _NOT_RESUMED if state.phase == "stopped" and not state.resumable else _PHASES[state.phase]
    text = f"<p><b>{escape(f'{state.key.name}, {of}')}</b>: {phase}</p>"
    text += "" if status is None else _progress(state, status)
    if state.process is not None and (status is None or status.ended):
        doing = "" if status is None else "Its steps are done; it is measured and packed. "
        text += f'<p class="quiet">{escape(doing + (log[-1] if log else "It starts."))}</p>'
    if state.process is not None and state.spawned is None:
        text += f'<p class="quiet">{escape(_external(state.process))}</p>'
    if state.phase in ("done", "stopped") and status is not None:
        text += f"<p>{escape(result_text(home, state.key.name, status))}</p>"
    failure = failure_text(state)
    return text + (f"<pre>{escape(failure)}</pre>" if failure else "")


def _external(process: RunProcess) -> str:
    if not process.here:
        return f"It was started on {process.host}, and can only be stopped there."
    return f"It was not started from a page (process {process.pid}). Stop does what Ctrl-C does where it was started."


def _progress(state: RunState, status: StageStatus) -> str:
    facts = [(f"{status.step:,}", f"of {status.steps:,} steps")]
    if state.running and not status.ended and status.seconds_left is not None:
        facts.append((_time(status.seconds_left), "left"))
    facts.append((_time(status.seconds), "trained so far"))
    error = status.judged.get(status.monitor)
    if error is not None:
        facts.append((f"{error:.2f}{_UNITS.get(status.monitor, '')}", "error on what is judged"))
    percent = 100 * status.share
    bar = f'<div class="bar" role="progressbar" aria-valuenow="{percent:.0f}" aria-label="progress">'
    return f'{bar}<i style="width: {percent:.1f}%"></i></div>{figures(facts)}'


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def frame(points: list[tuple[int, float]]) -> pd.DataFrame:
    """Points (step, value) for a line plot, in four digits: every so many of them, the last one always."""
    thinned = points[::-1][:: max(1, -(-len(points) // _POINTS))][::-1]
    return pd.DataFrame([(step, float(f"{value:.4g}")) for step, value in thinned], columns=["step", "value"])


class RunPanel:
    """One run as it goes: progress, curves, previews, its log; stopped and gone on with.

    `name` chooses the run; everything else follows it every two seconds, and is sent where it has changed. What a
    visitor has been shown already is in `seen`, his session's.
    """

    def __init__(self, page: Page):
        self._home, self._supervisor = page.home, page.supervisor
        self.seen = gr.State({})
        self.name = gr.Dropdown([], value=None, label="Trainings", elem_id="trainings")
        with gr.Row():
            self.stop, self.resume = (
                gr.Button(act, interactive=False, size="md", min_width=90, elem_id=f"train-{act.lower()}")
                for act in ("Stop", "Resume")
            )
        self.about = gr.HTML(NOTHING, padding=False, elem_id="run-status")
        axes: dict[str, Any] = {"x": "step", "y": "value", "x_title": "step", "y_title": " ", "buttons": []}
        with gr.Row(visible=False) as self.plots:
            self.loss, self.error = (
                gr.LinePlot(title=title, height=220, min_width=220, **axes)
                for title in ("Loss on what is learnt", "Error on what is judged")
            )
        label = "The same sounds, as they are and as they are remade"
        self.picture = gr.Image(label=label, interactive=False, visible=False, buttons=[])
        with gr.Row():
            self.players = [gr.Audio(interactive=False, visible=False, min_width=200, buttons=[]) for _ in range(2)]
        with gr.Accordion("What it says", open=False):
            self.log = gr.Textbox(
                label="Log", show_label=False, lines=12, max_lines=12, interactive=False, elem_id="train-log"
            )
        shown = [self.name, self.about, self.stop, self.resume, self.plots, self.loss, self.error, self.picture]
        shown += [*self.players, self.log, self.seen]
        for event in (gr.Timer(_SECONDS).tick, self.name.change):
            event(self._look, [self.name, self.seen], shown, **QUIET)
        self.stop.click(errors_shown(self._stop), self.name, self.stop, **PRIVATE)
        self.resume.click(errors_shown(self._resume), self.name, [self.resume, self.name], **PRIVATE)

    def started(self, key: RunKey, others: list[str]) -> Any:
        """An update of `name` that looks at a run that has just been started."""
        if others:
            gr.Warning(f"{', '.join(others)} is being trained on the same device: both take longer.")
        return gr.update(choices=self._choices(), value=str(key))

    def _choices(self) -> list[tuple[str, str]]:
        return [(_key_text(key), str(key)) for key in self._supervisor.listed()]

    def _stop(self, name: str) -> Any:
        self._supervisor.stop(RunKey.parse(name))
        return gr.update(interactive=False)

    def _resume(self, name: str) -> tuple[Any, Any]:
        return gr.update(interactive=False), self.started(*self._supervisor.resume(RunKey.parse(name)))

    def _look(self, name: str | None, seen: dict[str, Any]) -> dict[Any, Any]:
        """All that has changed since it was looked at last; of the run that goes on, if none is chosen."""
        choices = self._choices()
        names = [value for _, value in choices]
        chosen = name if name in names else next(iter(names), None)
        now: dict[str, Any] = {"names": names, "chosen": chosen}
        update: dict[Any, Any] = {self.seen: now}
        if chosen != name:  # never otherwise: a visitor may have chosen another one meanwhile
            update[self.name] = gr.update(choices=choices, value=chosen)
        elif seen.get("names") != names:
            update[self.name] = gr.update(choices=choices)
        state = self._supervisor.state(RunKey.parse(chosen)) if chosen else None
        if state is None:
            return update
        status, log = state.status, ["What it says is to be read where it was started."]
        if state.spawned is not None:
            log = state.spawned.log()
        text = run_text(self._home, state, log)
        update[self.stop] = gr.update(interactive=state.phase == "running")
        update[self.resume] = gr.update(interactive=state.resumable)
        for part, mark, make in (
            ("text", text, lambda: {self.about: text}),
            ("log", log[-1:], lambda: {self.log: "\n".join(log[-_LOG_LINES:])}),
            ("curves", _modified(status, CURVES), lambda: self._curves(status)),
            ("previews", _modified(status, _PICTURE), lambda: self._previews(status)),
        ):
            now[part] = mark
            if seen.get("chosen") != chosen or part not in seen or seen[part] != mark:
                update |= make()
        return update

    def _curves(self, status: StageStatus | None) -> dict[Any, Any]:
        loss, judged = ([], []) if status is None else status.curves(_LOSS[part_of(status.stage)], status.monitor)
        return {self.plots: gr.update(visible=bool(loss)), self.loss: frame(loss), self.error: frame(judged)}

    def _previews(self, status: StageStatus | None) -> dict[Any, Any]:
        update = dict.fromkeys([self.picture, *self.players], gr.update(visible=False))
        if status is None or not (status.folder / _PICTURE).is_file():
            return update
        label = f"What {_stage_text(status.stage)} makes of recordings"
        update[self.picture] = gr.update(value=str(status.folder / _PICTURE), label=label, visible=True)
        for player, (label, path) in zip(self.players, previews(status), strict=False):
            update[player] = gr.update(value=str(path), label=label, visible=True)
        return update


def previews(status: StageStatus) -> list[tuple[str, Path]]:
    """What there is to hear of a stage's first clip, as (label, file): the recording first."""
    files = [(label, status.folder / f"preview_0_{name}.wav") for name, label in _PREVIEWS.items()]
    return [(label, path) for label, path in files if path.is_file()]


def _modified(status: StageStatus | None, name: str) -> float | None:
    path = None if status is None else status.folder / name
    return path.stat().st_mtime if path is not None and path.exists() else None


def build(page: Page) -> Shown:
    return _TrainTab(page).shown


class _TrainTab:
    """The forms on the left; on the right the panel of the run that is looked at."""

    def __init__(self, page: Page):
        self._page, self._corpora = page, Corpora(page.home)
        with gr.Row():
            with gr.Column(scale=2, min_width=320), gr.Tabs():
                with gr.Tab("A model"):
                    model = self._model_form()
                with gr.Tab("A vocoder of its own"):
                    vocoder = self._vocoder_form()
            with gr.Column(scale=3, min_width=480):
                self.panel = RunPanel(page)
        self.start.click(errors_shown(self._start), model, self.panel.name, **PRIVATE)
        started = [self.panel.name, self.asking, self.question]
        for button, act in (
            (self.vocoder_start, self._start_vocoder),
            (self.better, self._start_better),
            (self.replace, self._start_replacing),
        ):
            button.click(errors_shown(act), vocoder, started, **PRIVATE)
        # A model that is finished meanwhile can be chosen.
        self.panel.about.change(lambda: self._refreshed()[1], None, self.model, **QUIET)
        # Another model is another question: it may have no vocoder, or a better one.
        for act in (self.leave.click, self.model.input):
            act(lambda: gr.update(visible=False), None, self.asking, **QUIET)
        self.shown = Shown(self._refreshed, [self.corpus, self.model, self.sounds])

    def _model_form(self) -> list[Any]:
        self.corpus = gr.Dropdown([form.DEMO], value=None, label="Recordings", elem_id="train-corpus")
        name = gr.Textbox(
            "", label="Name of the model", placeholder="that of the recordings", max_length=80, elem_id="train-name"
        )
        latent_models = kinds(LATENT_MODELS)
        kind = gr.Radio(latent_models, value=VAE, label="Kind", visible=len(latent_models) > 1)
        size = gr.Radio(list(form.SIZES), value="medium", label="Size", info=form.SIZE_WORDS)
        limits = self._limits("0: by the length of the recordings.")
        grow = gr.Checkbox(
            label="Let the model of this name grow",
            info="It learns these recordings too, and forgets none of its own; it keeps its size.",
        )
        anew = gr.Checkbox(label="Begin anew", info="What there was of this name is kept beside it.")
        more = _advanced(form.MODEL_FIELDS, ["device=auto"], "train-more")
        self.start = gr.Button("Start training", variant="primary", elem_id="train-start")
        return [name, self.corpus, kind, size, grow, anew, *limits, *more]

    def _vocoder_form(self) -> list[Any]:
        words = (
            "Trained on the same recordings, for this model alone. Without one a model plays through a universal one."
        )
        gr.HTML(f"<p>{words}</p>", padding=False)
        self.model = gr.Dropdown([], value=None, label="Model", elem_id="vocoder-model")
        self.sounds = gr.Dropdown([form.ITS_OWN], value=form.ITS_OWN, label="Recordings")
        kind = gr.Radio(
            form.vocoders(),
            value=form.VOCODER,
            label="Kind",
            info="harmonic: plays from its first step, in tune. hifigan: starts from noise, wants hours or a GPU.",
        )
        limits = self._limits("0: chosen by the device.")
        anew = gr.Checkbox(
            label="Begin anew", info="What was trained of this kind is kept beside it. Otherwise it goes on."
        )
        more = _advanced(form.VOCODER_FIELDS, [f"vocoder={form.VOCODER}"], "vocoder-more")
        self.vocoder_start = gr.Button("Train vocoder", variant="primary", elem_id="vocoder-start")
        with gr.Column(visible=False) as self.asking:
            self.question = gr.HTML(padding=False)
            self.better = gr.Button("Train; the better one stays", variant="primary", size="md")
            self.replace = gr.Button("Train; the new one takes its place", variant="stop", size="md")
            self.leave = gr.Button("Leave it", size="md")
        return [self.model, self.sounds, kind, anew, *limits, *more]

    def _limits(self, steps: str) -> list[Any]:
        """Steps and minutes at most, and the device."""
        with gr.Row():
            limits = [
                gr.Number(label="Steps", info=steps, value=0, minimum=0, precision=0),
                gr.Number(label="Minutes at most", info="0: no limit.", value=0, minimum=0),
            ]
        there, given = form.devices(), self._page.settings.device.name
        return [*limits, gr.Dropdown(there, value=given if given in there else "auto", label="Device")]

    def _refreshed(self) -> tuple[Any, ...]:
        names, models = self._corpora.names(), [path.stem for path in models_in(self._page.home)]
        choices = ([*names, form.DEMO], models, [form.ITS_OWN, *names])
        return tuple(gr.update(choices=each) for each in choices)

    def _start(self, name: str, corpus: str, *values: Any) -> Any:
        overrides = form.model_overrides(self._corpora, corpus, *values)
        name = name.strip() or ("demo" if corpus == form.DEMO else corpus)
        return self.panel.started(*self._page.supervisor.start(name, overrides))

    def _start_vocoder(self, model: str, *values: Any) -> tuple[Any, ...]:
        old = form.vocoder_of(self._page.home, model) if model else None
        if old is None:
            return self._start_better(model, *values)
        kind, error = old
        judged = "" if error is None else f", whose error on what is judged is {error:.3f}"
        words = f"<p>{model} has a vocoder of its own already, a {kind}{judged}.</p>"
        return gr.skip(), gr.update(visible=True), words

    def _start_better(self, model: str, *values: Any, replace: tuple[str, ...] = ()) -> tuple[Any, ...]:
        overrides = form.vocoder_overrides(self._page.home, self._corpora, model, *values)
        started = self._page.supervisor.start(model, [*overrides, *replace])
        return self.panel.started(*started), gr.update(visible=False), ""

    def _start_replacing(self, *values: Any) -> tuple[Any, ...]:
        return self._start_better(*values, replace=("vocoder.replace=true",))


def _advanced(fields: list[form.Field], overrides: list[str], name: str) -> list[gr.Textbox]:
    """A text for all settings that have no field, then one for each field, which shows what it is if left empty."""
    texts, given = [], form.defaults(fields, overrides)
    with gr.Accordion("More settings", open=False):
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
    return [more, *texts]
