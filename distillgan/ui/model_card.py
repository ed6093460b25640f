"""A model's details as a piece of the page: what its file says, and its sliders. Texts from files are escaped."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch
from matplotlib.figure import Figure

from distillgan.errors import UserError
from distillgan.latent.descriptors import readable
from distillgan.latent.picture import draw_map
from distillgan.latent.sliders import Slider
from distillgan.library.description import described, moment
from distillgan.library.records import Record, parameters
from distillgan.render.engine import Model

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
.quiet { color: var(--body-text-color-subdued); }
"""
_HEADINGS = ("slider", "range", "at -10", "at 0", "at 10", "unit", "follows", "moves others")


def summary(record: Record) -> str:
    """A model in a few lines; or why the file cannot be read."""
    header, name = record.header, escape(record.name)
    if header is None:
        return f"<h3>{name}</h3><p>This file cannot be played: {escape(record.fault or '')}</p>"
    error = "" if record.error_db is None else f" Reconstructs them with an error of {record.error_db:.2f} dB."
    own = f"A {escape(record.vocoder)} vocoder of its own." if record.vocoder else "No vocoder of its own."
    learnt = f"Learnt from {header.corpus['files']} recordings, {record.minutes:.1f} minutes."
    return f"<h3>{name}</h3><p>{learnt}{error} {own} Made {moment(header.created)}.</p>"


def facts(record: Record) -> str:
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
