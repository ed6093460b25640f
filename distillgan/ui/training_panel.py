"""One training as it goes: progress, curves, previews, its log; stopped and gone on with."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from distillgan.ui.page import Page
from distillgan.ui.standing import Standing, standings
from distillgan.ui.telling import told
from distillgan.ui.training_view import NOTHING, STAGES, frame
from distillgan.ui.training_view import told as in_words
from distillgan.ui.trainings import State

_SECONDS = 2.0
_LOG_LINES = 200
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
        self.stop.click(told(self._stop), self.name, self.stop, **_HIDDEN)
        self.resume.click(told(self._resume), self.name, self.resume, **_HIDDEN)

    def choice(self, name: str) -> Any:
        """An update of `name` that looks at this training."""
        return gr.update(choices=self._names(), value=name)

    def _names(self) -> list[str]:
        return [state.training.name for state in self._page.trainings.all()]

    def _stop(self, name: str) -> Any:
        self._page.trainings.cancel(name)
        return gr.update(interactive=False)

    def _resume(self, name: str) -> Any:
        others = self._page.trainings.resume(name)
        if others:
            gr.Warning(f"{', '.join(others)} is being trained on the same device: both take longer.")
        return gr.update(interactive=False)

    def _look(self, name: str | None, seen: dict[str, Any]) -> tuple[Any, ...]:
        """All that has changed since it was looked at last; the training that runs, if none is chosen."""
        names = self._names()
        chosen = name if name in names else (names[0] if names else None)
        state = self._page.trainings.state(chosen) if chosen else None
        now = {"names": names, "chosen": chosen}
        menu = gr.skip() if seen.get("names") == names else gr.update(choices=names)
        if chosen != name:  # never otherwise: a visitor may have chosen another one meanwhile
            menu = gr.update(choices=names, value=chosen)
        if state is None:
            return (menu, *[gr.skip()] * 10, now)
        if seen.get("chosen") != chosen:
            seen = {}
        standing = self._standing(state)
        log = self._page.trainings.log(chosen)
        words = in_words(state, standing, log)
        now |= {"words": words, "log": log[-1:], "curves": _mark(standing, "curves.jsonl")}
        now |= {"picture": _mark(standing, "preview.png")}

        def changed(key: str, count: int, make: Callable[[], list[Any]]) -> list[Any]:
            return [gr.skip()] * count if key in seen and seen[key] == now[key] else make()

        return (
            menu,
            *changed("words", 1, lambda: [words]),
            gr.update(interactive=state.phase == "running"),
            gr.update(interactive=state.phase in ("stopped", "failed")),
            *changed("curves", 3, lambda: _curves(standing)),
            *changed("picture", 3, lambda: _previews(standing)),
            *changed("log", 1, lambda: ["\n".join(log[-_LOG_LINES:])]),
            now,
        )

    def _standing(self, state: State) -> Standing | None:
        """Of the stage that it is at, or has come to; None before its first step."""
        of_vocoder = state.training.of_vocoder
        found = [one for one in standings(self._page.home, state.training.name) if (one.stage != "vae") == of_vocoder]
        fresh = [one for one in found if one.written >= state.training.started]
        return next(iter(fresh if state.running else found), None)


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
    stage = STAGES.get(standing.stage, standing.stage)
    heard = [(_HEARD[name], path) for name, path in standing.heard()]
    players = [gr.update(value=str(path), label=label, visible=True) for label, path in heard[:2]]
    picture = gr.update(value=str(standing.picture), label=f"What {stage} makes of recordings", visible=True)
    return [picture, *players, *[gr.update(visible=False)] * (2 - len(players))]
