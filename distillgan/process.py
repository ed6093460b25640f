"""Threads and signals of this process: how many threads compute and how they wait, decided before torch is loaded.

    kind            torch's threads         side by side
    training        all cores               nothing: its operations are large
    rendering       one for each block      the blocks of a sound, one a core (short clips of `count=`: the clips)
    analysis        one for each rendering  the renderings, one a core
    evaluation      as rendering            the renderings of what=controls, one a core; else the blocks of each
    page            as what it starts
    a sweep's jobs  cores / jobs            the jobs
    ddp             cores / processes       the processes (`training.distributed`)
    data workers    one                     the workers, by PyTorch itself

All of them turn for a moment, until the next operation has usually come, and then wait: OpenMP's threads would else
keep their cores busy for milliseconds after each operation, and two programs take each other's time. To wait at once
costs a training that is alone a seventh. What the person has set stays. The figures are in experiments/two_at_once; how
pieces run side by side, with the same samples, in `compute`.

Ctrl-C, SIGTERM and SIGHUP (a terminal closed, a connection dropped) end a command. While its modules are imported
nothing is half done, and it leaves at once. Afterwards each of the three raises in the main thread what Ctrl-C raises,
so that a rendering ends as a whole shorter file; a training takes them over.
"""

import os
import signal
import sys
import threading
from types import FrameType

from distillgan.errors import whole

# Of GNU's OpenMP, which PyTorch has on Linux, and of LLVM's and Intel's, which it has elsewhere: each is read once,
# when its library is loaded.
_WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
_SAID = {*_WAITING, "OMP_WAIT_POLICY", "KMP_LIBRARY"}
NUMBER = "OMP_NUM_THREADS"
_MOST = 1024


def settle() -> None:
    """Says how threads wait, to this process, if torch is not loaded yet, and to those that it starts.

    Where one of the variables is there already, it is the person's, or it was settled before.
    """
    if not _SAID & os.environ.keys():
        os.environ.update(_WAITING)


def share_out(jobs: int, cores: int) -> None:
    """Says to processes that this one starts, `jobs` at a time, how many threads each has; what is set stays."""
    os.environ.setdefault(NUMBER, str(max(1, cores // jobs)))


def checked(threads: int | None) -> int | None:
    """The setting `threads`; None for all. Raises UserError if it is no whole number from 1 on."""
    return None if threads is None else whole("threads", threads, 1, _MOST)


_LATER = 1.0  # seconds after it was noted by which a process is another one that has got its number


def alive(pid: int, noted: float) -> bool:
    """Whether the process of this machine that had the number `pid` at `noted` (seconds since 1970) still runs."""
    import psutil  # which most commands do without

    try:
        found = psutil.Process(pid)
        return found.create_time() < noted + _LATER and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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
    """From now on each of the three raises KeyboardInterrupt, unless the process ignores it.

    Without effect in a thread that no signal reaches.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _came.clear()
    for signum in ENDING:
        if not ignored(signum):
            signal.signal(signum, _raise)


def ignored(signum: int) -> bool:
    """Whether the process was started to go on without its terminal (nohup), or, for the others, in the background."""
    return signal.getsignal(signum) is signal.SIG_IGN


def exit_code() -> int:
    """That of a process that the latest signal has ended."""
    return 128 + (_came[-1] if _came else signal.SIGINT)


def words() -> str:
    """How the process ended, for a message."""
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
