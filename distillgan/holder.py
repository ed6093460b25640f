"""Which process trains a name, for others to see: `runs/.<name>.process`, which is there for as long as it does.

The lock does not tell who holds it; and who tried it, to see, would keep a training from beginning at that moment.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields

from distillgan.atomic import replace_file
from distillgan.paths import Home


@dataclass(frozen=True)
class Holder:
    """A process on the machine `host`, training on `device` since `started` (seconds since 1970).

    `stages` are the folders of the run that it goes through, in their order: vae, then that of a vocoder.
    """

    pid: int
    host: str
    device: str
    started: float
    stages: list[str]


@contextmanager
def held_by_this(home: Home, name: str, device: str, stages: list[str]) -> Iterator[None]:
    """Note this process for as long as the block runs. For whoever has the name's lock. Raises UserError: disk."""
    path = home.process(name)
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(asdict(Holder(os.getpid(), socket.gethostname(), device, time.time(), stages))))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def holder(home: Home, name: str) -> Holder | None:
    """The process that is noted; one that was killed is noted still. None if there is none, or the note is none."""
    try:
        values = json.loads(home.process(name).read_bytes())
    except (OSError, ValueError):
        return None
    known = isinstance(values, dict) and values.keys() == {field.name for field in fields(Holder)}
    return Holder(**values) if known else None
