"""Device, memory that runs out, and pieces of work side by side, whose samples are those of one after another.

How many threads torch gives to one operation changes how some of them round: products of matrices, and functions of
which the last elements of each thread's share are computed in another way. In a piece of work such operations are
`counted`: a team of as many threads as torch had before computes them, for one piece at a time. All else (transforms,
copies, sums, noise: most of the time) is computed by the piece's own thread.
"""

import os
import platform
import re
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

import torch

from distillgan.errors import UserError
from distillgan.process import NUMBER


def resolve(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `mps` → a device that is there; `auto` takes cuda, else mps, else the CPU.

    Raises:
        UserError: the named device is unknown, or this machine or this build of PyTorch has none.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if name not in there:
        raise UserError(f"device={name!r} is none of auto, {', '.join(sorted(there))}")
    if not there[name]:
        raise UserError(
            f"device={name} was asked for, but PyTorch {torch.__version__} sees none on this machine: "
            "use device=auto or device=cpu"
        )
    return torch.device(name)


def hardware(device: torch.device) -> dict[str, str | int]:
    """The hardware that computes, for a model's header; nothing that identifies the machine or its user.

    hardware    the GPU's name, or the processor's
    cores       of the processor, as many as this process may use
    torch       its version
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"hardware": name, "cores": cores, "torch": str(torch.__version__)}


def _processor() -> str:
    """From a file that Linux alone has; elsewhere Python knows at least the kind."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text("utf-8", "replace").splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in names if name), platform.processor() or platform.machine() or "unknown")


# CUDA's own error has a class; what cuBLAS, cuDNN, Apple's GPUs and the CPU's allocator say is known by its words.
_WORDS = ("out of memory", "can't allocate memory", "alloc_failed", "bad_alloc")
_GPU = re.compile(r"\b(cuda|cublas|cudnn|mps|hip)", re.IGNORECASE)
_ASKED = re.compile(r"tried to allocate ([\d.]+) (bytes|[KMG]i?B)", re.IGNORECASE)


@contextmanager
def memory_in_words(doing: str, remedy: str) -> Iterator[None]:
    """Within the block, or the function that it decorates, memory that runs out is a UserError; all else stays.

    Its message says `doing`, whose memory it was and how much more was wanted, and the `remedy`.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        gpu = isinstance(error, torch.OutOfMemoryError) or _GPU.search(str(error))
        asked = _ASKED.search(str(error))
        amount, unit = asked.groups() if asked else ("", "")
        if unit == "bytes":
            amount, unit = f"{float(amount) / 2**30:.3g}", "GiB"
        wanted = f" ({amount} {unit} more were wanted)" if asked else ""
        words = f"{doing}: {'the GPU' if gpu else 'this computer'}'s memory ran out{wanted}. {remedy}"
        # What the frames below still hold is given back, so that whoever goes on has the memory for it.
        traceback.clear_frames(error.__traceback__)
        raise UserError(words) from error


def ran_out(error: BaseException) -> bool:
    """Whether its cause is that there was no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 8  # pieces at once: each has its memory
_AHEAD = 2  # pieces that wait for their turn, or to be taken, for each that is computed
_here = threading.local()  # .team: of the worker that this thread is
_limit: ContextVar[int | None] = ContextVar("threads", default=None)


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Within the block `threads` pieces are computed at once, with the same samples; None changes nothing."""
    token = _limit.set(threads or _limit.get())
    try:
        yield
    finally:
        _limit.reset(token)


@contextmanager
def computing(threads: int | None) -> Iterator[None]:
    """Within the block torch has `threads` threads, here and in processes that are started; None changes nothing."""
    if threads is None:
        yield
        return
    before, said = torch.get_num_threads(), os.environ.get(NUMBER)
    os.environ[NUMBER] = str(threads)  # else Lightning would share the cores out among its processes
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        os.environ.pop(NUMBER)
        os.environ.update({} if said is None else {NUMBER: said})


def counted(function: Callable[..., Result], *arguments: object) -> Result:
    """function(*arguments), rounded as by all of torch's threads, wherever it is called from."""
    team = getattr(_here, "team", None)
    return function(*arguments) if team is None else team.submit(_as_here(function), *arguments).result()


def in_order(function: Callable[[Item], Result], items: Iterable[Item], side_by_side: bool = True) -> Generator[Result]:
    """function(item) of each, in their order; as many at once as is `limited`, else one more than torch has threads.

    The items are taken in the caller's thread, a few ahead of the results. What `function` raises is raised here, and
    then, or when the iterator is closed, nothing goes on and no thread is left. Within `function`, or if they are not
    to be side by side, this is a plain loop.
    """
    threads = torch.get_num_threads()
    count = min(_limit.get() or threads + (threads > 1), _MOST)  # one more: some wait for the team
    if not side_by_side or hasattr(_here, "team") or threads == 1 >= count:
        yield from map(function, items)
        return
    team, ready = ThreadPoolExecutor(1), threading.Barrier(count + 1)
    pool = ThreadPoolExecutor(count, initializer=_begin, initargs=(team, ready))
    waiting: deque[Future[Result]] = deque()
    try:
        # When all threads are there each knows how many threads its operations have. torch keeps that number for each
        # thread, and the last one set for threads that come later: so it is set here again.
        team.submit(_have, threads).result()
        for _ in range(count):
            pool.submit(int)
        ready.wait()
        torch.set_num_threads(threads)
        work = _as_here(function)
        for item in items:
            waiting.append(pool.submit(work, item))
            while waiting and (waiting[0].done() or len(waiting) > _AHEAD * count):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        ready.abort()  # if this was interrupted before all were there, nobody waits for the others
        pool.shutdown(cancel_futures=True)
        team.shutdown()


def _have(threads: int) -> None:
    torch.get_num_threads()  # a thread takes over the number that was set last when it first asks
    torch.set_num_threads(threads)


def _begin(team: ThreadPoolExecutor, ready: threading.Barrier) -> None:
    _have(1)
    _here.team = team
    with suppress(threading.BrokenBarrierError):
        ready.wait()


def _as_here(function: Callable[..., Result]) -> Callable[..., Result]:
    """The function, without gradients, and in inference mode where this thread is."""
    inference = torch.is_inference_mode_enabled()

    def work(*arguments: object) -> Result:
        with torch.inference_mode(inference), torch.no_grad():  # the first turns gradients on, where it is off
            return function(*arguments)

    return work
