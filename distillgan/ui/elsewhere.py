"""Trainings that were not started from the page: by a command in a terminal, or from Python."""

import os
import signal
import socket
import time
from pathlib import Path

import psutil

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.holder import Holder
from distillgan.paths import Home

_LATER = 1.0  # seconds after its note by which a process is another one's that has got its number
_SILENT_SECONDS = 600.0  # after which a training on another machine is no longer taken for one that runs


def alive(holder: Holder, heard: float) -> bool:
    """Does it train still? Of another machine only this is known: when (seconds since 1970) it was heard of last."""
    if not here(holder):
        return time.time() - max(heard, holder.started) < _SILENT_SECONDS
    try:
        process = psutil.Process(holder.pid)
        return process.create_time() < holder.started + _LATER and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def here(holder: Holder) -> bool:
    """Is it a process of this machine?"""
    return holder.host == socket.gethostname()


def stopping(home: Home, name: str, holder: Holder) -> bool:
    """Was it asked to stop?"""
    try:
        return _asked(home, name).read_text() == _mark(holder)
    except OSError:
        return False


def stop(home: Home, name: str, holder: Holder) -> None:
    """Ask it to stop, once, as Ctrl-C in its terminal would; a second signal would cost it its last steps.

    Raises:
        UserError: it is another machine's, or another user's.
    """
    if not here(holder):
        raise UserError(f"{name} is being trained on {holder.host}: stop it there")
    if stopping(home, name, holder):
        return
    try:
        os.kill(holder.pid, 0)
        with replace_file(_asked(home, name)) as temporary:
            temporary.write_text(_mark(holder))
        os.kill(holder.pid, signal.SIGINT)
    except ProcessLookupError:  # it has ended by itself meanwhile
        return
    except PermissionError as error:
        raise UserError(
            f"{name} is being trained by another user (process {holder.pid}): ask him to stop it"
        ) from error


def _asked(home: Home, name: str) -> Path:
    return home.training(name) / "stopping"


def _mark(holder: Holder) -> str:
    return f"{holder.pid} {holder.started}"
