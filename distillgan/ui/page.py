"""What all tabs share: what each is given and gives back, errors as the page shows them, and the look of some HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from omegaconf import DictConfig

from distillgan.errors import UserError
from distillgan.paths import Home

if TYPE_CHECKING:
    from distillgan.ui.renderings import Renderings
    from distillgan.ui.runs import Supervisor

# Of the handlers: none is an API for others, and those that follow something show no clock over it.
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
QUIET: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
CSS = """
.figures { display: flex; flex-wrap: wrap; gap: 4px 28px; }
.quiet { color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
"""


def figures(facts: list[tuple[str, str]]) -> str:
    """HTML: numbers beside each other, each with what it is of."""
    cells = "".join(f"<div><b>{escape(value)}</b> {escape(words)}</div>" for value, words in facts)
    return f'<div class="figures">{cells}</div>'


HIDDEN = {"show_progress": "hidden", "api_visibility": "private"}  # of an event that is not to be seen to work


def errors_shown(function: Callable) -> Callable:
    """The function as a handler whose UserError is shown to the visitor, without a traceback.

    What it quotes, from a stranger's file perhaps, is text and no markup.
    """

    @wraps(function)
    def handler(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except UserError as error:
            words = escape(str(error))
            raise gr.Error(words, title="This cannot be done", print_exception=False, duration=20) from error

    return handler


@dataclass(frozen=True)
class Page:
    """One server: its home, its settings (conf/ui.yaml), the runs it can start, and the queue of its device.

    Nothing in it belongs to one visitor: what a visitor has half set is in the session's `gr.State`.
    """

    home: Home
    settings: DictConfig
    supervisor: Supervisor
    renderings: Renderings


@dataclass(frozen=True)
class Shown:
    """What brings a tab up to date when it is shown: a function of no arguments, and the components it fills."""

    refresh: Callable[[], Any]
    outputs: list[Any]
