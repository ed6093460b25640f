"""What the engine refuses, told on the page: its words in a corner, and no traceback."""

import inspect
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from distillgan.errors import UserError


def told(function: Callable) -> Callable:
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
