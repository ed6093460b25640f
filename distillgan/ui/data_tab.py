"""The Data tab: recordings in, and what becomes of each: used or skipped with its reason, seen and heard."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from distillgan.audio.io import printable
from distillgan.data.downmix import EACH, FIRST, LEFT, MIX, RIGHT, chosen
from distillgan.data.manifest import Manifest
from distillgan.paths import name_from_path
from distillgan.ui.corpora import Corpora, heard
from distillgan.ui.corpus_view import HEADINGS, KINDS, WIDTHS, entry_of, rows, summary
from distillgan.ui.page import Page, Shown
from distillgan.ui.telling import told

_STYLE = """<style>
#corpus .facts { display: flex; flex-wrap: wrap; gap: 4px 28px; }
#corpus .facts b { font-size: 1.15rem; }
#corpus .quiet { color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
#files [role=gridcell], #files [role=columnheader] { font-family: var(--font); }
#files img { height: 28px; width: 100%; max-width: 144px; }
</style>"""
_NOTHING = f'{_STYLE}<p class="quiet">Choose recordings on the left, or add some of your own: 5 to 500 files.</p>'


def build(page: Page) -> Shown:
    return _Data(Corpora(page.home)).shown


class _Data:
    """The tab's components, and what they do. What a visitor looks at is in `looked`, `manifest` and `file`, his

    session's.
    """

    def __init__(self, corpora: Corpora):
        self._corpora = corpora
        self.manifest, self.file = gr.State(None), gr.State(None)
        with gr.Row():
            with gr.Column(scale=2, min_width=260):
                self._choose()
                self._add()
            with gr.Column(scale=5, min_width=560):
                self._look()
        self._wire()
        self.shown = Shown(lambda: gr.update(choices=corpora.names()), [self.name])

    def _choose(self) -> None:
        self.name = gr.Dropdown(
            [], value=None, label="Recordings", info="Those that the page knows.", elem_id="corpus-name"
        )
        self.channels = gr.Dropdown(
            [MIX, FIRST, LEFT, RIGHT, EACH],
            value=MIX,
            allow_custom_value=True,
            label="Channels",
            info="What is taken of files with several; a number is one of them. For training: More settings.",
            elem_id="corpus-channels",
        )
        with gr.Row():
            self.again = gr.Button("Look again", size="sm", min_width=90)
            self.forget = gr.Button("Take off the list", size="sm", min_width=90)

    def _add(self) -> None:
        self.new_name = gr.Textbox(
            label="Name for recordings that you add",
            placeholder="rain",
            info="One from above gets more of them.",
            elem_id="new-corpus",
        )
        self.uploads = gr.File(
            label="Files: wav, aiff, flac, ogg, mp3 …", file_count="multiple", height=150, elem_id="uploads"
        )
        self.add = gr.Button("Add to corpus", variant="primary", size="md")
        with gr.Accordion("Or a folder on this machine", open=False):
            self.folder = gr.Textbox(
                label="Path",
                placeholder="~/recordings/rain",
                info="Read where it is, with all folders in it; never changed.",
                elem_id="folder",
            )
            self.use = gr.Button("Use this folder", size="md")

    def _look(self) -> None:
        self.about = gr.HTML(_NOTHING, padding=False, elem_id="corpus")
        self.table = gr.Dataframe(
            headers=HEADINGS,
            datatype=KINDS,
            column_widths=WIDTHS,
            column_count=len(HEADINGS),
            label="Files (choose one to hear it)",
            interactive=False,
            wrap=True,
            max_height=430,
            visible=False,
            elem_id="files",
            buttons=[],
        )
        with gr.Row(visible=False) as self.listening:
            self.player = gr.Audio(
                label="Heard", interactive=False, format="wav", scale=4, min_width=300, elem_id="heard", buttons=[]
            )
            with gr.Column(scale=1, min_width=150):
                self.remove = gr.Button("Delete this file …", size="sm")
                with gr.Column(visible=False) as self.asking:
                    self.question = gr.HTML(padding=False)
                    self.sure = gr.Button("Delete it", variant="stop", size="sm")
                    self.keep = gr.Button("Keep it", size="sm")

    def _wire(self) -> None:
        seen = [self.about, self.table, self.manifest, self.listening, self.file]
        hidden = {"api_visibility": "private"}
        looked = [self.name, self.channels]
        for look in (self.name.change, self.channels.change, self.again.click):
            look(told(self._scanned), looked, seen, **hidden)
        added = [self.new_name, self.uploads, self.channels]
        self.add.click(told(self._added), added, [self.name, self.uploads, *seen], **hidden)
        noted = [self.new_name, self.folder, self.channels]
        self.use.click(told(self._noted), noted, [self.name, *seen], **hidden)
        self.forget.click(told(self._forgotten), self.name, [self.name, *seen], **hidden)
        self.table.select(
            told(self._heard), self.manifest, [self.listening, self.player, self.file, self.asking], **hidden
        )
        self.remove.click(told(self._asked), [self.name, self.file], [self.asking, self.question], **hidden)
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, **hidden)
        self.sure.click(told(self._deleted), [self.name, self.file, self.channels], seen, **hidden)

    def _scanned(
        self,
        name: str | None,
        channels: str = MIX,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        if not name:
            return _NOTHING, gr.update(visible=False), None, gr.update(visible=False), None

        def tell(done: int, total: int, path: str) -> None:
            progress((done, max(1, total)), desc=f"reading {printable(Path(path).name)}", unit="files")

        manifest = self._corpora.scan(name, tell, chosen(channels))
        progress(1.0, desc="drawing")
        table = gr.update(value=rows(self._corpora, manifest), visible=True)
        return _STYLE + summary(manifest), table, manifest, gr.update(visible=False), None

    def _added(
        self,
        name: str,
        uploads: list[str] | None,
        channels: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        added = self._corpora.add(name.strip(), [Path(path) for path in uploads or []])
        if added.left_out:
            gr.Warning("Left out: " + escape("; ".join(added.left_out)))
        if added.names:
            gr.Info(f"{len(added.names)} file{'s' * (len(added.names) != 1)} added to {name.strip()}.")
        return self._chosen(name.strip()), None, *self._scanned(name.strip(), channels, progress)

    def _noted(
        self,
        name: str,
        folder: str,
        channels: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        name = name.strip() or (name_from_path(Path(folder.strip()).expanduser()) if folder.strip() else "corpus")
        self._corpora.note(name, folder)
        return self._chosen(name), *self._scanned(name, channels, progress)

    def _forgotten(self, name: str | None) -> tuple[Any, ...]:
        if name:
            self._corpora.forget(name)
        return self._chosen(None), *self._scanned(None)

    def _chosen(self, name: str | None) -> dict[str, Any]:
        return gr.update(choices=self._corpora.names(), value=name)

    def _heard(self, manifest: Manifest, event: gr.SelectData) -> tuple[Any, ...]:
        entry = entry_of(manifest, event.row_value[0])
        closed = gr.update(visible=False)
        if entry.reason:
            sound = gr.update(value=None, label=f"{printable(entry.name)} is skipped: {entry.reason}")
        else:
            sound = gr.update(
                value=heard(self._corpora.clip(manifest, entry)),
                label=f"{printable(entry.name)}, as it is learnt: mono, brought to a common loudness"
                + ", the first two minutes" * (entry.seconds > 120),
            )
        return gr.update(visible=True), sound, entry.path, closed

    def _asked(self, name: str, path: str) -> tuple[Any, ...]:
        if not self._corpora.is_own(name):
            self._corpora.delete(name, path)  # which says why not
        words = f"{escape(printable(path))}: this deletes the copy that the page has made. There is no way back."
        return gr.update(visible=True), words

    def _deleted(self, name: str, path: str, channels: str) -> tuple[Any, ...]:
        self._corpora.delete(name, path)
        if not any((self._corpora.folder(name)).iterdir()):
            return self._scanned(None)
        return self._scanned(name, channels)
