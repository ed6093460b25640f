"""The one exception that is meant for the person at the keyboard, and texts from elsewhere as it may show them."""

import os


class UserError(Exception):
    """Something the user can mend: the message names the file, the value, the limit and the remedy.

    The entries print it without a traceback and leave with exit code 2.
    """


def printable(text: str | os.PathLike) -> str:
    """A file name, or text from a file, for terminals and messages: line breaks, control characters and stray bytes
    shown as escapes."""
    text = os.fspath(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def message(error: Exception | str) -> str:
    """What is told of it: its lines as they are, nothing in them that a terminal would take for a command."""
    return "\n".join(map(printable, str(error).split("\n")))
