"""The Library tab: the models there are, what is known of each, how it was trained, and keeping house.

All of it is `distillgan models`; texts from files are escaped.
"""

import tempfile
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from gradio.utils import get_upload_folder
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distillgan.audio.plots import on_any_ground
from distillgan.control.sliders import Slider
from distillgan.errors import UserError
from distillgan.evaluation.slider_fidelity import draw_map
from distillgan.features.descriptors import readable
from distillgan.models.header import damaged_tensors
from distillgan.models.plugins import VAE
from distillgan.paths import MODEL_SUFFIX, Home, current_kind
from distillgan.store import library, model_store
from distillgan.store.model_store import StoredModel, described, local_time, parameters, size, tags
from distillgan.synthesis.renderer import Model
from distillgan.ui.page import PRIVATE, QUIET, Page, Shown, errors_shown

CSS = """
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 0; }
.facts dt { color: var(--body-text-color-subdued); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.fidelity { width: 100%; border-collapse: collapse; border: 0 !important; font-variant-numeric: tabular-nums; }
.fidelity th, .fidelity td { text-align: right; padding: 3px 8px !important; border: 0 !important; }
.fidelity tr { border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important; }
.fidelity td:not(.why) { white-space: nowrap; }
#models * { font-family: var(--font); }
#models .selection-button, #files .selection-button { display: none; }
/* It would sort by letters, beside the order that is chosen above. */
#models .cell-menu-button, #files .cell-menu-button { display: none; }
.fidelity th { color: var(--body-text-color-subdued); font-weight: 500; }
.fidelity th:first-child, .fidelity td:first-child, .fidelity td.why { text-align: left; }
.fidelity tr.off { color: var(--body-text-color-subdued); }
"""
_HEADINGS = ("slider", "range", "at -10", "at 0", "at 10", "unit", "follows", "moves others")


def summary(record: StoredModel) -> str:
    """A model in a few lines; or why the file cannot be read."""
    header, name = record.header, escape(record.name)
    if header is None:
        return f"<h3>{name}</h3><p>This file cannot be played: {escape(record.fault or '')}</p>"
    error = "" if record.error_db is None else f" Reconstructs them with an error of {record.error_db:.2f} dB."
    own = f"A {escape(record.vocoder)} vocoder of its own." if record.vocoder else "No vocoder of its own."
    learnt = f"Learnt from {header.corpus['files']} recordings, {record.minutes:.1f} minutes."
    return f"<h3>{name}</h3><p>{learnt}{error} {own} Made {local_time(header.created)}.</p>"


def facts(record: StoredModel) -> str:
    """All that `models info` shows of a model that can be read."""
    try:
        lines = described(record, parameters(record.path))
    except UserError as fault:  # whole as far as its header goes
        return f"<p>{escape(str(fault))}</p>"
    rows = "".join(f"<dt>{escape(heading)}</dt><dd>{escape(text)}</dd>" for heading, text in lines.items())
    return f'<dl class="facts">{rows}</dl>'


def sliders_and_map(path: Path) -> tuple[str, Figure | None]:
    """What each slider was measured to do, and the map of the recordings; why there is none, in words."""
    try:
        model = Model.load(path, torch.device("cpu"))
    except UserError as fault:
        return f'<p class="quiet">{escape(str(fault))}</p>', None
    if model.analysis is None:
        words = model.header.no_sliders
        return f'<p class="quiet">{words[0].upper()}{words[1:]}.</p>', None
    table = fidelity(model.analysis.sliders(), len(model.analysis.axes.spread))
    return table, draw_map(path.stem, model.material, model.analysis)


def fidelity(sliders: Sequence[Slider], axes: int) -> str:
    """A table of the measured sliders."""
    head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    rows = "".join(_row(slider) for slider in sliders if slider.rank is not None)
    more = f"Besides, axis1 to axis{axes}: the latent's principal axes, not measured." if axes > 1 else ""
    return (
        f'<table class="fidelity"><tr>{head}</tr>{rows}</table><p class="quiet">Measured on rendered sound. '
        "-10 and 10 aim at the 2nd and 98th percentile of the recordings. Follows: rank correlation of slider "
        f"and sound, 1 is best. Moves others: how much the other seven change, over its own; 0 is best. {more}</p>"
    )


