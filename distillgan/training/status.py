"""What others may know of a stage while it trains: two small files beside its checkpoints.

status.json    where it stands: stage, step, steps, share, seconds, seconds_left, losses, held-out errors, ended
curves.jsonl   a line for every few steps, {"step": …, "train/loss": …}, and one for every judgement, {"val/…": …}
"""

import json
import math
import time
from pathlib import Path

import lightning as L

from distillgan.atomic import replace_file
from distillgan.checks import whole
from distillgan.training.callbacks import Budget

STATUS, CURVES = "status.json", "curves.jsonl"


class Status(L.Callback):
    """Writes both, at most once a second and for no more than 0.5 % of the time, and when the stage ends.

    `every`: steps between two lines of losses. A resumed run goes on in its curves from the step that it resumes at.
    `budget`, `folder` and `monitor` (the held-out error) are set by the stage.
    """

    _SECONDS = 1.0
    _SHARE = 0.005

    def __init__(self, every: int):
        self.every = whole("callbacks.status.every", every, 1)
        self.budget: Budget
        self.folder: Path
        self.monitor: str
        self._next = 0.0
        self._judged_at = -1

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        if trainer.is_global_zero:
            self._forget_after(module.steps_done)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self._write(trainer, module, ended=False)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if not trainer.is_global_zero:
            return
        if module.steps_done % self.every == 0:
            self._append(trainer, module, "train/")
        if time.monotonic() >= self._next:
            self._write(trainer, module, ended=False)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero and module.steps_done != self._judged_at:
            self._judged_at = module.steps_done
            self._append(trainer, module, "val/")

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self._write(trainer, module, ended=True)

    def _write(self, trainer: L.Trainer, module: L.LightningModule, ended: bool) -> None:
        begun = time.monotonic()
        values = {
            "stage": self.folder.name,
            "step": module.steps_done,
            "steps": module.max_steps,
            "share": self.budget.share(module),
            "seconds": self.budget.seconds,
            "seconds_left": self.budget.seconds_left(module),
            "losses": _metrics(trainer, "train/"),
            "judged": _metrics(trainer, "val/"),
            "monitor": self.monitor,
            "ended": ended,
        }
        with replace_file(self.folder / STATUS) as temporary:
            temporary.write_text(json.dumps(values, indent=1))
        now = time.monotonic()
        self._next = now + max(self._SECONDS, (now - begun) / self._SHARE)

    def _append(self, trainer: L.Trainer, module: L.LightningModule, kind: str) -> None:
        values = {"step": module.steps_done, **_metrics(trainer, kind)}
        with (self.folder / CURVES).open("a") as file:
            file.write(json.dumps(values) + "\n")

    def _forget_after(self, step: int) -> None:
        """Leave out what was noted after the checkpoint that training goes on from, and what a killed one left half."""
        path = self.folder / CURVES
        if not path.exists():
            return
        kept = []
        for line in path.read_text().splitlines():
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if values["step"] <= step:
                kept.append(line)
                self._judged_at = step if any(key.startswith("val/") for key in values) else self._judged_at
        with replace_file(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))


def _metrics(trainer: L.Trainer, kind: str) -> dict[str, float | None]:
    """Lightning's latest values of that kind; None for what is no number."""
    values = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith(kind)}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
