"""The Data tab: the folders of recordings that the page knows, and what becomes of each file.

<home>/corpora/<name>/       copies of what was uploaded
<home>/corpora/<name>.json   {"folder": path of a folder elsewhere, which is never written to}
"""

import base64
import json
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from distillgan.atomic import copy_beside, refused, replace_file
from distillgan.audio.io import printable
from distillgan.data.band import readable
from distillgan.data.cache import AudioClip
from distillgan.data.corpus import FEW_FILES
from distillgan.data.downmix import EACH, FIRST, LEFT, MIX, RIGHT, chosen
from distillgan.data.manifest import HELD_OUT, Entry, Manifest
from distillgan.data.scan import AUDIO_SUFFIXES, scan
from distillgan.errors import UserError
from distillgan.paths import Home, check_name, name_from_path, shortened
from distillgan.ui.page import PRIVATE, Page, Shown, errors_shown, figures

COLUMNS = 96  # of an outline
_LOOKED_AT = 4096  # samples of a column, at most: an hour's outline takes no longer than a minute's
_LETTERS = 120  # and bytes of a file's name, at most
_PLAYED_SECONDS = 120.0


class Corpora:
    """The corpora of a home, by name."""

    def __init__(self, home: Home):
        self.home, self.root = home, home.root / "corpora"

    def names(self) -> list[str]:
        own = {path.name for path in self.root.glob("*") if path.is_dir() and path.name[0] != "."}
        return sorted(own | {path.stem for path in self.root.glob("*.json") if path.name[0] != "."}, key=str.casefold)

    def is_own(self, name: str) -> bool:
        """Whether its files lie in this home, so that they may be added to and deleted."""
        return (self.root / check_name(name)).is_dir()

    def folder(self, name: str) -> Path:
        """Where its recordings are. Raises UserError if there is no such corpus, or its note is damaged."""
        name = check_name(name)
        if self.is_own(name):
            return self.root / name
        note = self.root / f"{name}.json"
        try:
            return Path(json.loads(note.read_text())["folder"])
        except FileNotFoundError:
            raise UserError(f"there is no corpus called {name} any more: choose another one") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{note} is damaged ({error}): delete it, and note the folder anew") from error

    def add(self, name: str, files: Sequence[Path]) -> tuple[list[str], list[str]]:
        """Copy files byte for byte into the corpus, which begins with them if there is none of the name.

        Returns the names of the copies, and in words why others were left out. A name that another file has gets -2,
        -3 …; a file that is there already is not copied again.

        Raises:
            UserError: the name is none, or that of a folder elsewhere; nothing in `files` is audio; the disk refuses.
        """
        name = check_name(name)
        if (self.root / f"{name}.json").exists():
            raise UserError(f"{name} is a folder of yours ({self.folder(name)}), which the page leaves as it is")
        audio = [file for file in files if file.suffix.lower() in AUDIO_SUFFIXES or not file.suffix]
        audio = [file for file in audio if not file.name.startswith("._")]  # macOS's, beside the recording
        left_out = [f"{printable(file.name)}: no audio file" for file in files if file not in audio]
        if not audio:
            what = "; ".join(left_out) or "no files"
            raise UserError(f"nothing to add ({what}): give wav, aiff, flac, ogg or mp3 files")
        folder, names = self.root / name, []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused(folder, error) from error
        for file in audio:
            stem = _safe(file.stem).lstrip(".") or "recording"
            path, new = copy_beside(file, folder, f"{stem}{_safe(file.suffix)}")
            if new:
                names.append(path.name)
            else:
                left_out.append(f"{printable(file.name)}: it is there already")
        return names, left_out

    def note(self, name: str, folder: str) -> Path:
        """Take a folder of this machine as the corpus of that name; nothing is copied, nothing in it is changed.

        Raises:
            UserError: the name is none or taken, or there is no such folder.
        """
        name = check_name(name)
        if not folder.strip():
            raise UserError("type the path of a folder on this machine, such as ~/recordings/rain")
        path = Path(folder.strip()).expanduser()
        if not path.is_dir():
            fault = "it is a file, not a folder" if path.exists() else "there is no such folder on this machine"
            raise UserError(f"{printable(path)}: {fault}")
        if name in self.names() and (self.is_own(name) or self.folder(name) != path.resolve()):
            raise UserError(f"there is another corpus called {name}: choose another name")
        with replace_file(self.root / f"{name}.json") as temporary:
            temporary.write_text(json.dumps({"folder": str(path.resolve())}))
        return path.resolve()

    def scan(self, name: str, progress: Callable[[int, int, str], None] | None = None, channels: str = MIX) -> Manifest:
        """As `distillgan.data.scan.scan`. Raises UserError as that, with the reason of each file."""
        return scan(self.folder(name), self.home.decoded, progress=progress, channels=channels)

    def delete(self, name: str, path: str) -> None:
        """Delete one file of a corpus that lies in this home.

        Raises:
            UserError: the corpus is a folder elsewhere, or there is no such file in it.
        """
        if not self.is_own(name):
            raise UserError(f"{name} is a folder of yours, which the page leaves as it is: delete the file there")
        folder, file = self.root / name, self.root / name / path
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"there is no {printable(path)} in {name} any more")
        try:
            file.unlink()
        except OSError as error:
            raise refused(file, error) from error

    def forget(self, name: str) -> None:
        """Take a folder elsewhere, or a corpus without files, off the list; the folder elsewhere stays as it is.

        Raises:
            UserError: it has files here.
        """
        if self.is_own(name):
            try:
                (self.root / name).rmdir()
            except OSError as error:
                raise UserError(f"{name} still has files: remove them one by one, or delete {self.root / name}") from (
                    error
                )
        else:
            (self.root / f"{name}.json").unlink(missing_ok=True)

    def clip(self, manifest: Manifest, entry: Entry) -> AudioClip:
        """What is learnt of a file. Raises UserError, with the reason, of one that is skipped."""
        if entry.reason:
            raise UserError(f"{printable(entry.name)} is not used: {entry.reason}")
        at = [used.name for used in manifest.used].index(entry.name)
        return manifest.clips(self.home.decoded)[at]