def _row(slider: Slider) -> str:
    shown = [readable(slider.shown[place]) for place in (0, len(slider.shown) // 2, -1)]
    if slider.reason is not None:
        why = f'<td class="why" colspan="6">{escape(slider.reason)}</td>'
        return f'<tr class="off"><td>{slider.name}</td><td>inactive</td>{why}</tr>'
    ends = f"{max(slider.least, -10):g} … {min(slider.most, 10):g}"
    cells = [slider.name, ends, *shown, slider.unit, f"{slider.rank:.2f}", f"{slider.crosstalk:.2f}"]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


_POINTS = 1000  # of each curve that are read
_LOSSES, _ERRORS = ("loss", "reconstruction"), ("error",)

Curves = dict[str, tuple[list[int], list[float]]]


def curves(run: Path) -> dict[str, Curves]:
    """Stage → name, as it was logged → steps and values: what was trained on and what was held out. {} of no run."""
    found = {}
    logged = {path.parent.name for path in run.glob("*/events.out.tfevents.*") if ".old-" not in path.parent.name}
    for stage in sorted(logged, key=lambda name: (name != VAE, name)):
        events = EventAccumulator(str(run / stage), size_guidance={"scalars": _POINTS, "images": 1, "audio": 1})
        events.Reload()
        lines = {name: events.Scalars(name) for name in events.Tags()["scalars"] if _group(name) is not None}
        if lines:
            found[current_kind(stage)] = {
                name: ([point.step for point in points], [point.value for point in points])
                for name, points in lines.items()
            }
    return found


def draw_curves(found: dict[str, Curves], name: str) -> Figure:
    """A row a stage: losses on the left, errors of the held-out recordings on the right."""
    figure = Figure(figsize=(11, 0.6 + 2.7 * len(found)), layout="constrained")
    figure.suptitle(f"{name}: how the training went")
    rows = figure.subplots(len(found), 2, squeeze=False)
    for axes, (stage, lines) in zip(rows, found.items(), strict=True):
        for kind, axis in zip(("train", "val"), axes, strict=True):
            for line, points in sorted(lines.items()):
                if _group(line) == kind:
                    axis.plot(
                        *points, label=line.partition("/")[2].replace("_", " "), marker="." if kind == "val" else ""
                    )
            title = "VAE" if stage == VAE else f"vocoder ({stage})"
            axis.set_title(f"{title}, {'losses' if kind == 'train' else 'error on the held-out recordings'}")
            axis.set_xlabel("step")
            if axis.lines:
                _scale(axis)
                axis.legend(fontsize=8)
    return on_any_ground(figure)


def _scale(axis: Axes) -> None:
    """Logarithmic where a curve goes through more than one order of magnitude."""
    values = np.concatenate([line.get_ydata() for line in axis.lines])
    if values.min() > 0 and values.max() > 10 * values.min():
        axis.set_yscale("log")
        for formatted in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            formatted("{x:g}")


def _group(name: str) -> str | None:
    """`train` or `val` for a curve that is worth a look, None for another."""
    kind, _, inner = name.partition("/")
    wanted = {"train": _LOSSES, "val": _ERRORS}.get(kind, ())
    return kind if any(word in inner for word in wanted) else None


OWN = {"any vocoder": None, "with a vocoder of its own": True, "without": False}


def model_rows(home: Home, words: str, own: str, tag: str | None, order: str, reverse: bool) -> list[list[Any]]:
    """The list as it is asked for, a row a model; a file that cannot be read is in it, if nothing narrows it."""
    found = model_store.search(model_store.list_models(home), words.split())
    kept = model_store.narrowed(found, vocoder=OWN[own], tags=[tag] if tag else [])
    rows = []
    for record in model_store.ordered(kept, order, reverse):
        header, of_file = record.header, size(record.bytes)
        if header is None:
            rows.append([record.name, "", None, "", "", of_file, "cannot be read"])
            continue
        error = "" if record.error_db is None else f"{record.error_db:.2f} dB"
        minutes = round(record.minutes or 0, 1)
        rows.append(
            [record.name, local_time(header.created), minutes, error, record.vocoder or "", of_file, tags(header.tags)]
        )
    return rows


def all_tags(home: Home) -> list[str]:
    return sorted({tag for record in model_store.list_models(home) if record.header for tag in record.header.tags})


def model_record(home: Home, name: str) -> StoredModel:
    """Raises UserError if the list has none of this name, as when another visitor has just deleted it."""
    for found in model_store.list_models(home):
        if found.name == name:
            return found
    raise UserError(f"there is no model {name} any more: choose another in the list")


def change_tags(home: Home, name: str, text: str) -> None:
    """Give a model exactly the tags in the text, which commas or spaces part."""
    header = model_record(home, name).header
    there = set(header.tags if header else ())
    wanted = {library.check_tag(word) for word in text.replace(",", " ").split()}
    library.set_tags(home, name, add=wanted - there, remove=there - wanted)


def verified(home: Home, name: str) -> str:
    damaged = damaged_tensors(model_record(home, name).path)
    return (
        f"{name} is damaged: {', '.join(damaged)}" if damaged else f"{name} is whole: each tensor is as it was written."
    )


def exported(home: Home, name: str, folder: str) -> Path:
    """A copy of the model, every tensor verified, in a new folder within `folder`, for the browser to take away."""
    return library.export_model(model_record(home, name).path, Path(tempfile.mkdtemp(dir=folder)))


def imported(home: Home, file: str | None, name: str) -> library.Imported:
    """An uploaded file into the library.

    Raises:
        UserError: as `import_model`, naming the file as the visitor knows it.
    """
    if file is None:
        raise UserError(f"choose a {MODEL_SUFFIX} file first")
    try:
        return library.import_model(home, Path(file), name.strip() or None)
    except UserError as fault:
        raise UserError(str(fault).replace(file, Path(file).name).replace(", --name NAME", "")) from fault


HEADINGS = ["name", "made", "minutes", "error", "vocoder", "size", "tags"]
KINDS = ["str", "str", "number", "str", "str", "str", "str"]
_ANY = "any"
_ORDERS = {
    "name": "name", "latest first": "date", "most recordings first": "minutes", "least error first": "error",
    "largest first": "size",
}  # fmt: skip
_NOTHING = '<p class="quiet">Choose a model in the list.</p>'


def build(page: Page) -> Shown:
    return _LibraryTab(page).shown


class _LibraryTab:
    """The tab's components, and what they do. What a visitor has chosen is in `chosen`, his session's."""

    def __init__(self, page: Page):
        self._home, self._supervisor = page.home, page.supervisor
        self.chosen = gr.State(None)  # a model's name
        self.looked = gr.State(0)  # changes when the list is to be read again
        self._list()
        with gr.Row():
            with gr.Column(scale=3, min_width=480):
                self._details()
            with gr.Column(scale=2, min_width=320, visible=False) as self.house:
                self._housekeeping()
        with gr.Accordion("Add a model from a file", open=False), gr.Row(equal_height=True):
            self.file = gr.File(label="A .distillgan file", file_types=[MODEL_SUFFIX], height=120, scale=3)
            with gr.Column(scale=2):
                self.import_name = gr.Textbox(label="Name", placeholder="the one in the file")
                self.do_import = gr.Button("Check and add", size="sm", variant="primary")
        self._wire()
        self.shown = Shown(time.time_ns, [self.looked])

    def _list(self) -> None:
        with gr.Row(equal_height=True):
            self.words = gr.Textbox("", label="Search", placeholder="words in name, tags or note", scale=3)
            self.own = gr.Dropdown(list(OWN), label="Vocoder", scale=2, min_width=120)
            self.tag = gr.Dropdown([_ANY], value=_ANY, label="Tag", scale=1, min_width=120)
            self.order = gr.Dropdown(list(_ORDERS), label="Order", scale=2, min_width=120)
            self.reverse = gr.Checkbox(label="Reversed", scale=1, min_width=110)
        self.table = gr.Dataframe(
            headers=HEADINGS,
            datatype=KINDS,
            label="Models",
            interactive=False,
            max_height=320,
            elem_id="models",
            buttons=[],
        )

    def _details(self) -> None:
        self.about = gr.HTML(_NOTHING, padding=False)
        with gr.Tabs(visible=False) as self.pictures:
            with gr.Tab("Sliders"):
                self.sliders = gr.HTML(padding=False)
            with gr.Tab("Map of the recordings"):
                self.map = gr.Plot(show_label=False, label="Map of the recordings")
            with gr.Tab("Training"):
                self.curves = gr.Plot(show_label=False, label="How the training went")
                self.untrained = gr.HTML(padding=False)
            with gr.Tab("All that its file says"):
                self.facts = gr.HTML(padding=False)

    def _housekeeping(self) -> None:
        self.tags = gr.Textbox(label="Tags", placeholder="field wet", submit_btn="Save", elem_id="model-tags")
        self.note = gr.Textbox(label="Note", lines=2, submit_btn="Save", elem_id="model-note")
        self.new_name = gr.Textbox(
            label="Name", info="Its run and presets move along.", submit_btn="Rename", elem_id="model-name"
        )
        with gr.Row():
            self.verify, self.export, self.delete = (
                gr.Button(act, size="sm", min_width=90) for act in ("Verify", "Export", "Delete …")
            )
        self.download = gr.DownloadButton("Download", size="sm", variant="primary", visible=False)
        self.result = gr.HTML(padding=False)
        with gr.Group(visible=False) as self.asking:
            self.question = gr.HTML(padding=True)
            with gr.Row():
                self.really = gr.Button("Delete", variant="stop", size="sm")
                self.keep = gr.Button("Keep it", size="sm")

    def _wire(self) -> None:
        asked = [self.words, self.own, self.tag, self.order, self.reverse]
        # What is pasted into a text is a change of it, but no input to gradio.
        lists = [self.looked.change, self.words.change, *(control.input for control in asked[1:])]
        gr.on(lists, errors_shown(self._listed), asked, [self.table, self.tag], **QUIET)
        card = [self.chosen, self.about, self.facts, self.pictures, self.house, self.tags, self.note, self.new_name]
        card += [self.result, self.asking, self.download]
        pictures = [self.sliders, self.map, self.curves, self.untrained]
        waited: dict[str, Any] = {"show_progress_on": self.sliders, **PRIVATE}
        selected = self.table.select(errors_shown(self._selected), None, card, **QUIET)
        changed = [
            given.submit(errors_shown(act), [self.chosen, given], card, **QUIET)
            for given, act in ((self.tags, self._tag), (self.note, self._note), (self.new_name, self._rename))
        ]
        changed.append(self.really.click(errors_shown(self._delete), self.chosen, card, **QUIET))
        given = [self.file, self.import_name]
        added = self.do_import.click(errors_shown(self._add), given, [*card, *given], **PRIVATE)
        for done in [*changed, added]:
            done.success(time.time_ns, None, self.looked, **QUIET)
        for done in (selected, added):
            done.success(errors_shown(self._pictured), self.chosen, pictures, **waited)
        self.verify.click(errors_shown(self._verify), self.chosen, self.result, **PRIVATE)
        self.export.click(errors_shown(self._export), self.chosen, [self.download, self.result], **PRIVATE)
        self.delete.click(errors_shown(self._ask), self.chosen, [self.asking, self.question, self.really], **QUIET)
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, **QUIET)

    def _listed(self, words: str, own: str, tag: str, order: str, reverse: bool) -> tuple[Any, Any]:
        tags = [_ANY, *all_tags(self._home)]
        tag = tag if tag in tags else _ANY
        rows = model_rows(self._home, words, own, None if tag == _ANY else tag, _ORDERS[order], reverse)
        return gr.update(value=rows), gr.update(choices=tags, value=tag)

    def _selected(self, event: gr.SelectData) -> dict[Any, Any]:
        return self._card(str(event.row_value[0]))

    def _card(self, name: str, result: str = "") -> dict[Any, Any]:
        record = model_record(self._home, name)
        header = record.header
        return {
            self.chosen: record.name,
            self.about: summary(record),
            self.facts: facts(record) if header else "",
            self.pictures: gr.update(visible=header is not None),
            self.house: gr.update(visible=True),
            self.tags: " ".join(header.tags) if header else "",
            self.note: header.note if header else "",
            self.new_name: record.name,
            self.result: f'<p class="quiet">{escape(result)}</p>' if result else "",
            self.asking: gr.update(visible=False),
            self.download: gr.update(visible=False),
        }

    def _pictured(self, name: str) -> tuple[str, Figure | None, Any, str]:
        record = model_record(self._home, name)
        sliders, picture = sliders_and_map(record.path) if record.header else ("", None)
        found = curves(self._home.run(name))
        drawn = draw_curves(found, name) if found else None
        words = "" if found else '<p class="quiet">Its run is not in this library, so there are no curves.</p>'
        return sliders, picture, gr.update(value=drawn, visible=drawn is not None), words

    def _tag(self, name: str, text: str) -> dict[Any, Any]:
        change_tags(self._home, name, text)
        return self._card(name, "The tags are saved.")

    def _note(self, name: str, note: str) -> dict[Any, Any]:
        library.set_note(self._home, name, note)
        return self._card(name, "The note is saved.")

    def _rename(self, name: str, new: str) -> dict[Any, Any]:
        new = new.strip()
        self._supervisor.refuse_running(name, new)
        library.rename_model(self._home, name, new)
        return self._card(new, f"{name} is {new} now.")

    def _verify(self, name: str) -> str:
        return f"<p>{escape(verified(self._home, name))}</p>"

    def _export(self, name: str) -> tuple[Any, str]:
        copy = exported(self._home, name, get_upload_folder())
        button = gr.update(value=str(copy), label=f"Download {copy.name}", visible=True)
        return button, '<p class="quiet">Every tensor is checked; the file is ready.</p>'

    def _ask(self, name: str) -> tuple[Any, str, Any]:
        run = " What its training left in runs stays." if self._home.run(name).exists() else ""
        question = f"Delete the model <b>{escape(name)}</b> for good?{run}"
        return gr.update(visible=True), question, gr.update(value=f"Delete {name}")

    def _delete(self, name: str) -> dict[Any, Any]:
        library.delete_model(self._home, name)
        hidden = dict.fromkeys([self.pictures, self.house, self.asking, self.download], gr.update(visible=False))
        about = f'<p class="quiet">{escape(name)} is deleted.</p>'
        return {self.chosen: None, self.about: about, self.facts: "", self.result: "", **hidden}

    def _add(self, file: str | None, name: str) -> dict[Any, Any]:
        path, added = imported(self._home, file, name)
        result = "Every tensor was checked; it is in the library."
        if not added:
            result = "It was here already, and stays as it was."
        return self._card(path.stem, result) | {self.file: None, self.import_name: ""}
