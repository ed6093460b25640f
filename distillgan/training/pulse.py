"""A sign of life from each process of a team on several machines, so that none waits for a machine that is gone.

A process that ends closes its connections, and gloo tells the others at once. A machine without power or network closes
nothing: they would wait for half an hour.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable

from torch.distributed import TCPStore

_EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 60.0


class Pulse:
    """As a context manager: shows in `store` that process `rank` of `count` lives, and watches the others.

    Once another has not moved for `patience` seconds, or the store cannot be reached for as long, `lost(words)` is
    called on a thread of its own: the process itself may be held up where no exception reaches it.
    """

    def __init__(
        self,
        store: TCPStore,
        rank: int,
        count: int,
        lost: Callable[[str], None],
        every: float = _EVERY_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ):
        self._store, self._rank, self._lost = store, rank, lost
        self._every, self._patience = every, patience
        now = time.monotonic()
        self._moved, self._asked = {other: (b"", now) for other in range(count) if other != rank}, now
        self._over = threading.Event()

    def __enter__(self) -> "Pulse":
        # Two threads: one may hang in a question to a machine that is gone.
        for work in (self._ask, self._judge):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _ask(self) -> None:
        beat = 0
        while not self._over.is_set():
            beat += 1
            with contextlib.suppress(RuntimeError):  # the first process, which keeps the store, does not answer
                self._store.set(f"pulse {self._rank}", str(beat))
                for other, (before, _) in self._moved.items():
                    key = f"pulse {other}"
                    # Each clock counts for itself alone: those of two machines differ.
                    if self._store.check([key]) and (now := self._store.get(key)) != before:
                        self._moved[other] = now, time.monotonic()
                self._asked = time.monotonic()
            self._over.wait(self._every)

    def _judge(self) -> None:
        while not self._over.wait(self._every):
            limit = time.monotonic() - self._patience
            silent = [other for other, (_, at) in self._moved.items() if at < limit]
            if self._asked < limit:
                silent = [0] if self._rank else silent
            if silent and not self._over.is_set():
                self._lost(f"process {silent[0]} of the training has given no sign of life for {self._patience:.0f} s")
                return


def end_here(words: str) -> None:
    """Tell it and leave at once, whatever this process waits for."""
    print(f"error: {words}", file=sys.stderr, flush=True)
    os._exit(1)