def played(clip: AudioClip) -> tuple[int, np.ndarray]:
    """The first two minutes at most: rate in Hz and int16 [N]."""
    wave = clip.read(0, min(clip.length, int(_PLAYED_SECONDS * clip.sample_rate)))
    return clip.sample_rate, np.rint(np.clip(wave, -1, 1) * 32767).astype(np.int16)


def outline(clip: AudioClip) -> np.ndarray:
    """The clip's lowest and highest value in each of COLUMNS equal stretches, ±1: float32 [COLUMNS, 2]."""
    starts = np.linspace(0, clip.length, COLUMNS, endpoint=False).astype(int)
    width = max(1, min(_LOOKED_AT, clip.length // COLUMNS))
    pieces = [clip.read(int(start), width) for start in starts]
    return np.array([(piece.min(), piece.max()) for piece in pieces], np.float32).clip(-1, 1)


def _safe(text: str) -> str:
    """For a part of a file's name on any system: letters of every alphabet stay."""
    return shortened(re.sub(r"[^\w .()+-]+", "_", text).strip(), _LETTERS, _LETTERS)


HEADINGS = ["file", "outline", "used", "length", "sound", "remark"]
KINDS = ["str", "html", "str", "str", "str", "str"]
WIDTHS = ["25%", "17%", "11%", "10%", "14%", "23%"]
_WIDTH, _HEIGHT = 144, 28  # of an outline, pixels
_CHANNELS = {1: "mono", 2: "stereo"}


def summary(manifest: Manifest) -> str:
    """HTML: how much there is, what is held out, and what its owner may want to know."""
    used, skipped = manifest.used, manifest.skipped
    held_out = sum(entry.split == HELD_OUT for entry in used)
    generated = sum(entry.generated for entry in used)
    rates = {entry.source_rate for entry in used}
    facts = [
        (_length(60 * manifest.minutes), "to learn from"),
        (str(len(used)), f"file{'s' * (len(used) != 1)} used, {held_out} held out to judge by"),
        (str(len(skipped)), "skipped" + f", {manifest.other_files} others left alone" * bool(manifest.other_files)),
        (" ".join(f"{rate / 1000:g}" for rate in sorted(rates)), "kHz"),
    ]
    if manifest.appledouble:
        facts.append((str(manifest.appledouble), "named ._…, which macOS leaves beside recordings, left alone"))
    if generated:
        facts.append((str(generated), "generated, never held out"))
    limits = [entry.band_limit_hz for entry in used if entry.band_limit_hz]
    if limits:
        facts.append((str(len(limits)), f"with nothing above {readable(max(limits))} or less"))
    warning = ""
    if len(used) < FEW_FILES:
        warning = (
            f"<p><b>A small corpus.</b> A model needs variety, and of fewer than {FEW_FILES} recordings none can be "
            f"held out to judge it: {FEW_FILES} or more are better.</p>"
        )
    folder = escape(printable(manifest.folder))
    return f'{figures(facts)}{warning}<p class="quiet">{folder}</p>'


def rows(corpora: Corpora, manifest: Manifest) -> list[list[str]]:
    """A row of HEADINGS a file; those that are skipped come first."""
    clips = {clip.name: clip for clip in manifest.clips(corpora.home.decoded)}
    return [
        [
            printable(entry.name),
            drawn(outline(clips[entry.name])) if entry.name in clips else "",
            _use(entry),
            _length(entry.seconds) if entry.seconds else "",
            _sound(entry),
            entry.reason or "; ".join(filter(None, [entry.note, "generated" * entry.generated])),
        ]
        for entry in [*manifest.skipped, *manifest.used]
    ]


def entry_of(manifest: Manifest, shown: str) -> Entry:
    """The entry whose name is shown so. Raises UserError if there is none any more."""
    for entry in manifest.entries:
        if printable(entry.name) == shown:
            return entry
    raise UserError(f"there is no {shown} in the list any more: look at the corpus again")


def drawn(ends: np.ndarray) -> str:
    """Lowest and highest values [n, 2] as a picture for HTML; as loud as it gets fills the height."""
    top = max(1e-6, float(np.abs(ends).max()))
    x = (np.arange(len(ends)) + 0.5) * _WIDTH / len(ends)
    low, high = ((1 - column / top) * (_HEIGHT - 2) / 2 + 1 for column in ends.T)
    lines = "".join(f"M{a:.1f} {b:.1f}V{c + 0.6:.1f}" for a, b, c in zip(x, high, low, strict=True))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<path d="{lines}" stroke="#14b8a6" stroke-width="1"/></svg>'
    )
    return f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'


def _use(entry: Entry) -> str:
    if entry.reason:
        return "skipped"
    return "held out" if entry.split == HELD_OUT else "learnt"


def _sound(entry: Entry) -> str:
    if not entry.source_rate:
        return ""
    channels = _CHANNELS.get(entry.channels, f"{entry.channels} channels")
    return f"{entry.source_rate / 1000:g} kHz {channels}"


def _length(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


NOTHING = '<p class="quiet">Choose recordings on the left, or add some of your own: 5 to 500 files.</p>'
CSS = """
#corpus .figures b { font-size: 1.15rem; }
#files [role=gridcell], #files [role=columnheader] { font-family: var(--font); }
#files img { height: 28px; width: 100%; max-width: 144px; }
"""


def build(page: Page) -> Shown:
    return _DataTab(Corpora(page.home)).shown


class _DataTab:
    """The tab's components, and what they do. What a visitor looks at is in `manifest` and `file`, his session's."""

    def __init__(self, corpora: Corpora):
        self._corpora = corpora
        self.manifest, self.file = gr.State(None), gr.State(None)
        with gr.Row():
            with gr.Column(scale=2, min_width=260):
                self._left()
            with gr.Column(scale=5, min_width=560):
                self._right()
        self._wire()
        self.shown = Shown(lambda: gr.update(choices=corpora.names()), [self.name])

    def _left(self) -> None:
        """Which recordings are looked at, and how others are added."""
        info = "Those that the page knows."
        self.name = gr.Dropdown([], value=None, label="Recordings", info=info, elem_id="corpus-name")
        self.channels = gr.Dropdown(
            [MIX, FIRST, LEFT, RIGHT, EACH],
            value=MIX,
            allow_custom_value=True,
            label="Channels",
            info="What is taken of files with several; a number is one of them. For training: More settings.",
            elem_id="corpus-channels",
        )
        with gr.Row():
            self.rescan = gr.Button("Look again", size="sm", min_width=90)
            self.forget = gr.Button("Take off the list", size="sm", min_width=90)
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
            info = "Read where it is, with all folders in it; never changed."
            self.folder = gr.Textbox(label="Path", placeholder="~/recordings/rain", info=info, elem_id="folder")
            self.use = gr.Button("Use this folder", size="md")

    def _right(self) -> None:
        """The files, and one of them to be played or deleted."""
        self.about = gr.HTML(NOTHING, padding=False, elem_id="corpus")
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
        with gr.Row(visible=False) as self.chosen:
            self.player = gr.Audio(
                label="Heard", interactive=False, format="wav", scale=4, min_width=300, elem_id="heard", buttons=[]
            )
            with gr.Column(scale=1, min_width=150):
                self.delete = gr.Button("Delete this file …", size="sm")
                with gr.Column(visible=False) as self.asking:
                    self.question = gr.HTML(padding=False)
                    self.sure = gr.Button("Delete it", variant="stop", size="sm")
                    self.keep = gr.Button("Keep it", size="sm")

    def _wire(self) -> None:
        looked = [self.name, self.channels]
        shown = [self.about, self.table, self.manifest, self.chosen, self.file]
        for scan_on in (self.name.input, self.channels.change, self.rescan.click):
            scan_on(errors_shown(self._scan), looked, shown, **PRIVATE)
        for button, act, given, changed in (
            (self.add, self._add, [self.new_name, self.uploads], [self.name, self.uploads]),
            (self.use, self._note, [self.new_name, self.folder], self.name),
            (self.forget, self._forget, self.name, self.name),
            (self.sure, self._corpora.delete, [self.name, self.file], None),
        ):
            done = button.click(errors_shown(act), given, changed, **PRIVATE)
            done.success(errors_shown(self._scan), looked, shown, **PRIVATE)
        opened = [self.chosen, self.player, self.file, self.asking]
        self.table.select(errors_shown(self._open), self.manifest, opened, **PRIVATE)
        self.delete.click(errors_shown(self._ask), [self.name, self.file], [self.asking, self.question], **PRIVATE)
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, **PRIVATE)

    def _scan(
        self,
        name: str | None,
        channels: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        closed = gr.update(visible=False)
        if not name or (self._corpora.is_own(name) and not any(self._corpora.folder(name).iterdir())):
            return NOTHING, closed, None, closed, None

        def report(done: int, total: int, path: str) -> None:
            progress((done, max(1, total)), desc=f"reading {printable(Path(path).name)}", unit="files")

        manifest = self._corpora.scan(name, report, chosen(channels))
        progress(1.0, desc="drawing")
        return summary(manifest), gr.update(value=rows(self._corpora, manifest), visible=True), manifest, closed, None

    def _add(self, name: str, uploads: list[str] | None) -> tuple[Any, None]:
        name = name.strip()
        names, left_out = self._corpora.add(name, [Path(path) for path in uploads or []])
        if left_out:
            gr.Warning("Left out: " + escape("; ".join(left_out)))
        if names:
            gr.Info(f"{len(names)} file{'s' * (len(names) != 1)} added to {name}.")
        return self._select(name), None

    def _note(self, name: str, folder: str) -> Any:
        name = name.strip() or (name_from_path(Path(folder.strip()).expanduser()) if folder.strip() else "corpus")
        self._corpora.note(name, folder)
        return self._select(name)

    def _forget(self, name: str | None) -> Any:
        if name:
            self._corpora.forget(name)
        return self._select(None)

    def _select(self, name: str | None) -> Any:
        return gr.update(choices=self._corpora.names(), value=name)

    def _open(self, manifest: Manifest, event: gr.SelectData) -> tuple[Any, ...]:
        entry = entry_of(manifest, event.row_value[0])
        if entry.reason:
            sound = gr.update(value=None, label=f"{printable(entry.name)} is skipped: {entry.reason}")
        else:
            label = f"{printable(entry.name)}, as it is learnt: mono, brought to a common loudness"
            label += ", the first two minutes" * (entry.seconds > _PLAYED_SECONDS)
            sound = gr.update(value=played(self._corpora.clip(manifest, entry)), label=label)
        return gr.update(visible=True), sound, entry.path, gr.update(visible=False)

    def _ask(self, name: str, path: str) -> tuple[Any, ...]:
        if not self._corpora.is_own(name):
            self._corpora.delete(name, path)  # which says why not
        words = f"{escape(printable(path))}: this deletes the copy that the page has made. There is no way back."
        return gr.update(visible=True), words
