"""Where a rendering stands, as the page says it."""

from html import escape

from distillgan.ui.renderings import CANCELLED, DONE, FAILED, RENDERING, WAITING, Standing


def status(standing: Standing | None) -> str:
    """A bar and words, as HTML."""
    if standing is None:
        return ""
    if standing.state == WAITING:
        before = f"{standing.ahead} before it" if standing.ahead else "next"
        return _bar(0.0, f"In the queue: {before}")
    if standing.transfer is not None:
        transfer = standing.transfer
        left = "" if transfer.seconds_left is None else f", {clock(transfer.seconds_left)} left"
        done = f"{transfer.done / 1e6:,.1f} of {transfer.total / 1e6:,.1f} MB"
        words = f"Fetching {transfer.file}, once: {done}{left}"
        return _bar(transfer.done / max(transfer.total, 1), words)
    if standing.state == RENDERING:
        left = "" if standing.seconds_left is None else f", {clock(standing.seconds_left)} left"
        words = f"Rendering: {standing.share:.0%}{left}" if standing.share else "Opening the model and its vocoder"
        return _bar(standing.share, words)
    notes = "".join(f"<p>{escape(line)}</p>" for line in _notes(standing.said))
    if standing.state == FAILED:
        return f'<div class="failed" role="alert"><b>This cannot be rendered.</b> {_lines(standing.error)}</div>'
    if standing.state == CANCELLED:
        left = "what was rendered until then is in the history" if standing.made else "nothing was rendered yet"
        return f"<p>Cancelled: {left}.</p>{notes}"
    assert standing.state == DONE
    return notes


def clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _notes(said: str) -> list[str]:
    """Of what `generate` printed, that which is not on the page anyhow: what plays and why, and warnings."""
    return [line.strip() for line in said.splitlines() if line.startswith(("model ", "warning: "))]


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


def _bar(share: float, words: str) -> str:
    return (
        f'<div class="bar" role="progressbar" aria-valuenow="{100 * share:.0f}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{100 * share:.1f}%"></i></div><p>{escape(words)}</p>'
    )
