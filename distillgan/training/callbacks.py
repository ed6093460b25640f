"""Callbacks of both trainings: the budget, the NaN stop, the progress bar."""

import math
import time
from datetime import timedelta

import lightning as L
import torch
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from distillgan.checks import duration
from distillgan.errors import UserError
from distillgan.training.accumulation import stepped
from distillgan.training.team import largest


class Budget(L.Callback):
    """Ends a stage at the module's `max_steps` or after `max_time`, and keeps count of its seconds over resumes."""

    def __init__(self, max_time: timedelta | None):
        self.max_seconds = math.inf if max_time is None else max_time.total_seconds()
        self._before = 0.0
        self._started: float | None = None
        self._resumed_at = (0.0, 0.0)  # seconds, share

    @property
    def seconds(self) -> float:
        """Time trained so far, earlier runs included."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def spent(self, module: L.LightningModule) -> bool:
        return module.steps_done >= module.max_steps or self.seconds >= self.max_seconds

    def share(self, module: L.LightningModule) -> float:
        """How much of the budget is used up, 0…1, by whichever limit is nearer."""
        return min(1.0, max(module.steps_done / module.max_steps, self.seconds / self.max_seconds))

    def seconds_left(self, module: L.LightningModule) -> float | None:
        """Time to the end at the speed since this run began or went on; None before its first step."""
        seconds, share = self._resumed_at
        done = self.share(module) - share
        return (self.seconds - seconds) * (1 - self.share(module)) / done if done > 0 else None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._started = time.monotonic()
        self._resumed_at = (self.seconds, self.share(module))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if largest(trainer, self.spent(module)) and stepped(trainer, module):  # clocks differ
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._before, self._started = self.seconds, None

    def state_dict(self) -> dict:
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict) -> None:
        self._before = state["seconds"]


class Patience(L.Callback):
    """Ends a stage whose held-out error has not got better for `time` (DD:HH:MM:SS) of training; None: never.

    `budget` and `monitor` are set by the stage.
    """

    def __init__(self, time: str | None):
        limit = duration("callbacks.patience.time", time)
        self.limit = math.inf if limit is None else limit.total_seconds()
        self.budget: Budget
        self.monitor: str
        self._best = math.inf
        self._best_at = 0.0

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        error = float(trainer.callback_metrics[self.monitor])
        early = module.steps_done < module.judged_from  # its error says little
        if early or error < self._best:
            self._best, self._best_at = math.inf if early else error, self.budget.seconds
            return
        over = trainer.state.fn == "fit" and self.budget.seconds - self._best_at >= self.limit
        if largest(trainer, over):  # clocks differ
            trainer.should_stop = True
            if trainer.is_global_zero:
                print(f"no better than {self._best:.3f} for {self.limit:.0f} s: stopped", flush=True)

    def state_dict(self) -> dict:
        return {"best": self._best, "best_at": self._best_at}

    def load_state_dict(self, state: dict) -> None:
        self._best, self._best_at = state["best"], state["best_at"]


class StopOnNaN(L.Callback):
    """Ends the training at the first loss or weight that is no finite number, before a checkpoint takes it in."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        sizes = torch._foreach_norm([outputs["loss"], *(p.detach() for p in module.parameters())])
        broken = not bool(torch.isfinite(torch.stack(sizes)).all())
        if largest(trainer, broken):
            raise UserError(
                f"the loss or the weights became NaN or infinite at step {module.steps_done}. The last checkpoint and "
                "the model are kept as they were before. Run the same command again with a lower learning rate (half "
                "of it), or with trainer.precision=32-true if it was lower"
            )


class Progress(L.Callback):
    """A bar with step, losses, steps a second and time left; a plain line every half minute where there is no terminal.

    `budget` and `title` are set by the stage.
    """

    _PLAIN_SECONDS = 30.0

    def __init__(self):
        self.budget: Budget
        self.title = ""
        self._bar: RichProgress | None = None
        self._console = Console()

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._first_step, self._first_time = module.steps_done, time.monotonic()
        self._last_line = self._first_time
        if self._console.is_terminal and trainer.is_global_zero:
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[text]}"),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(self.title, total=1.0, completed=self.budget.share(module), text="")
            self._bar.start()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self.budget.share(module), text=self._text(trainer, module))
        elif trainer.is_global_zero and time.monotonic() - self._last_line >= self._PLAIN_SECONDS:
            self._last_line = time.monotonic()
            print(f"{self.title}: {self._text(trainer, module)}", flush=True)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif trainer.is_global_zero:
            print(f"{self.title}: {self._text(trainer, module)}", flush=True)

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _text(self, trainer: L.Trainer, module: L.LightningModule) -> str:
        passed = max(1e-6, time.monotonic() - self._first_time)
        seconds = self.budget.seconds_left(module)
        left = "?" if seconds is None else timedelta(seconds=round(seconds))
        shown = {key.rpartition("/")[2]: float(value) for key, value in trainer.progress_bar_metrics.items()}
        values = "  ".join(f"{key} {value:.3g}" for key, value in shown.items() if key != "v_num")
        speed = (module.steps_done - self._first_step) / passed
        return f"step {module.steps_done}  {values}  {speed:.2f} steps/s  {left} left"
