"""Ctrl-C, SIGTERM and SIGHUP (a terminal closed, a connection dropped): what a command does when it is told to end.

While a command's modules are imported nothing is half done, and it leaves at once. Afterwards each of the three raises
in the main thread what Ctrl-C raises, so that a rendering ends as a whole shorter file; a training takes them over.
"""

import os
import signal
import sys
import threading
from types import FrameType

SIGHUP = getattr(signal, "SIGHUP", None)  # Windows has none
ENDING = tuple(signum for signum in (signal.SIGINT, signal.SIGTERM, SIGHUP) if signum is not None)
EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_HUNG_UP = 130, 143, 129

_came: list[int] = []


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP. Like Ctrl-C no error, which a library might swallow."""


def leave_while_importing() -> None:
    """Until `raise_when_told`, Ctrl-C ends the process with a word and no traceback. Call it first."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_when_told() -> None:
    """From now on each of the three raises KeyboardInterrupt, as far as the process was not told to ignore it.

    Without effect in a thread that no signal reaches.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _came.clear()
    for signum in ENDING:
        if not ignored(signum):
            signal.signal(signum, _raise)


def ignored(signum: int) -> bool:
    """Was the process started to go on without its terminal (nohup), or, for the others, in the background?"""
    return signal.getsignal(signum) is signal.SIG_IGN


def exit_code() -> int:
    """That of a process that the latest signal has ended."""
    return 128 + (_came[-1] if _came else signal.SIGINT)


def words() -> str:
    """How it ended."""
    signum = exit_code() - 128
    return "interrupted" if signum == signal.SIGINT else f"ended by {signal.Signals(signum).name}"


def _raise(signum: int, frame: FrameType | None) -> None:
    _came.append(signum)
    raise KeyboardInterrupt if signum == signal.SIGINT else Ended(signal.Signals(signum).name)


def _leave(signum: int, frame: FrameType | None) -> None:
    # Not by an exception: half-imported libraries turn one into others, with a traceback each.
    sys.stderr.write("interrupted\n")
    sys.stderr.flush()
    os._exit(EXIT_INTERRUPTED)
