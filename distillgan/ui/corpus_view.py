"""A scanned corpus as the page shows it: a few words, and a row a file with its outline."""

import base64
from collections import Counter
from html import escape

import numpy as np

from distillgan.audio.io import printable
from distillgan.data.band import readable
from distillgan.data.manifest import HELD_OUT, Entry, Manifest
from distillgan.data.summary import FEW_FILES
from distillgan.errors import UserError
from distillgan.ui.corpora import Corpora, outline

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
    rates = Counter(entry.source_rate for entry in used)
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
    cells = "".join(f"<div><b>{escape(value)}</b> {escape(words)}</div>" for value, words in facts)
    warning = ""
    if len(used) < FEW_FILES:
        warning = (
            f"<p><b>A small corpus.</b> A model needs variety, and of fewer than {FEW_FILES} recordings none can be "
            f"held out to judge it: {FEW_FILES} or more are better.</p>"
        )
    folder = escape(printable(manifest.folder))
    return f'<div class="facts">{cells}</div>{warning}<p class="quiet">{folder}</p>'


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
