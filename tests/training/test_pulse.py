"""Signs of life between the processes of a team, through a real store: silence is noticed, and nothing else is."""

import threading
import time
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from distillgan.training.distributed import Pulse

PATIENCE = 2.0


class Side:
    """One process's pulse, and what it said is lost."""

    def __init__(self, store: TCPStore, rank: int, count: int):
        self.words, self.told = [], threading.Event()
        self.pulse = Pulse(store, rank, count, self.lost, every=0.1, patience=PATIENCE)
        self.pulse.__enter__()

    def lost(self, words: str) -> None:
        self.words.append(words)
        self.told.set()


@pytest.fixture
def stores() -> list[TCPStore]:
    """The first keeps it."""
    patience = timedelta(seconds=5)
    kept = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=patience)
    return [kept] + [TCPStore("127.0.0.1", kept.port, is_master=False, timeout=patience) for _ in range(2)]


def test_who_falls_silent_is_named_by_all_others_within_the_patience_and_not_before(stores):
    sides = [Side(store, rank, 3) for rank, store in enumerate(stores)]
    assert not sides[0].told.wait(1.5 * PATIENCE), "all are alive"
    sides[1].pulse.__exit__()
    begun = time.monotonic()
    for rank in (0, 2):
        assert sides[rank].told.wait(4 * PATIENCE)
        assert sides[rank].words == ["process 1 of the training has given no sign of life for 2 s"]
    assert time.monotonic() - begun > 0.9 * PATIENCE
    assert not sides[1].words, "who has left watches nobody"
    for side in sides:
        side.pulse.__exit__()


def test_who_never_begins_is_silent_and_so_is_the_first_when_its_store_is_gone(stores):
    kept, other, _ = stores
    first = Side(kept, 0, 2)
    assert first.told.wait(4 * PATIENCE) and "process 1" in first.words[0]
    second = Side(other, 1, 2)
    first.pulse.__exit__()
    time.sleep(0.5)  # its threads end
    stores.clear()
    del kept, first  # the server goes with its last reference
    assert second.told.wait(4 * PATIENCE) and "process 0" in second.words[0]
    second.pulse.__exit__()
