"""The Generate tab: controls, the sound that comes of them, history, presets and comparison."""

import time
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from distillgan.errors import UserError
from distillgan.progress import clock
from distillgan.store import history_files
from distillgan.store.history import Generation, History
from distillgan.synthesis.reproduce import Original, models_now
from distillgan.synthesis.request import RenderRequest
from distillgan.ui import sound_panels
from distillgan.ui.page import HIDDEN, Page, Shown, errors_shown
from distillgan.ui.renderings import CANCELLED, DONE, FAILED, RENDERING, WAITING, Standing
from distillgan.ui.slider_panel import STYLE, ControlsPanel
from distillgan.ui.sound_panels import ComparePanel, PresetsPanel, SoundCard
from distillgan.ui.sound_settings import on_page, values_of


def status(standing: Standing | None) -> str:
    """A bar and words, as HTML."""
    if standing is None:
        return ""
    if standing.state == WAITING:
        before = f"{standing.ahead} before it" if standing.ahead else "next"
        return _bar(0.0, f"In the queue: {before}")
    if standing.transfer is not None:
        transfer = standing.transfer
        left = "" if transfer.seconds_left is None else f", {clock(transfer.seconds_left)} left"
        done = f"{transfer.done / 1e6:,.1f} of {transfer.total / 1e6:,.1f} MB"
        words = f"Fetching {transfer.file}, once: {done}{left}"
        return _bar(transfer.done / max(transfer.total, 1), words)
    if standing.state == RENDERING:
        left = "" if standing.seconds_left is None else f", {clock(standing.seconds_left)} left"
        words = f"Rendering: {standing.share:.0%}{left}" if standing.share else "Opening the model and its vocoder"
        return _bar(standing.share, words)
    notes = "".join(f"<p>{escape(line)}</p>" for line in _notes(standing.said))
    if standing.state == FAILED:
        return f'<div class="failed" role="alert"><b>This cannot be rendered.</b> {_lines(standing.error)}</div>'
    if standing.state == CANCELLED:
        left = "what was rendered until then is in the history" if standing.made else "nothing was rendered yet"
        return f"<p>Cancelled: {left}.</p>{notes}"
    assert standing.state == DONE
    return notes


def _notes(said: str) -> list[str]:
    """Of what `generate` printed, that which is not on the page anyhow: what plays and why, and warnings."""
    return [line.strip() for line in said.splitlines() if line.startswith(("model ", "warning: "))]


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


def _bar(share: float, words: str) -> str:
    return (
        f'<div class="bar" role="progressbar" aria-valuenow="{100 * share:.0f}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{100 * share:.1f}%"></i></div><p>{escape(words)}</p>'
    )


_TICK_SECONDS = 0.5
# Who a visitor is, is known by his browser, so that he finds what he asked for when the page is loaded anew.
_VISITOR = """(_, ...others) => {
  const key = "distillgan-visitor";
  if (!localStorage.getItem(key)) {
    localStorage.setItem(key, [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16)).join("-"));
  }
  return [localStorage.getItem(key), ...others];
}"""
_STYLE = """
.bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; margin: 6px 0; }
.bar i { display: block; height: 100%; background: var(--color-accent); transition: width .4s linear; }
.failed { border-left: 3px solid #d9822b; padding: 4px 10px; overflow-wrap: anywhere; }
.subdued p { color: var(--body-text-color-subdued); font-size: 12px; line-height: 1.4; margin: 0; }
.card { gap: 8px !important; }
.card table, .compare table { font-size: 12px; width: 100%; }
.card td, .compare td, .compare th { padding: 2px 8px 2px 0 !important; text-align: left; }
.card tr > *, .compare tr > * { border: solid var(--border-color-primary) !important;
  border-width: 0 0 1px !important; }
"""


def build(page: Page) -> Shown:
    tab = _Tab(page)
    return Shown(time.monotonic_ns, [tab.pulse])


