"""Presets on the page: what the controls say, kept under a name, and called back."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from distillgan.errors import UserError
from distillgan.library.catalog import find_model
from distillgan.library.presets import Preset, Presets
from distillgan.modellayout import read_header
from distillgan.paths import Home
from distillgan.ui.telling import told

_ALL = "All folders"
_HIDDEN = {"show_progress": "hidden", "api_visibility": "private"}


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
        self.folder.input(told(self._narrowed), self.folder, self.preset, **_HIDDEN)
        delete.click(told(self._asked), self.preset, [sure, really], **_HIDDEN)
        # Another preset is another question: what is confirmed is what the button says.
        for act in (keep.click, self.preset.change):
            act(lambda: gr.update(visible=False), None, sure, **_HIDDEN)
        really.click(told(self._deleted), [self.preset, self.folder], [*self.outputs, sure], **_HIDDEN)
        rename.click(told(self._renamed), [self.preset, new, self.folder], [*self.outputs, new], **_HIDDEN)
        move.click(told(self._moved), [self.preset, other, self.folder], self.outputs, **_HIDDEN)

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
