"""One training on several processes and machines.

A sign of life from each process of a team on several machines, so that none waits for a machine that is gone.

A process that ends closes its connections, and gloo tells the others at once. A machine without power or network closes
nothing: they would wait for half an hour.

Processes that torchrun or Slurm started, on one machine or on several: how they meet, and how they notice a loss.

The processes that train together: one, or several by Lightning's DDP (`trainer=ddp`), on one machine or on more.

On one machine the first process starts the others, by torch.multiprocessing with "spawn", and hands them what it has
prepared. Lightning's own launcher would run the command line again in each, which Hydra's sweeps, the `distillgan`
command and a test runner do not survive. Processes that torchrun or Slurm started are taken as they are, see `meeting`.
"""

import contextlib
import logging
import multiprocessing.connection
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import lightning as L
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.fabric.utilities.distributed import is_shared_filesystem
from omegaconf import DictConfig
from torch.distributed import TCPStore
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException, start_processes

from distillgan import compute
from distillgan.errors import UserError, whole

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


DDP = "ddp"
_STRATEGIES = ("auto", DDP)
_OPTIONS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}  # device → trainer=
_PROCESSES_ON_CPU = 2
_PATIENCE_SECONDS = 20.0
_LOST = ("gloo", "nccl", "connection", "store")

Result = TypeVar("Result")

logging.getLogger("lightning.fabric").setLevel(logging.ERROR)


class Place(LightningEnvironment):
    """Rank `rank` among the processes of one machine, which meet at `port`."""

    creates_processes_externally = True
    main_address = "127.0.0.1"
    main_port = 0

    def __init__(self, rank: int, port: int):
        super().__init__()
        self.rank, self.main_port = rank, port

    def local_rank(self) -> int:
        return self.rank

    def node_rank(self) -> int:
        return 0

    def teardown(self) -> None:
        pass


class Team:
    """As a context manager: the other processes are there from the first `on_first` on, and none is left behind.

    Args:
        config: of the training; a null `trainer.devices` is filled in.
        follow: what another process does, follow(index, config, port); it makes its Team with
            `place=Place(index + 1, port)`. A function of a module.
        place: in such a process, its own.

    Raises UserError: the device is not there, or the trainer's values do not fit it.
    """

    def __init__(self, config: DictConfig, follow: Callable[[int, DictConfig, int], None], place: Place | None = None):
        self.device = _device(config)
        self._config, self._follow = config, follow
        self._fabric: Fabric | None = None
        self._others = None
        self._starts, self._from_outside = False, False
        self._over = threading.Event()
        self._pulse: Pulse | None = None
        self._threads = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
        self.trainer_options = _options(config.trainer, self.device)
        if config.trainer.strategy == DDP:
            self._fabric = self._meet(place)
            self.device = self._fabric.device

    def _meet(self, place: Place | None) -> Fabric:
        try:
            self._from_outside = place is None and _started_from_outside(self.trainer_options)
            if place is None and not self._from_outside:
                if self.trainer_options["num_nodes"] > 1:
                    raise UserError(
                        f"trainer.num_nodes={self.trainer_options['num_nodes']}: start this command on each machine "
                        "with torchrun or srun, they tell the processes of each other"
                    )
                place, self._starts = Place(0, find_free_network_port()), True
            self._place = place
            if place is not None:
                self.trainer_options["plugins"] = [place]
            return Fabric(**self.trainer_options)
        except ValueError as error:
            raise UserError(f"the trainer cannot be set up: {error}") from error

    @property
    def first(self) -> bool:
        """Is this the process that writes, prints and decides?"""
        return self._fabric is None or self._fabric.is_global_zero

    def __str__(self) -> str:
        if self._fabric is None:
            return self.device.type
        return f"{self.trainer_options['devices'] * self.trainer_options['num_nodes']} × {self.device.type}"

    def options_for(self, module: L.LightningModule) -> dict:
        """Arguments of the Trainer for a module, which comes as a whole under DDP."""
        if self._fabric is None or module.automatic_optimization:
            return self.trainer_options
        # With an optimizer for each network, one of them rests in each backward pass.
        return self.trainer_options | {"strategy": "ddp_find_unused_parameters_true"}

    def on_first(self, act: Callable[[], Result]) -> Result:
        """`act()` on the first process while the others wait; its result, or UserError or OSError, is everyone's."""
        if self._fabric is None:
            return act()
        result, error = None, None
        if self.first:
            try:
                result = act()
            except (UserError, OSError) as refused:
                if self._starts and self._others is None:
                    raise  # nobody else is there yet
                error = refused
            self._start()
        result, error = self._fabric.broadcast((result, error))
        if error is not None:
            raise error
        return result

    def _start(self) -> None:
        if self._starts and self._others is None:
            count = self.trainer_options["devices"] - 1
            arguments = (self._config, self._place.main_port)
            self._others = start_processes(self._follow, arguments, count, join=False, start_method="spawn")
            threading.Thread(target=self._watch, daemon=True).start()
            self._fabric.launch()

    def __enter__(self) -> "Team":
        if self._from_outside:
            self._pulse = join(self._fabric, str(self))
        elif self._fabric is not None and not self._starts:
            self._fabric.launch()
        return self

    def check_shared(self, folder: Path) -> None:
        """Raises UserError unless every machine sees the same `folder`, which is there on the first."""
        if self._fabric is None or self.trainer_options["num_nodes"] == 1:
            return
        check_shared(self._fabric, folder)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self._over.set()
        if self._fabric is None:
            return
        if self._pulse is not None:
            self._pulse.__exit__()
        try:
            if self._others is not None:
                self._end_others(error)
            elif self._from_outside and _lost(error):
                raise UserError(parted(error)) from error
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            self._take_back_threads()

    def _take_back_threads(self) -> None:
        """Lightning has shared them out among the processes, and noted that in the environment."""
        count, noted = self._threads
        torch.set_num_threads(count)
        if noted is None:
            os.environ.pop("OMP_NUM_THREADS", None)

    def _end_others(self, error: BaseException | None) -> None:
        lost = _lost(error)
        words = self._failure(_PATIENCE_SECONDS) if error is None or lost else None
        for process in self._others.processes:
            process.kill()
            process.join()
        if words and lost:
            raise UserError(words) from error

    def _failure(self, patience: float) -> str | None:
        """Wait for the other processes to end; in words, how the first that failed did."""
        limit = time.monotonic() + patience
        try:
            while not self._others.join(timeout=max(0.0, limit - time.monotonic()), grace_period=1.0):
                if time.monotonic() >= limit:
                    return None
        except ProcessRaisedException as raised:
            found = str(raised).strip().rpartition(f"{UserError.__module__}.{UserError.__name__}: ")
            return f"process {raised.error_index + 1} of the training failed: {found[2]}"
        except ProcessExitedException as ended:
            how = ended.signal_name or f"exit code {ended.exit_code}"
            return (
                f"process {ended.error_index + 1} of the training was ended ({how}; for want of memory, perhaps): the "
                "same command goes on from the last checkpoint"
            )
        return None

    def _watch(self) -> None:
        """End this process, too, if another has ended and what waits for it never notices (NCCL; the first meeting)."""
        # All end within moments. Only the sentinels are looked at: a process is waited for by one thread.
        multiprocessing.connection.wait([process.sentinel for process in self._others.processes])
        if not self._over.wait(_PATIENCE_SECONDS):
            end_here(self._failure(1.0))


