"""One training on several processes (`trainer=ddp`): started here by torch elastic, or by torchrun on each machine.

What is not the training itself (recordings, packing, the analysis) is done by the first process while the others wait.
A process that dies ends the others: on one machine torch elastic sees it, between machines the broken connection.
"""

import logging
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import lightning as L
import torch
from omegaconf import DictConfig
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from distillgan import compute
from distillgan.errors import UserError, whole

# What they say of a process that ended is said in words below.
for _name in ("torch.distributed.elastic", "torch.multiprocessing"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

DDP = "ddp"
_STRATEGIES = ("auto", DDP)
_OPTIONS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}  # device → trainer=
_PROCESSES_ON_CPU = 2
_STEP_LIMIT = timedelta(minutes=10)  # of a step: a machine without power says no goodbye
_WAITING_LIMIT = timedelta(days=7)  # for what the first process does alone
_GO_ON = "The same command goes on from the last checkpoint"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """The processes of a training: `devices` on each of `nodes` machines; `device` is that of this process."""

    device: torch.device
    devices: int
    nodes: int
    ddp: bool

    @classmethod
    def from_config(cls, config: DictConfig) -> "Processes":
        """Those that `device` and the group `trainer` ask for.

        Raises:
            UserError: the device is not there, the trainer's values do not fit it, or torchrun started other ones.
        """
        device = _device(config.trainer.device, config.device.name)
        trainer, ddp = config.trainer, config.trainer.strategy == DDP
        if trainer.strategy not in _STRATEGIES:
            raise UserError(f"trainer.strategy={trainer.strategy} must be one of {', '.join(_STRATEGIES)}")
        gpus = torch.cuda.device_count() if device.type == "cuda" else None
        devices = (
            (gpus or _PROCESSES_ON_CPU) if trainer.devices is None else whole("trainer.devices", trainer.devices, 1)
        )
        nodes = whole("trainer.num_nodes", trainer.num_nodes, 1)
        if gpus is not None and devices > gpus:
            raise UserError(f"trainer.devices={devices}, but PyTorch sees {gpus} of device=cuda on this machine")
        if not ddp and max(devices, nodes) > 1:
            key, value = ("devices", devices) if devices > 1 else ("num_nodes", nodes)
            raise UserError(f"trainer.{key}={value} wants several processes: add trainer=ddp")
        if ddp and device.type == "mps":
            raise UserError("trainer=ddp wants device=cuda or device=cpu: PyTorch knows no collectives on MPS")
        if not launched() and nodes > 1:
            raise UserError(f"trainer.num_nodes={nodes}: start this command on each machine with torchrun")
        if launched():
            there = int(os.environ["WORLD_SIZE"])
            if not ddp or there != devices * nodes:
                raise UserError(
                    f"torchrun started {there} processes, the trainer is for {devices * nodes}: add trainer=ddp, "
                    "trainer.devices (processes on each machine) and trainer.num_nodes (machines) as torchrun has them"
                )
            if device.type == "cuda":
                device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        return cls(device, devices, nodes, ddp)

    @property
    def to_launch(self) -> bool:
        """Whether this process is to start the ones that train."""
        return self.ddp and not launched()

    def __str__(self) -> str:
        return f"{self.devices * self.nodes} × {self.device.type}" if self.ddp else self.device.type

    def trainer_options(self, module: L.LightningModule) -> dict:
        """Arguments of Lightning's Trainer for a module."""
        strategy = DDP if self.ddp else "auto"
        if self.ddp and not module.automatic_optimization:
            # With an optimizer for each network, one of them rests in each backward pass.
            strategy = "ddp_find_unused_parameters_true"
        accelerator = "gpu" if self.device.type == "cuda" else self.device.type
        return {"accelerator": accelerator, "devices": self.devices, "num_nodes": self.nodes, "strategy": strategy}


