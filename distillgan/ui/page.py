"""What all tabs share: the page's state, and errors in a corner of it.

What the engine refuses, told on the page: its words in a corner, and no traceback.

What every tab of the page is given, and what it gives back.
"""

from __future__ import annotations

import inspect
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
    from distillgan.ui.runs import Trainings


HIDDEN = {"show_progress": "hidden", "api_visibility": "private"}  # of an event that is not to be seen to work


def errors_shown(function: Callable) -> Callable:
    """The function (or generator) as a handler whose UserError is shown to the visitor."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def generating(*arguments: Any, **named: Any) -> Any:
            try:
                yield from function(*arguments, **named)
            except UserError as error:
                raise shown(error) from error

        return generating

    @wraps(function)
    def calling(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except UserError as error:
            raise shown(error) from error

    return calling


def shown(error: UserError) -> gr.Error:
    """The error as the page shows it. What it quotes, from a stranger's file perhaps, is text and no markup."""
    return gr.Error(escape(str(error)), title="This cannot be done", print_exception=False, duration=20)


@dataclass(frozen=True)
class Page:
    """One server: its home, its settings (conf/ui.yaml), the trainings it can start, and the queue of its device.

    Nothing in it belongs to one visitor: what a visitor has half set is in the session's `gr.State`.
    """

    home: Home
    settings: DictConfig
    trainings: Trainings
    renderings: Renderings


@dataclass(frozen=True)
class Shown:
    """What brings a tab up to date when it is shown: a function of no arguments, and the components it fills."""

    refresh: Callable[[], Any]
    outputs: list[Any]
