"""One sound of the history as the page shows it: to be heard, seen, judged and taken away."""

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

import gradio as gr

from distillgan.latent.descriptors import DESCRIPTORS, readable
from distillgan.library import sounds
from distillgan.library.account import flat, told
from distillgan.library.history import Generation

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
        fault, path = sounds.fault(generation), generation.path
        there, picture = not fault, path.with_suffix(".png")
        seen = there and picture.is_file()
        return [
            _title(generation, fault),
            gr.update(visible=there, value=str(path) if there else None, label=path.name),
            gr.update(visible=seen, value=str(picture) if seen else None),
            gr.update(visible=there, value=str(path) if there else None),
            gr.update(visible=True),
            check(generation.account),
        ]


def summary(generation: Generation) -> str:
    """What made it, in a line."""
    account = generation.account
    settings = account.get("settings") or {}
    words = [f"{account.get('seconds', 0):.1f} s"]
    words += [f"seed {told(account['seed'])}"] if account.get("seed") is not None else []
    words += [f"{name} {told(value)}" for name, value in flat(settings.get("controls")).items()]
    space = (settings.get("spatial") or {}).get("name")
    words += [space] if space not in (None, "mono") else []
    return ", ".join(words)


def check(account: Mapping[str, Any]) -> str:
    """Levels, descriptors against the recordings, and warnings, as HTML."""
    found = account.get("check") or {}
    outside, rows = found.get("outside") or {}, []
    for item in DESCRIPTORS:
        value = (found.get("descriptors") or {}).get(item.name)
        if value is not None:
            words = f"outside of the recordings: {outside[item.name]}" if item.name in outside else ""
            rows.append((item.name, f"{readable(value)} {item.unit}", words))
    rows += [
        (name, f"{found[key]:.1f} dBFS", "") for name, key in (("peak", "peak_db"), ("level", "rms_db")) if key in found
    ]
    level, gain = account.get("level") or {}, account.get("gain_db")
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
    account, made = generation.account, datetime.fromtimestamp(generation.made)
    check = account.get("check") or {}
    notes = [f"<p><b>Warning:</b> {escape(words)}</p>" for words in check.get("warnings") or []]
    if check.get("outside"):
        notes.append(f"<p>Outside of the recordings: {escape(', '.join(check['outside']))}</p>")
    if account.get("interrupted"):
        notes.append("<p>Cancelled: this is its beginning.</p>")
    if fault:
        notes.append(f"<p><b>Its file cannot be played:</b> {escape(fault)}</p>")
    star = "★ " if generation.starred else ""
    line = f"{summary(generation)}, played by {account.get('vocoder')}, made {made:%Y-%m-%d %H:%M}"
    return f"<p><b>{star}{generation.id} · {escape(generation.title)}</b><br>{escape(line)}</p>{''.join(notes)}"