def _device(wanted: str | None, name: str) -> torch.device:
    if wanted is None:
        return compute.resolve(name)
    option = f"trainer={_OPTIONS.get(wanted, wanted)}"
    if name not in (wanted, "auto"):
        raise UserError(f"{option} trains on {wanted}, but device={name} says otherwise: leave one of the two out")
    try:
        return compute.resolve(wanted)
    except UserError as error:
        raise UserError(f"{option}: {str(error).partition(':')[0]}: use another trainer=, or none") from error


def launched() -> bool:
    """Whether torchrun, or `launch`, started this process."""
    return distributed.is_torchelastic_launched()


def is_first() -> bool:
    """Whether this is the process that writes, prints and decides."""
    return not launched() or os.environ["RANK"] == "0"


def launch(work: Callable[..., Result], processes: Processes, threads: int | None, *arguments: object) -> Result:
    """`work(*arguments)` in each of the processes, which are started for it, on this machine; the first one's result.

    work: a function of a module, for it is pickled. threads: of each process; None shares the cores out.

    Raises:
        UserError: a process ended otherwise than by returning; in its own words where it has any.
        torch.distributed.elastic's SignalException: a signal came; each process was given it, and 30 s to end.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes.devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        start_method="spawn",
    )
    with tempfile.TemporaryDirectory() as logs, compute.computing(threads or _share(processes.devices)):
        config.logs_specs = DefaultLogsSpecs(log_dir=logs)
        try:
            return elastic_launch(config, work)(*arguments)[0]
        except ChildFailedError as failed:
            raise UserError(_in_words(*failed.get_first_failure())) from failed


def _share(processes: int) -> int:
    return max(1, torch.get_num_threads() // processes)


def _in_words(rank: int, failure) -> str:
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        return f"process {rank} of the training was ended ({name}; for want of memory, perhaps). {_GO_ON}"
    said = failure.message
    kind, _, words = (said["message"] if isinstance(said, dict) else said).partition(": ")
    if kind == UserError.__name__:
        return words
    trace = said["extraInfo"]["py_callstack"] if isinstance(said, dict) else said
    return f"process {rank} of the training failed:\n{trace}"


@contextmanager
def process_group(processes: Processes) -> Iterator[None]:
    """Within the block the processes that were launched can meet; a single one has nobody to meet."""
    if not launched():
        yield
        return
    on_gpu = processes.device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(processes.device)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_STEP_LIMIT)
    try:
        yield
    except RuntimeError as error:
        error.add_note(f"If another process of the training ended before, see what it said itself. {_GO_ON}.")
        raise
    finally:
        distributed.destroy_process_group()


def on_first(act: Callable[[], Result]) -> Result:
    """`act()` on the first process while the others wait; its result, or UserError or OSError, is everyone's."""
    if not launched():
        return act()
    result: list = [None, None]
    # With the patience for minutes of work; made while all are here.
    group = distributed.new_group(backend="gloo", timeout=_WAITING_LIMIT)
    if is_first():
        try:
            result[0] = act()
        except (UserError, OSError) as error:
            result[1] = error
    distributed.broadcast_object_list(result, group=group, device=torch.device("cpu"))
    distributed.destroy_process_group(group)
    if result[1] is not None:
        raise result[1]
    return result[0]


def check_shared(processes: Processes, folder: Path) -> None:
    """Raises UserError unless every machine sees the same `folder`."""
    if processes.nodes == 1:
        return

    def mark() -> str:
        with tempfile.NamedTemporaryFile(prefix=".shared-", dir=folder, delete=False) as file:
            return Path(file.name).name

    name, seen = on_first(mark), [False] * distributed.get_world_size()
    distributed.all_gather_object(seen, (folder / name).exists())
    if is_first():
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    if not all(seen):
        raise UserError(
            f"{folder} is not one folder for all the machines that train together: give each the same paths.home, on "
            "a disk that all of them see"
        )


def largest(trainer: L.Trainer, value: float) -> float:
    """The largest of the processes' values, on each of them: what they decide by together."""
    if trainer.world_size == 1:
        return value
    strategy = trainer.strategy
    return float(strategy.reduce(torch.tensor(float(value), device=strategy.root_device), reduce_op="max"))
