"""Small pieces of work side by side, a thread each, whose samples are those of one piece after another.

How many threads torch gives to one operation changes how some of them round: products of matrices, and functions of
which the last elements of each thread's share are computed in another way. In a piece of work such operations are
`counted`: a team of as many threads as torch had before computes them, for one piece at a time. All else (transforms,
copies, sums, noise: most of the time) is computed by the piece's own thread.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

import torch

from distillgan.threads import NUMBER

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


def in_order(function: Callable[[Item], Result], items: Iterable[Item], side_by_side: bool = True) -> Iterator[Result]:
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
        _man(team, pool, ready, count, threads)
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


def _man(
    team: ThreadPoolExecutor, pool: ThreadPoolExecutor, ready: threading.Barrier, count: int, threads: int
) -> None:
    """All threads are there when it returns, and know how many threads each of their operations has.

    torch keeps that number for each thread, and the last one set for threads that come later: so it is set here again.
    """
    team.submit(_have, threads).result()
    for _ in range(count):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(threads)


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
