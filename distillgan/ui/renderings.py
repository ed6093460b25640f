"""What visitors ask to be rendered: on each device one sound after the other, in the order in which they asked."""

import io
import itertools
import queue
import threading
import time
import traceback
from dataclasses import dataclass, field

from rich.console import Console

from distillgan import compute
from distillgan.compute import limited
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.progress import Cancelled, Transfer
from distillgan.synthesis.generation import RenderResult, generate
from distillgan.synthesis.request import RenderRequest

WAITING, RENDERING, DONE, CANCELLED, FAILED = "waiting", "rendering", "done", "cancelled", "failed"
_KEPT = 200  # finished jobs that are remembered
_PATIENCE_SECONDS = 30.0  # at the end, for the block that is being rendered


@dataclass(frozen=True)
class Standing:
    """How far a job is.

    ahead: jobs of the same device that come before it; share: of all its sound, 0…1, which never goes back;
    seconds_left: None until there is a speed to tell it from; transfer: of weights that are being fetched; made: what
    is finished, the beginning of what was cancelled too; said: what `generate` printed; error: why it failed.
    """

    state: str
    ahead: int
    share: float
    seconds_left: float | None
    transfer: Transfer | None
    made: tuple[RenderResult, ...]
    said: str
    error: str

    @property
    def over(self) -> bool:
        return self.state in (DONE, CANCELLED, FAILED)


@dataclass
class _Job:
    """One call of `generate`. Its worker writes; whoever asks reads what is there by then."""

    number: int
    owner: str
    request: RenderRequest
    device: str
    state: str = WAITING
    share: float = 0.0
    transfer: Transfer | None = None
    made: tuple[RenderResult, ...] = ()
    said: io.StringIO = field(default_factory=io.StringIO)
    error: str = ""
    cancelled: bool = False
    _begun: tuple[float, float] | None = None  # when there was a first share, and what

    def progress(self, done: int, total: int) -> None:
        """Raises KeyboardInterrupt if the job is cancelled: what is rendered so far becomes a file."""
        self.transfer = None
        self.share = max(self.share, (len(self.made) + done / max(total, 1)) / self.request.count)
        if self._begun is None:
            self._begun = time.monotonic(), self.share
        if self.cancelled:
            raise KeyboardInterrupt

    def fetching(self, transfer: Transfer) -> None:
        """Raises Cancelled if the job is."""
        self.transfer = transfer
        if self.cancelled:
            raise Cancelled("the download was cancelled; nothing half is kept")

    def finished(self, made: RenderResult) -> None:
        self.made = (*self.made, made)

    @property
    def over(self) -> bool:
        return self.state in (DONE, CANCELLED, FAILED)

    @property
    def seconds_left(self) -> float | None:
        if self._begun is None or self.over:
            return None
        begun, first = self._begun
        speed = (self.share - first) / max(time.monotonic() - begun, 1e-9)
        return (1 - self.share) / speed if speed > 0 else None


class Renderings:
    """The jobs of all visitors. A job is known by its number, and to its owner alone.

    May be used from any thread.
    """

    def __init__(self, home: Home, threads: int | None = None):
        """threads: blocks of a sound that are computed at once."""
        self.home, self._threads = home, threads
        self._lock, self._numbers = threading.Lock(), itertools.count(1)
        self._jobs: dict[int, _Job] = {}
        self._queues: dict[str, queue.SimpleQueue[_Job | None]] = {}
        self._workers: list[threading.Thread] = []
        self._closed = False

    def submit(self, request: RenderRequest, owner: str) -> int:
        """Wait in the queue of the request's device, then `generate` → the job's number.

        Raises:
            UserError: this machine has no such device, or the page is being closed.
        """
        device = compute.resolve(request.device).type
        with self._lock:
            if self._closed:
                raise UserError("the page is being closed: nothing new is rendered")
            job = _Job(next(self._numbers), owner, request, device)
            over = [number for number, other in self._jobs.items() if other.over]
            for number in over[: max(0, len(over) - _KEPT)]:
                del self._jobs[number]
            self._jobs[job.number] = job
            if device not in self._queues:
                self._queues[device] = queue.SimpleQueue()
                worker = threading.Thread(target=self._work, args=(self._queues[device],), daemon=True)
                self._workers.append(worker)
                worker.start()
            self._queues[device].put(job)
        return job.number

    def standing(self, number: int, owner: str) -> Standing | None:
        """None if the owner has no such job."""
        with self._lock:
            job = self._jobs.get(number)
            if job is None or job.owner != owner:
                return None
            before = [other for other in self._jobs.values() if other.number < number and other.device == job.device]
            ahead = 0 if job.state != WAITING else sum(not other.over for other in before)
            return Standing(
                job.state,
                ahead,
                job.share,
                job.seconds_left,
                job.transfer,
                job.made,
                job.said.getvalue(),
                job.error,
            )

    def latest(self, owner: str) -> int | None:
        """The number of the owner's last job, so that it is found again when his page is loaded anew."""
        with self._lock:
            return max((job.number for job in self._jobs.values() if job.owner == owner), default=None)

    def cancel(self, number: int, owner: str) -> bool:
        """End a job at its next block, or before it begins; whether the owner has one that can be ended."""
        with self._lock:
            job = self._jobs.get(number)
            if job is None or job.owner != owner or job.over:
                return False
            self._end(job)
            return True

    def close(self) -> None:
        """End all jobs, and wait for the blocks that are being rendered; what was rendered by then becomes files."""
        with self._lock:
            for job in self._jobs.values():
                self._end(job)
            self._closed = True
        for waiting in self._queues.values():
            waiting.put(None)
        for worker in self._workers:
            worker.join(_PATIENCE_SECONDS)

    @staticmethod
    def _end(job: _Job) -> None:
        job.cancelled = True
        if job.state == WAITING:
            job.state = CANCELLED

    def _work(self, waiting: "queue.SimpleQueue[_Job | None]") -> None:
        while (job := waiting.get()) is not None:
            with self._lock:
                if job.state != WAITING:
                    continue
                job.state = RENDERING
            with limited(self._threads):
                state, error = _rendered(job)
            with self._lock:
                job.state, job.error, job.transfer = state, error, None


def _rendered(job: _Job) -> tuple[str, str]:
    """How it ended, and why if it failed. Nothing that goes wrong in one job keeps the next from its turn."""
    try:
        console = Console(file=job.said, soft_wrap=True, highlight=False)
        generate(job.request, console, job.progress, job.fetching, job.finished)
    except (KeyboardInterrupt, Cancelled):
        return CANCELLED, ""
    except UserError as error:
        return FAILED, str(error)
    except OSError as error:
        return FAILED, f"{error.filename or 'a file'}: {error.strerror or error}"
    except Exception as error:
        traceback.print_exc()
        return FAILED, f"something went wrong that should not ({type(error).__name__}: {error})"
    return DONE, ""