class _Tab:
    """The components; each visitor's own state is in `gr.State`, and who he is in his browser."""

    def __init__(self, page: Page):
        self._page, self._home = page, page.home
        self.pulse = gr.State(0)  # changes when the tab is to be brought up to date
        self.visitor, self.owner = gr.Textbox(visible=False, label="Visitor"), gr.State("")
        self.job, self.again, self.seen = gr.State(), gr.State(), gr.State(0)
        self.chosen, self.limit = gr.State(), gr.State(sound_panels.SHOWN)
        self.timer = gr.Timer(_TICK_SECONDS, active=False)
        with gr.Row():
            with gr.Column(scale=6, min_width=420):
                self.controls = ControlsPanel(page)
            with gr.Column(scale=5, min_width=380):
                self._right()
        self._wire()

    def _right(self) -> None:
        with gr.Row():
            self.generate = gr.Button("Generate", variant="primary", scale=3, elem_id="generate")
            self.cancel = gr.Button("Cancel", variant="stop", scale=1, min_width=90, interactive=False)
        self.status = gr.HTML(elem_id="status", padding=False)
        with gr.Column(elem_classes="card"):
            self.card = SoundCard()
            with gr.Row(visible=False) as self.acts:
                self.recall = gr.Button("Recall its settings", size="sm", min_width=110)
                self.remake = gr.Button("Make it again", size="sm", min_width=100)
                self.star = gr.Button("Star", size="sm", min_width=60)
                self.take = [gr.Button(f"Take as {side}", size="sm", min_width=80) for side in "AB"]
                self.delete = gr.Button("Delete", size="sm", min_width=60)
            with gr.Row(visible=False) as self.sure:
                self.really = gr.Button("Forget it, keep its file", size="sm", variant="stop")
                self.wholly = gr.Button("Delete it with its file", size="sm", variant="stop")
                self.keep = gr.Button("Keep it", size="sm")
        with gr.Tabs():
            with gr.Tab("History") as self.history:
                with gr.Row():
                    info = "rain seed=3 brightness=5"
                    self.search = gr.Textbox(label="Search", placeholder=info, scale=3, min_width=140)
                    self.starred = gr.Checkbox(False, label="Starred only", scale=1, min_width=110)
                self.list = sound_panels.history_list()
                self.more = gr.Button("More", size="sm")
            with gr.Tab("Presets"):
                self.presets = PresetsPanel(self._home)
            with gr.Tab("A / B", elem_classes="compare"):
                self.compare = ComparePanel(self._home)
        gr.HTML(f"<style>{STYLE}{_STYLE}</style>", padding=False)

    def _wire(self) -> None:
        controls, card, presets, compare = self.controls, self.card, self.presets, self.compare
        shown = [self.chosen, *card.outputs, self.acts, self.star, self.sure, self.list]
        view = [self.search, self.starred, self.limit]
        running = [self.job, self.again, self.seen, self.timer, self.cancel, self.status]
        arrived = [self.owner, *running, self.list, *presets.outputs, *controls.outputs]
        inputs = [self.visitor, self.job, self.chosen, *view, presets.folder, presets.preset, *controls.inputs]
        self.pulse.change(errors_shown(self._arrived), inputs, arrived, js=_VISITOR, **HIDDEN)
        self.generate.click(errors_shown(self._asked), [self.owner, *controls.inputs], running, **HIDDEN)
        self.cancel.click(self._cancelled, [self.owner, self.job], self.cancel, **HIDDEN)
        inputs = [self.owner, self.job, self.again, self.seen, *view]
        self.timer.tick(errors_shown(self._watched), inputs, [*running[2:], *shown], **HIDDEN)

        self.list.select(errors_shown(self._picked), view, shown, **HIDDEN)
        for change in (self.search.change, self.starred.change, self.history.select):
            change(errors_shown(self._listed), [*view, self.chosen], self.list, **HIDDEN)
        more = self.more.click(lambda limit: limit + sound_panels.SHOWN, self.limit, self.limit, **HIDDEN)
        more.then(errors_shown(self._listed), [*view, self.chosen], self.list, **HIDDEN)
        self.recall.click(errors_shown(self._recalled), self.chosen, controls.outputs, **HIDDEN)
        self.remake.click(errors_shown(self._remade), [self.owner, self.chosen], running, **HIDDEN)
        self.star.click(errors_shown(self._starred), [self.chosen, *view], shown, **HIDDEN)
        self.delete.click(lambda: gr.update(visible=True), None, self.sure, **HIDDEN)
        self.keep.click(lambda: gr.update(visible=False), None, self.sure, **HIDDEN)
        self.really.click(errors_shown(self._forgotten), [self.chosen, *view], shown, **HIDDEN)
        self.wholly.click(errors_shown(self._deleted), [self.chosen, *view], shown, **HIDDEN)

        naming = [presets.name, presets.into, presets.replace, presets.folder]
        presets.save.click(errors_shown(self._saved), [*naming, *controls.inputs], presets.outputs, **HIDDEN)
        presets.recall.click(errors_shown(self._preset_recalled), presets.preset, controls.outputs, **HIDDEN)
        sides = zip("AB", self.take, compare.keep, (compare.first, compare.second), compare.titles, strict=True)
        for side, take, keep, number, title in sides:
            take.click(_with(compare.taken, side), self.chosen, [number, title], **HIDDEN)
            kept = keep.click(_with(compare.kept, side), [number, compare.name], None, **HIDDEN)
            kept.then(presets.listed, [presets.folder, presets.preset], presets.outputs, **HIDDEN)

    def _arrived(
        self, owner: str, job: int | None, chosen: int | None, words: str, starred: bool, limit: int, *given: Any
    ) -> list[Any]:
        """The tab is shown: what there is by now, and the visitor's own rendering if one is under way."""
        folder, preset, *controls = given
        running = [gr.skip()] * 6
        latest = self._page.renderings.latest(owner)
        standing = None if latest is None or job is not None else self._page.renderings.standing(latest, owner)
        if standing is not None and not standing.over:
            running = self._running(latest)
        entries = sound_panels.found(self._home, words, starred, limit)
        listed = [sound_panels.listed(entries, chosen), *self.presets.listed(folder, preset)]
        return [owner, *running, *listed, *self.controls.arrived(*controls)]

    def _asked(self, owner: str, *given: Any) -> list[Any]:
        return self._running(self._page.renderings.submit(self.controls.request(*given), owner))

    def _remade(self, owner: str, chosen: int | None) -> list[Any]:
        generation = self._generation(chosen)
        request, notes = Original.of_history(generation).request(self._home)
        for note in notes:
            gr.Info(escape(note))
        return self._running(self._page.renderings.submit(on_page(self._page, request), owner), generation.id)

    def _running(self, job: int, again: int | None = None) -> list[Any]:
        return [job, again, 0, gr.Timer(active=True), gr.update(interactive=True), "<p>Asked for.</p>"]

    def _cancelled(self, owner: str, job: int | None) -> Any:
        if job is not None:
            self._page.renderings.cancel(job, owner)
        return gr.update(interactive=False)

    def _watched(
        self, owner: str, job: int | None, again: int | None, seen: int, words: str, starred: bool, limit: int
    ) -> list[Any]:
        """Called twice a second while something is under way: where it stands, and each sound once it is there."""
        standing = None if job is None else self._page.renderings.standing(job, owner)
        over = standing is None or standing.over
        said = status(standing)
        if standing is not None and standing.state == DONE and again is not None:
            said = f"<p><b>Made again: {self._verdict(again, standing.made[-1])}.</b></p>{said}"
        made = standing.made if standing is not None else ()
        card = [gr.skip()] * 11
        if len(made) > seen:
            card = self._shown(self._generation(made[-1].id), words, starred, limit)
        timer = gr.Timer(active=False) if over else gr.skip()
        return [len(made), timer, gr.update(interactive=False) if over else gr.skip(), said, *card]

    def _verdict(self, again: int, made: Any) -> str:
        return Original.of_history(self._generation(again)).verdict(made).words

    def _picked(self, words: str, starred: bool, limit: int, event: gr.EventData) -> list[Any]:
        return self._shown(self._generation(sound_panels.chosen_of(event)), words, starred, limit)

    def _starred(self, chosen: int | None, *view: Any) -> list[Any]:
        generation = self._generation(chosen)
        History(self._home).star([generation.id], not generation.starred)
        return self._shown(self._generation(chosen), *view)

    def _forgotten(self, chosen: int | None, *view: Any) -> list[Any]:
        History(self._home).delete([self._generation(chosen).id])
        return self._shown(None, *view)

    def _deleted(self, chosen: int | None, *view: Any) -> list[Any]:
        history = History(self._home)
        for generation in history.delete([self._generation(chosen).id]):
            left = history_files.remove(generation, history)
            if left:
                gr.Warning(escape(f"{generation.path.name} is left: {left}"))
        return self._shown(None, *view)

    def _shown(self, generation: Generation | None, words: str, starred: bool, limit: int) -> list[Any]:
        """A sound in the card, and the history with it marked."""
        chosen = None if generation is None else generation.id
        star = gr.update(value="Unstar" if generation is not None and generation.starred else "Star")
        there = gr.update(visible=generation is not None)
        listed = self._listed(words, starred, limit, chosen)
        return [chosen, *self.card.shown(generation), there, star, gr.update(visible=False), listed]

    def _listed(self, words: str, starred: bool, limit: int, chosen: int | None) -> str:
        return sound_panels.listed(sound_panels.found(self._home, words, starred, limit), chosen)

    def _recalled(self, chosen: int | None) -> list[Any]:
        metadata, notes = self._generation(chosen).metadata, []
        settings = {**metadata["settings"], **models_now(self._home, metadata, notes)}
        for note in notes:
            gr.Warning(escape(note))
        values, positions = values_of(RenderRequest.from_dict(settings))
        recording = values["recording"]
        if recording and not (Path(recording).is_relative_to(self._home.audio) and Path(recording).is_file()):
            gr.Warning(f"choose the recording once more: {escape(recording)} is not among those of this page")
            values["recording"] = None
        return self.controls.recalled(values, positions)

    def _saved(self, name: str, into: str | None, replace: bool, folder: str, *given: Any) -> list[Any]:
        settings = self.controls.request(*given).to_dict()
        key = self.presets.saved(self.controls.models(*given), name, into, replace, settings)
        gr.Info(f"{escape(name)} is saved")
        return self.presets.listed(folder, key)

    def _preset_recalled(self, key: str | None) -> list[Any]:
        preset = self.presets.chosen(key)
        request = RenderRequest.from_dict(preset.settings)
        if not request.blend:
            request = replace(request, model=preset.model)
        return self.controls.recalled(*values_of(request))

    def _generation(self, number: int | None) -> Generation:
        """Raises UserError if none is chosen, or it is gone."""
        if number is None:
            raise UserError("choose a sound of the history first")
        return History(self._home).get(number)


def _with(act: Any, side: str) -> Any:
    """A handler of A or B."""
    return errors_shown(lambda number, *rest: act(number, side, *rest))
