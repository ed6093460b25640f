"""A training as the page shows it: in words, as a bar, as curves."""

from html import escape

import pandas as pd

from distillgan.holder import Holder
from distillgan.ui.elsewhere import here
from distillgan.ui.standing import Standing
from distillgan.ui.trainings import Key, State

STYLE = """<style>
#standing .bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); margin: 8px 0 4px; }
#standing .bar div { height: 100%; border-radius: 4px; background: var(--color-accent); }
#standing .facts { display: flex; flex-wrap: wrap; gap: 4px 28px; }
#standing .quiet { color: var(--body-text-color-subdued); }
#standing pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85em; margin: 6px 0 0; }
#train-log textarea { font-family: var(--font-mono); white-space: pre; overflow-x: auto; font-size: .85em; }
</style>"""
NOTHING = f'{STYLE}<p class="quiet">Nothing has been trained here yet.</p>'
_PHASES = {
    "running": "in training.",
    "stopping": "stopping: its checkpoint and a model that plays are being written.",
    "done": "finished.",
    "stopped": "stopped. Resume goes on from here.",
    "failed": "broke off.",
}
STAGES = {"vae": "the model", "vocos": "its vocoder (vocos)", "hifigan": "its vocoder (hifigan)"}
_PARTS = {"model": "the model", "vocoder": "its vocoder"}
_NOT_RESUMED = "stopped. The command that it was started with goes on from here."
_UNITS = {"val/mel_error_db": " dB", "val/mel_error": ""}


def called(key: Key) -> str:
    """A training's name in a list."""
    return key.name if key.part == "model" else f"{key.name}, {_PARTS[key.part]}"


def told(state: State, log: list[str], packed: str) -> str:
    """HTML: how far it is, what is left, how good it is; why it broke off, if it did; `packed`: what became of it."""
    standing = state.standing
    of = _PARTS[state.key.part] if standing is None else STAGES.get(standing.stage, standing.stage)
    phase = _NOT_RESUMED if state.phase == "stopped" and not state.resumable else _PHASES[state.phase]
    head = f"<p><b>{escape(f'{state.key.name}, {of}')}</b>: {phase}</p>"
    body = "" if standing is None else _progress(state, standing)
    if state.running and (standing is None or standing.ended):
        doing = "" if standing is None else "Its steps are done; it is measured and packed. "
        body += f'<p class="quiet">{escape(doing + (log[-1] if log else "It starts."))}</p>'
    if state.process is not None:
        body += f'<p class="quiet">{escape(_where(state.process))}</p>'
    packed = f"<p>{escape(packed)}</p>" if packed else ""
    why = f"<pre>{escape(state.words)}</pre>" if state.words else ""
    return f"{STYLE}{head}{body}{packed}{why}"


def _where(process: Holder) -> str:
    if not here(process):
        return f"It was started on {process.host}, and can only be stopped there."
    return f"It was not started from a page (process {process.pid}). Stop does what Ctrl-C does where it was started."


def frame(points: list[tuple[int, float]]) -> pd.DataFrame:
    """Points (step, value) for a line plot, in four digits."""
    return pd.DataFrame([(step, float(f"{value:.4g}")) for step, value in points], columns=["step", "value"])


def _progress(state: State, standing: Standing) -> str:
    status = standing.status
    facts = [(f"{status['step']:,}", f"of {status['steps']:,} steps")]
    if state.running and not standing.ended and status["seconds_left"] is not None:
        facts.append((_time(status["seconds_left"]), "left"))
    facts.append((_time(status["seconds"]), "trained so far"))
    error = status["judged"].get(status["monitor"])
    if error is not None:
        facts.append((f"{error:.2f}{_UNITS.get(status['monitor'], '')}", "error on what is judged"))
    share = 100 * status["share"]
    cells = "".join(f"<div><b>{escape(value)}</b> {escape(words)}</div>" for value, words in facts)
    return (
        f'<div class="bar" role="progressbar" aria-valuenow="{share:.0f}" aria-label="progress">'
        f'<div style="width: {share:.1f}%"></div></div><div class="facts">{cells}</div>'
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
