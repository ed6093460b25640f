"""Sounds of the history on the page: the card of one, A beside B, presets, and the list."""

import json
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import gradio as gr

from distillgan.errors import UserError
from distillgan.features.descriptors import DESCRIPTORS, readable
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store import history_files
from distillgan.store.comparison import copies, differences, measurements
from distillgan.store.history import Generation, History, flat, in_words
from distillgan.store.library import find_model
from distillgan.store.presets import Preset, Presets
from distillgan.ui.page import HIDDEN, errors_shown

_LEAST = "<p>Nothing is chosen yet: generate something, or choose a sound of the history.</p>"


class SoundCard:
    """The components, in `outputs`; `shown` fills them."""

    def __init__(self):
        """Build them, where it is called."""
        self.title = gr.HTML(_LEAST, elem_id="sound-title")
        self.audio = gr.Audio(label="Sound", interactive=False, visible=False, elem_id="sound", buttons=[])
        self.picture = gr.Image(label="Spectrogram", visible=False, interactive=False, buttons=["fullscreen"])
        self.download = gr.DownloadButton("Download", visible=False, size="sm", elem_id="download")
        with gr.Accordion("What the check found", open=False, visible=False) as self.details:
            self.check = gr.HTML(padding=True)

    @property
    def outputs(self) -> list[Any]:
        return [self.title, self.audio, self.picture, self.download, self.details, self.check]

    def shown(self, generation: Generation | None) -> list[Any]:
        if generation is None:
            return [_LEAST, *(gr.update(visible=False, value=None) for _ in range(3)), gr.update(visible=False), ""]
        fault, path = history_files.fault(generation), generation.path
        there, picture = not fault, path.with_suffix(".png")
        seen = there and picture.is_file()
        return [
            _title(generation, fault),
            gr.update(visible=there, value=str(path) if there else None, label=path.name),
            gr.update(visible=seen, value=str(picture) if seen else None),
            gr.update(visible=there, value=str(path) if there else None),
            gr.update(visible=True),
            check(generation.metadata),
        ]


def summary(generation: Generation) -> str:
    """What made it, in a line."""
    metadata = generation.metadata
    settings = metadata.get("settings") or {}
    words = [f"{metadata.get('seconds', 0):.1f} s"]
    words += [f"seed {in_words(metadata['seed'])}"] if metadata.get("seed") is not None else []
    words += [f"{name} {in_words(value)}" for name, value in flat(settings.get("controls")).items()]
    space = (settings.get("spatial") or {}).get("name")
    words += [space] if space not in (None, "mono") else []
    return ", ".join(words)


def check(metadata: Mapping[str, Any]) -> str:
    """Levels, descriptors against the recordings, and warnings, as HTML."""
    found = metadata.get("check") or {}
    outside, rows = found.get("outside") or {}, []
    for item in DESCRIPTORS:
        value = (found.get("descriptors") or {}).get(item.name)
        if value is not None:
            words = f"outside of the recordings: {outside[item.name]}" if item.name in outside else ""
            rows.append((item.name, f"{readable(value)} {item.unit}", words))
    rows += [
        (name, f"{found[key]:.1f} dBFS", "") for name, key in (("peak", "peak_db"), ("level", "rms_db")) if key in found
    ]
    level, gain = metadata.get("level") or {}, metadata.get("gain_db")
    rows += [
        (name, f"{level[key]:.1f} {unit}", "")
        for name, key, unit in (("loudness", "lufs", "LUFS"), ("true peak", "true_peak_db", "dBTP"))
        if level.get(key) is not None
    ]
    if gain:
        asked, short = level.get("asked_lufs"), level.get("short_lu")
        why = "so that its peaks keep the ceiling" if asked is None else f"to {asked:g} LUFS"
        why += f"; {short:.1f} LU under that, where its peaks reach the ceiling" if short else ""
        rows.append(("turned up" if gain > 0 else "turned down", f"{abs(gain):.1f} dB", why))
    if level.get("note"):
        rows.append(("level", "as rendered", level["note"]))
    lines = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    warnings = "".join(f"<p><b>Warning:</b> {escape(words)}</p>" for words in found.get("warnings") or [])
    return f"{warnings}<table>{''.join(lines)}</table>"


def _title(generation: Generation, fault: str) -> str:
    metadata, made = generation.metadata, datetime.fromtimestamp(generation.made)
    check = metadata.get("check") or {}
    notes = [f"<p><b>Warning:</b> {escape(words)}</p>" for words in check.get("warnings") or []]
    if check.get("outside"):
        notes.append(f"<p>Outside of the recordings: {escape(', '.join(check['outside']))}</p>")
    if metadata.get("interrupted"):
        notes.append("<p>Cancelled: this is its beginning.</p>")
    if fault:
        notes.append(f"<p><b>Its file cannot be played:</b> {escape(fault)}</p>")
    star = "★ " if generation.starred else ""
    line = f"{summary(generation)}, played by {metadata.get('vocoder')}, made {made:%Y-%m-%d %H:%M}"
    return f"<p><b>{star}{generation.id} · {escape(generation.title)}</b><br>{escape(line)}</p>{''.join(notes)}"


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
        compare.click(errors_shown(self._compared), [self.first, self.second], outputs, api_visibility="private")

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
    told_apart = [(row.key, _value(row.first), _value(row.second)) for row in differences(a.metadata, b.metadata)]
    measured = [
        (f"{row.name}, {row.unit}", *(_number(value) for value in (row.first, row.second, row.difference)))
        for row in measurements(a.metadata, b.metadata)
    ]
    parts = [_table(("set differently", "A", "B"), told_apart) if told_apart else "<p>Nothing was set differently.</p>"]
    parts += [_table(("measured", "A", "B", "B - A"), measured)] if measured else []
    return "".join(parts)


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _value(value: object) -> str:
    return "-" if value is None else in_words(value)


