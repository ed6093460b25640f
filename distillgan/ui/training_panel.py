"""One training as it goes: progress, curves, previews, its log; stopped and gone on with."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from distillgan.ui.packed import told as of_its_model
from distillgan.ui.page import Page
from distillgan.ui.standing import Standing
from distillgan.ui.telling import told
from distillgan.ui.training_view import NOTHING, STAGES, called, frame
from distillgan.ui.training_view import told as in_words
from distillgan.ui.trainings import Key

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
        self.stop.click(told(self._stop), self.name, self.stop, **_HIDDEN)
        self.resume.click(told(self._resume), self.name, [self.resume, self.name], **_HIDDEN)

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
        words = in_words(state, log, of_its_model(self._page.home, state.key.name, standing) if ended else "")
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
    stage = STAGES.get(standing.stage, standing.stage)
    heard = [(_HEARD[name], path) for name, path in standing.heard()]
    players = [gr.update(value=str(path), label=label, visible=True) for label, path in heard[:2]]
    picture = gr.update(value=str(standing.picture), label=f"What {stage} makes of recordings", visible=True)
    return [picture, *players, *[gr.update(visible=False)] * (2 - len(players))]
