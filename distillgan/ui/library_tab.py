"""The Library tab: the models there are, what is known of each, and keeping house. All of it is `distillgan models`."""

import time
from html import escape
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from matplotlib.figure import Figure

from distillgan.library import shelf
from distillgan.paths import MODEL_SUFFIX
from distillgan.ui import housekeeping
from distillgan.ui.model_card import facts, sliders_and_map, summary
from distillgan.ui.page import Page, Shown
from distillgan.ui.telling import told

_HEADINGS = ["name", "made", "minutes", "error", "vocoder", "size", "tags"]
_KINDS = ["str", "str", "number", "str", "str", "str", "str"]
_ANY = "any"
_ORDERS = {
    "name": "name", "latest first": "date", "most recordings first": "minutes", "least error first": "error",
    "largest first": "size",
}  # fmt: skip
_NOTHING = '<p class="quiet">Choose a model in the list.</p>'


def build(page: Page) -> Shown:
    return _Library(page).shown


class _Library:
    """The tab's components, and what they do. What a visitor has chosen is in `chosen`, his session's."""

    def __init__(self, page: Page):
        self._home, self._trainings = page.home, page.trainings
        self.chosen = gr.State(None)  # a model's name
        self.looked = gr.State(0)  # changes when the list is to be read again
        self._list()
        with gr.Row():
            with gr.Column(scale=3, min_width=480):
                self._details()
            with gr.Column(scale=2, min_width=320, visible=False) as self.house:
                self._housekeeping()
        self._import()
        self._wire()
        self.shown = Shown(time.time_ns, [self.looked])

    def _list(self) -> None:
        with gr.Row(equal_height=True):
            self.words = gr.Textbox("", label="Search", placeholder="words in name, tags or note", scale=3)
            self.own = gr.Dropdown(list(housekeeping.OWN), label="Vocoder", scale=2, min_width=120)
            self.tag = gr.Dropdown([_ANY], value=_ANY, label="Tag", scale=1, min_width=120)
            self.order = gr.Dropdown(list(_ORDERS), label="Order", scale=2, min_width=120)
            self.reverse = gr.Checkbox(label="Reversed", scale=1, min_width=110)
        self.table = gr.Dataframe(
            headers=_HEADINGS,
            datatype=_KINDS,
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
            self.verify = gr.Button("Verify", size="sm", min_width=90)
            self.export = gr.Button("Export", size="sm", min_width=90)
            self.delete = gr.Button("Delete …", size="sm", min_width=90)
        self.download = gr.DownloadButton("Download", size="sm", variant="primary", visible=False)
        self.said = gr.HTML(padding=False)
        with gr.Group(visible=False) as self.asking:
            self.question = gr.HTML(padding=True)
            with gr.Row():
                self.really = gr.Button("Delete", variant="stop", size="sm")
                self.keep = gr.Button("Keep it", size="sm")

    def _import(self) -> None:
        with gr.Accordion("Add a model from a file", open=False), gr.Row(equal_height=True):
            self.file = gr.File(label="A .distillgan file", file_types=[MODEL_SUFFIX], height=120, scale=3)
            with gr.Column(scale=2):
                self.import_name = gr.Textbox(label="Name", placeholder="the one in the file")
                self.do_import = gr.Button("Check and add", size="sm", variant="primary")

    def _wire(self) -> None:
        asked = [self.words, self.own, self.tag, self.order, self.reverse]
        # What is pasted into a text is a change of it, but no input to gradio.
        lists = [self.looked.change, self.words.change, *(control.input for control in asked[1:])]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        gr.on(
            lists, told(self._listed), asked,
            [self.table, self.tag], **quiet,
        )  # fmt: skip
        card = [
            self.chosen, self.about, self.facts, self.pictures, self.house, self.tags, self.note, self.new_name,
            self.said, self.asking, self.download,
        ]  # fmt: skip
        pictures = [self.sliders, self.map, self.curves, self.untrained]
        waited: dict[str, Any] = {"show_progress_on": self.sliders, "api_visibility": "private"}
        self.table.select(told(self._selected), None, card, **quiet).then(
            told(self._pictured), self.chosen, pictures, **waited
        )
        for given, act in ((self.tags, self._tag), (self.note, self._note), (self.new_name, self._rename)):
            done = given.submit(told(act), [self.chosen, given], card, **quiet)
            done.success(time.time_ns, None, self.looked, **quiet)
        self.verify.click(told(self._verify), self.chosen, self.said, api_visibility="private")
        self.export.click(told(self._export), self.chosen, [self.download, self.said], api_visibility="private")
        self.delete.click(told(self._ask), self.chosen, [self.asking, self.question, self.really], **quiet)
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, **quiet)
        gone = self.really.click(told(self._delete), self.chosen, card, **quiet)
        gone.success(time.time_ns, None, self.looked, **quiet)
        added = self.do_import.click(
            told(self._add),
            [self.file, self.import_name],
            [*card, self.file, self.import_name],
            api_visibility="private",
        )
        added.success(time.time_ns, None, self.looked, **quiet).then(
            told(self._pictured), self.chosen, pictures, **waited
        )

    def _listed(self, words: str, own: str, tag: str, order: str, reverse: bool) -> tuple[Any, Any]:
        tags = [_ANY, *housekeeping.all_tags(self._home)]
        tag = tag if tag in tags else _ANY
        wanted = None if tag == _ANY else tag
        rows = housekeeping.rows(self._home, words, own, wanted, _ORDERS[order], reverse)
        return gr.update(value=rows), gr.update(choices=tags, value=tag)

    def _selected(self, event: gr.SelectData) -> list[Any]:
        return self._card(str(event.row_value[0]))

    def _card(self, name: str, said: str = "") -> list[Any]:
        record = housekeeping.record(self._home, name)
        header = record.header
        return [
            record.name,
            summary(record),
            facts(record) if header else "",
            gr.update(visible=header is not None),
            gr.update(visible=True),
            " ".join(header.tags) if header else "",
            header.note if header else "",
            record.name,
            f'<p class="quiet">{escape(said)}</p>' if said else "",
            gr.update(visible=False),
            gr.update(visible=False),
        ]

    def _pictured(self, name: str | None) -> tuple[str, Figure | None, Any, str]:
        if name is None:
            return "", None, gr.update(value=None, visible=False), ""
        record = housekeeping.record(self._home, name)
        sliders, picture = sliders_and_map(record.path) if record.header else ("", None)
        curves = housekeeping.training(self._home, name)
        words = "" if curves else '<p class="quiet">Its run is not in this library, so there are no curves.</p>'
        return sliders, picture, gr.update(value=curves, visible=curves is not None), words

    def _tag(self, name: str, text: str) -> list[Any]:
        housekeeping.change_tags(self._home, name, text)
        return self._card(name, "The tags are saved.")

    def _note(self, name: str, note: str) -> list[Any]:
        shelf.set_note(self._home, name, note)
        return self._card(name, "The note is saved.")

    def _rename(self, name: str, new: str) -> list[Any]:
        new = new.strip()
        self._trainings.refuse_running(name, new)
        shelf.rename_model(self._home, name, new)
        return self._card(new, f"{name} is {new} now.")

    def _verify(self, name: str) -> str:
        return f"<p>{escape(housekeeping.verified(self._home, name))}</p>"

    def _export(self, name: str) -> tuple[Any, str]:
        copy = housekeeping.exported(self._home, name, get_upload_folder())
        button = gr.update(value=str(copy), label=f"Download {copy.name}", visible=True)
        return button, '<p class="quiet">Every tensor is checked; the file is ready.</p>'

    def _ask(self, name: str) -> tuple[Any, str, Any]:
        run = " What its training left in runs stays." if self._home.run(name).exists() else ""
        question = f"Delete the model <b>{escape(name)}</b> for good?{run}"
        return gr.update(visible=True), question, gr.update(value=f"Delete {name}")

    def _delete(self, name: str) -> list[Any]:
        shelf.delete_model(self._home, name)
        hidden = gr.update(visible=False)
        about = f'<p class="quiet">{escape(name)} is deleted.</p>'
        return [None, about, "", hidden, hidden, "", "", "", "", hidden, hidden]

    def _add(self, file: str | None, name: str) -> list[Any]:
        path, added = housekeeping.imported(self._home, file, name)
        said = (
            "Every tensor was checked; it is in the library." if added else "It was here already, and stays as it was."
        )
        return [*self._card(path.stem, said), None, ""]
