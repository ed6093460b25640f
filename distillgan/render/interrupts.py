"""Ctrl-C, SIGTERM and SIGHUP at moments that leave nothing half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from distillgan.signals import ENDING, ignored


@contextmanager
def held() -> Iterator[None]:
    """What would end the process in the block, which should be short, takes effect at its end.

    Only the main thread is ever interrupted; in others this does nothing.
    """
    # What is None was set by no Python code, which could not put it back.
    mine = [signum for signum in ENDING if signal.getsignal(signum) is not None and not ignored(signum)]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {signum: signal.signal(signum, lambda signum, _: came.append(signum)) for signum in mine}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if came:
        signal.raise_signal(came[0])