def _number(value: float | None) -> str:
    return "-" if value is None else readable(value)


_ALL = "All folders"


class PresetsPanel:
    """The components; `listed` fills `outputs`. To save and recall, which concern other controls, is the tab's part."""

    def __init__(self, home: Home):
        """Build them, where it is called."""
        self._home = home
        with gr.Group():
            with gr.Row():
                self.name = gr.Textbox(label="Name of a new preset", scale=3, min_width=140)
                self.into = gr.Dropdown([], label="In folder", allow_custom_value=True, scale=2, min_width=110)
            with gr.Row():
                self.replace = gr.Checkbox(False, label="In the place of one of that name", container=False)
                self.save = gr.Button("Save the controls", size="sm", min_width=120)
        with gr.Row():
            self.folder = gr.Dropdown([_ALL], value=_ALL, label="Show", scale=2, min_width=110)
            self.preset = gr.Dropdown([], label="Preset", scale=3, min_width=140)
        with gr.Row():
            self.recall = gr.Button("Recall", size="sm", variant="primary", min_width=80)
            delete = gr.Button("Delete", size="sm", min_width=80)
        with gr.Row(visible=False) as sure:
            really = gr.Button("Yes, delete it", size="sm", variant="stop")
            keep = gr.Button("Keep it", size="sm")
        with gr.Accordion("Rename or move", open=False):
            with gr.Row():
                new = gr.Textbox(label="New name", scale=3, min_width=120)
                rename = gr.Button("Rename", size="sm", scale=1, min_width=80)
            with gr.Row():
                other = gr.Textbox(label="Other folder", info="empty for none; a/b for one in another", scale=3)
                move = gr.Button("Move", size="sm", scale=1, min_width=80)
        self.folder.input(errors_shown(self._narrowed), self.folder, self.preset, **HIDDEN)
        delete.click(errors_shown(self._asked), self.preset, [sure, really], **HIDDEN)
        # Another preset is another question: what is confirmed is what the button says.
        for act in (keep.click, self.preset.change):
            act(lambda: gr.update(visible=False), None, sure, **HIDDEN)
        really.click(errors_shown(self._deleted), [self.preset, self.folder], [*self.outputs, sure], **HIDDEN)
        rename.click(errors_shown(self._renamed), [self.preset, new, self.folder], [*self.outputs, new], **HIDDEN)
        move.click(errors_shown(self._moved), [self.preset, other, self.folder], self.outputs, **HIDDEN)

    @property
    def outputs(self) -> list[Any]:
        return [self.into, self.folder, self.preset]

    def listed(self, folder: str | None, chosen: str | None) -> list[Any]:
        """Updates for `outputs`: what there is now; the folder and the preset stay chosen if they still are."""
        presets = Presets(self._home).all()
        folders = sorted({preset.folder for preset in presets if preset.folder})
        folder = folder if folder in folders else _ALL
        found = _choices(self._home, folder)
        chosen = chosen if chosen in [key for _, key in found] else None
        return [
            gr.update(choices=["", *folders]),
            gr.update(choices=[_ALL, *folders], value=folder),
            gr.update(choices=found, value=chosen),
        ]

    def saved(self, models: Sequence[str], name: str, folder: str | None, replace: bool, settings: dict) -> str:
        """Keep settings under a name → the choice of the new preset. Raises UserError."""
        if not models:
            raise UserError("a preset is one of a model: choose one first")
        headers = [read_header(find_model(self._home, model)) for model in models]
        title, fingerprint = (" + ".join(getattr(h, part) for h in headers) for part in ("name", "fingerprint"))
        presets = Presets(self._home)
        presets.save(title, fingerprint, name.strip(), settings, (folder or "").strip(), replace)
        return _key(presets.find(name.strip(), title))

    def chosen(self, key: str | None) -> Preset:
        """Raises UserError if none is chosen, or it is gone."""
        if not key:
            raise UserError("choose a preset first")
        model, name = json.loads(key)
        return Presets(self._home).find(name, model)

    def _narrowed(self, folder: str) -> Any:
        return gr.update(choices=_choices(self._home, folder), value=None)

    def _asked(self, key: str | None) -> list[Any]:
        preset = self.chosen(key)
        return [gr.update(visible=True), gr.update(value=f"Yes, delete {preset.name}")]

    def _deleted(self, key: str | None, folder: str) -> list[Any]:
        preset = self.chosen(key)
        Presets(self._home).delete(preset.name, preset.model)
        gr.Info(f"{escape(preset.name)} is deleted")
        return [*self.listed(folder, None), gr.update(visible=False)]

    def _renamed(self, key: str | None, new: str, folder: str) -> list[Any]:
        preset, presets = self.chosen(key), Presets(self._home)
        presets.rename(preset.name, new.strip(), preset.model)
        return [*self.listed(folder, _key(presets.find(new.strip(), preset.model))), ""]

    def _moved(self, key: str | None, other: str, folder: str) -> list[Any]:
        preset = self.chosen(key)
        Presets(self._home).move(preset.name, other.strip(), preset.model)
        return self.listed(_ALL, key)


def _choices(home: Home, folder: str) -> list[tuple[str, str]]:
    found = Presets(home).all(folder="" if folder == _ALL else folder)
    return [(_label(preset), _key(preset)) for preset in found]


def _label(preset: Preset) -> str:
    return f"{f'{preset.folder} / ' if preset.folder else ''}{preset.name} ({preset.model})"


def _key(preset: Preset) -> str:
    return json.dumps([preset.model, preset.name])


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
