"""The history as a list on the page: a small picture of each wave, and what made it."""

import struct
from collections.abc import Sequence
from html import escape

import gradio as gr

from distillgan.errors import UserError
from distillgan.library.history import Generation, History
from distillgan.paths import Home
from distillgan.ui.sound_card import summary

SHOWN = 12  # at first, and as many more with each "more"
_CSS = """
.entry { display: flex; gap: 10px; align-items: center; width: 100%; text-align: left; padding: 5px 8px;
  border: 1px solid transparent; border-radius: 6px; background: none; color: var(--body-text-color); cursor: pointer;
  font-size: 13px; font-weight: 400; line-height: 1.35; }
.entry:hover, .entry:focus-visible { background: var(--background-fill-secondary);
  border-color: var(--border-color-primary); }
.entry.chosen { border-color: var(--color-accent); background: var(--background-fill-secondary); }
.entry svg { flex: none; width: 110px; height: 30px; }
.entry span { overflow: hidden; text-overflow: ellipsis; }
.entry small { display: block; color: var(--body-text-color-subdued); font-size: 12px; font-weight: 400; }
"""
_CLICK = """element.addEventListener('click', event => {
  const entry = event.target.closest('[data-id]');
  if (entry) trigger('select', {number: Number(entry.dataset.id)});
});"""


def history_list() -> gr.HTML:
    """The component. Its `select` event has the entry's `number`."""
    return gr.HTML("", css_template=_CSS, js_on_load=_CLICK, padding=False, elem_id="history")


def chosen_of(event: gr.EventData) -> int:
    """The entry that a `select` event names. Raises UserError if it is none."""
    number = event._data.get("number") if isinstance(event._data, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise UserError("there is no such entry in the history")
    return number


def found(home: Home, words: str, starred: bool, limit: int) -> list[Generation]:
    return History(home).find((words or "").split(), starred=bool(starred), limit=limit)


def listed(entries: Sequence[Generation], chosen: int | None) -> str:
    """The list as HTML."""
    if not entries:
        return "<p>No sound here.</p>"
    return "".join(_entry(entry, entry.id == chosen) for entry in entries)


def _entry(entry: Generation, chosen: bool) -> str:
    star = "★ " if entry.starred else ""
    return (
        f'<button class="entry{" chosen" if chosen else ""}" data-id="{entry.id}" aria-pressed="{str(chosen).lower()}">'
        f"{wave(entry.thumbnail)}<span>{star}{entry.id} · {escape(entry.title)}"
        f"<small>{escape(summary(entry))}</small></span></button>"
    )


def wave(thumbnail: bytes) -> str:
    """int8 pairs (lowest, highest), full scale 127 → an SVG."""
    pairs = list(struct.iter_unpack("bb", thumbnail))
    tops = [f"{column},{127 - high}" for column, (_, high) in enumerate(pairs)]
    bottoms = [f"{column},{128 - low}" for column, (low, _) in enumerate(pairs)]
    points = " ".join([*tops, *reversed(bottoms)])
    size = f"0 0 {max(1, len(pairs) - 1)} 255"
    return (
        f'<svg viewBox="{size}" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon points="{points}" style="fill:var(--color-accent)"/></svg>'
    )
