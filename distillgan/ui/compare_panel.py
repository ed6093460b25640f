"""A and B: two sounds of the history, as loud as each other, and what tells them apart."""

from html import escape
from typing import Any

import gradio as gr

from distillgan.errors import UserError
from distillgan.latent.descriptors import readable
from distillgan.library.account import told as worded
from distillgan.library.comparison import copies, differences, measurements
from distillgan.library.history import Generation, History
from distillgan.library.presets import Presets
from distillgan.paths import Home
from distillgan.ui.sound_card import summary
from distillgan.ui.telling import told

_NONE = "<p>{}: choose a sound of the history and press <b>Take as {}</b>.</p>"


class ComparePanel:
    """`take` is what the buttons A and B of a sound call. `keep` has two buttons, and `name` the preset's name."""

    def __init__(self, home: Home):
        """Build them, where it is called."""
        self._home = home
        self.first, self.second = gr.State(), gr.State()
        self.titles = [gr.HTML(_NONE.format(side, side), padding=True) for side in "AB"]
        compare = gr.Button("Compare", size="sm", variant="primary")
        self.said = gr.HTML(padding=True)
        self.players = [gr.Audio(label=side, interactive=False, visible=False, buttons=[]) for side in "AB"]
        self.table = gr.HTML(padding=True)
        with gr.Row():
            self.name = gr.Textbox(label="Keep the better one as a preset", placeholder="its name", scale=3)
            self.keep = [gr.Button(f"Keep {side}", size="sm", scale=1, min_width=70) for side in "AB"]
        outputs = [self.said, *self.players, self.table]
        compare.click(told(self._compared), [self.first, self.second], outputs, api_visibility="private")

    def taken(self, number: int | None, side: str) -> tuple[int, str]:
        """The entry as `side`, and its title."""
        entry = self._entry(number, side)
        return entry.id, f"<p><b>{side}: {entry.id} · {escape(entry.title)}</b><br>{escape(summary(entry))}</p>"

    def kept(self, number: int | None, side: str, name: str) -> None:
        """Raises UserError if there is no such side, or the name is none."""
        entry = self._entry(number, side)
        Presets(self._home).keep(entry, name.strip())
        gr.Info(f"{side} is kept as {escape(name.strip())}")

    def _entry(self, number: int | None, side: str) -> Generation:
        if number is None:
            raise UserError(f"{side} is no sound yet: choose one of the history")
        return History(self._home).get(number)

    def _compared(self, first: int | None, second: int | None) -> list[Any]:
        a, b = self._entry(first, "A"), self._entry(second, "B")
        if a.id == b.id:
            raise UserError("A and B are the same sound: take another one")
        matched, reason = copies(self._home, a, b)
        if matched is None:
            players = [gr.update(visible=False, value=None)] * 2
            said = f"<p>Nothing to listen to: {escape(reason)}</p>"
        else:
            players = [gr.update(visible=True, value=str(path)) for path in matched.paths]
            said = f"<p>Both at {matched.lufs:.1f} LUFS.</p>"
        return [said, *players, _tables(a, b)]


def _tables(a: Generation, b: Generation) -> str:
    told_apart = [(row.key, _value(row.first), _value(row.second)) for row in differences(a.account, b.account)]
    measured = [
        (f"{row.name}, {row.unit}", *(_number(value) for value in (row.first, row.second, row.difference)))
        for row in measurements(a.account, b.account)
    ]
    parts = [_table(("set differently", "A", "B"), told_apart) if told_apart else "<p>Nothing was set differently.</p>"]
    parts += [_table(("measured", "A", "B", "B - A"), measured)] if measured else []
    return "".join(parts)


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _value(value: object) -> str:
    return "-" if value is None else worded(value)


def _number(value: float | None) -> str:
    return "-" if value is None else readable(value)