def _lost(error: BaseException | None) -> bool:
    """Does it say that another process is out of reach?"""
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _LOST)


def largest(trainer: L.Trainer, value: float) -> float:
    """The largest of the processes' values, on each of them: what they decide by together."""
    if trainer.world_size == 1:
        return value
    strategy = trainer.strategy
    return float(strategy.reduce(torch.tensor(float(value), device=strategy.root_device), reduce_op="max"))


def _device(config: DictConfig) -> torch.device:
    wanted, name = config.trainer.device, config.device.name
    if wanted is None:
        return compute.resolve(name)
    option = f"trainer={_OPTIONS.get(wanted, wanted)}"
    if name not in (wanted, "auto"):
        raise UserError(f"{option} trains on {wanted}, but device={name} says otherwise: leave one of the two out")
    try:
        return compute.resolve(wanted)
    except UserError as error:
        raise UserError(f"{option}: {str(error).partition(':')[0]}: use another trainer=, or none") from error


def _options(trainer: DictConfig, device: torch.device) -> dict:
    """Arguments of Lightning's Trainer, and of Fabric."""
    if trainer.strategy not in _STRATEGIES:
        raise UserError(f"trainer.strategy={trainer.strategy} must be one of {', '.join(_STRATEGIES)}")
    gpus = torch.cuda.device_count() if device.type == "cuda" else None
    if trainer.devices is None:
        trainer.devices = gpus or _PROCESSES_ON_CPU
    whole("trainer.devices", trainer.devices, 1)
    whole("trainer.num_nodes", trainer.num_nodes, 1)
    if gpus is not None and trainer.devices > gpus:
        raise UserError(f"trainer.devices={trainer.devices}, but PyTorch sees {gpus} of device=cuda on this machine")
    several = max(trainer.devices, trainer.num_nodes)
    if trainer.strategy == "auto" and several > 1:
        key = "devices" if trainer.devices > 1 else "num_nodes"
        raise UserError(f"trainer.{key}={several} wants several processes: add trainer=ddp")
    if trainer.strategy == DDP and device.type == "mps":
        raise UserError("trainer=ddp wants device=cuda or device=cpu: PyTorch knows no collectives on MPS")
    return {
        "accelerator": "gpu" if device.type == "cuda" else device.type,
        "devices": trainer.devices,
        "num_nodes": trainer.num_nodes,
        "strategy": trainer.strategy,
    }


def _started_from_outside(options: dict) -> bool:
    return Fabric(**options).strategy.cluster_environment.creates_processes_externally
