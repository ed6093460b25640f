"""Processes that torchrun or Slurm started, on one machine or on several: how they meet, and how they notice a loss."""

import threading
from datetime import timedelta
from pathlib import Path

from lightning.fabric import Fabric
from lightning.fabric.utilities.distributed import is_shared_filesystem
from torch.distributed import TCPStore

from distillgan.errors import UserError
from distillgan.training.pulse import Pulse, end_here

_MEETING_SECONDS = 600.0  # as torchrun's own limit
_STORE_SECONDS = 20.0
_ADVICE = (
    "Start the same command on every machine, all with the address and port of the first, which the others must be "
    "able to reach"
)
_GO_ON = "Start the same command again on every machine: it goes on from the last checkpoint"


def join(fabric: Fabric, who: str) -> Pulse | None:
    """Wait for all processes to be there; their pulse, begun, if they are several. `who` they are is for messages.

    Raises UserError: they are another number than the trainer's values say, or cannot reach each other.
    """
    words = f"the {who} did not all meet within {_MEETING_SECONDS / 60:.0f} minutes. {_ADVICE}"
    limit = threading.Timer(_MEETING_SECONDS, end_here, [words])
    limit.daemon = True
    limit.start()
    try:
        fabric.launch()
    except ValueError as error:
        raise UserError(f"the trainer cannot be set up: {error}") from error
    except RuntimeError as error:
        raise UserError(f"the {who} could not meet ({_said(error)}). {_ADVICE}") from error
    finally:
        limit.cancel()
    return _pulse(fabric).__enter__() if fabric.world_size > 1 else None


def _pulse(fabric: Fabric) -> Pulse:
    rank, address = fabric.global_rank, fabric.strategy.cluster_environment.main_address
    wait = timedelta(seconds=_STORE_SECONDS)
    store = TCPStore(address, 0, is_master=True, wait_for_workers=False, timeout=wait) if rank == 0 else None
    port = fabric.broadcast(None if store is None else store.port)
    store = store or TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=wait)
    return Pulse(
        store, rank, fabric.world_size, lambda words: end_here(f"{words} (its machine, the network?). {_GO_ON}")
    )


def parted(error: BaseException) -> str:
    """In words: a connection to another process has broken."""
    said = _said(error)
    return f"another process of the training has ended or is out of reach; see what it said itself ({said}). {_GO_ON}"


def check_shared(fabric: Fabric, folder: Path) -> None:
    """Raises UserError unless all processes see the same `folder`."""
    try:
        shared = is_shared_filesystem(fabric.strategy, folder)
    except FileNotFoundError:
        shared = False
    if not shared:
        raise UserError(
            f"{folder} is not one folder for all the machines that train together: give each the same paths.home, on "
            "a disk that all of them see"
        )


def _said(error: BaseException) -> str:
    """The first sentence, without the place in the library's source."""
    return str(error).partition("\n")[0].rpartition("] ")[2].partition(". ")[0]
