"""Lightning callbacks of both trainings: signals, time limits, NaN, progress, checkpoints, previews."""

import json
import math
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from types import FrameType

import lightning as L
import numpy as np
import soundfile as sf
import torch
from lightning.pytorch.callbacks import Checkpoint
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from distillgan.atomic import replace_file
from distillgan.audio.mel import log1p_to_log_clamp
from distillgan.audio.picture import draw_mels, save_picture
from distillgan.errors import UserError, duration, whole
from distillgan.process import ENDING, SIGHUP, ignored
from distillgan.training.distributed import largest
from distillgan.training.run_status import CURVES, StageStatus


def check(config: DictConfig, vocoder: bool) -> None:
    """Raises UserError unless what is counted in batches comes out even; `vocoder`: whether one is trained, too."""
    key = "trainer.accumulate_grad_batches"
    count = whole(key, config.trainer.accumulate_grad_batches, 1)
    if count > 1 and vocoder:
        raise UserError(
            f"{key}={count} is for the VAE: the vocoder's two networks step at every batch. Train the VAE with it and "
            "stages=[vae], then the vocoder without; vocoder.data.batch_size is how much it hears in a step"
        )
    for counted, value in (
        ("data.epoch_steps", config.data.epoch_steps),
        ("trainer.validate_every", config.trainer.validate_every),
    ):
        if whole(counted, value, 1) % count:
            raise UserError(f"{counted}={value} must be a multiple of {key}={count}: no batch is left over")


def stepped(trainer: L.Trainer, module: L.LightningModule) -> bool:
    """Has the optimizer stepped since the last batch? What is stopped or kept in between would lose gradients."""
    return module.steps_done % trainer.accumulate_grad_batches == 0


class Interrupted(BaseException):
    """A signal came while nothing was being trained. Like KeyboardInterrupt no error, which a library might swallow."""

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class InterruptGuard(L.Callback):
    """As a context manager it owns the three; as a callback it ends the training at the next step.

    The first signal during training only asks for the end. A second one, or one outside training, raises `Interrupted`.
    `signum` is the signal that came, or None. Of several processes that train together one that is signalled is enough:
    they agree after each step, so that all end at the same.
    """

    def __init__(self):
        self.signum: int | None = None
        self._training = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "InterruptGuard":
        self._install(self._previous)
        return self

    def __exit__(self, *_) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    @property
    def exit_code(self) -> int:
        return 0 if self.signum is None else 128 + self.signum

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # Lightning has just put its own SIGTERM handler in place, which would raise in the middle of the loop.
        self._install({})
        self._training = True

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self._agree(trainer)
        if self.signum is not None and stepped(trainer, module):
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._training = False
        self._agree(trainer)

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._install({})  # as above; `trainer.validate` puts Lightning's there, too

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._training = False

    def _agree(self, trainer: L.Trainer) -> None:
        self.signum = int(largest(trainer, self.signum or 0)) or None

    def _install(self, previous: dict) -> None:
        for signum in ENDING:
            if signum != SIGHUP or not ignored(signum):  # nohup: the training is to outlive its terminal
                previous[signum] = signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self._training or self.signum is not None:
            self.signum = signum
            raise Interrupted(signum)
        self.signum = signum


class Timer(L.Callback):
    """Ends a stage at the module's `max_steps` or after `max_time`, and keeps count of its seconds over resumes."""

    state_key = "Budget"  # in checkpoints, since they began

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
        """How much of the timer is used up, 0…1, by whichever limit is nearer."""
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


class EarlyStopping(L.Callback):
    """Ends a stage whose held-out error has not got better for `time` (DD:HH:MM:SS) of training; None: never.

    `timer` and `monitor` are set by the stage.
    """

    state_key = "Patience"  # in checkpoints, since they began

    def __init__(self, time: str | None):
        limit = duration("callbacks.patience.time", time)
        self.limit = math.inf if limit is None else limit.total_seconds()
        self.timer: Timer
        self.monitor: str
        self._best = math.inf
        self._best_at = 0.0

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        error = float(trainer.callback_metrics[self.monitor])
        early = module.steps_done < module.judged_from  # its error says little
        if early or error < self._best:
            self._best, self._best_at = math.inf if early else error, self.timer.seconds
            return
        over = trainer.state.fn == "fit" and self.timer.seconds - self._best_at >= self.limit
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

    `timer` and `title` are set by the stage.
    """

    _PLAIN_SECONDS = 30.0

    def __init__(self):
        self.timer: Timer
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
            self._task = self._bar.add_task(self.title, total=1.0, completed=self.timer.share(module), text="")
            self._bar.start()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self.timer.share(module), text=self._text(trainer, module))
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
        seconds = self.timer.seconds_left(module)
        left = "?" if seconds is None else timedelta(seconds=round(seconds))
        shown = {key.rpartition("/")[2]: float(value) for key, value in trainer.progress_bar_metrics.items()}
        values = "  ".join(f"{key} {value:.3g}" for key, value in shown.items() if key != "v_num")
        speed = (module.steps_done - self._first_step) / passed
        return f"step {module.steps_done}  {values}  {speed:.2f} steps/s  {left} left"


LAST = "last.ckpt"
BEST = "best.ckpt"


class StepCheckpoint(Checkpoint):
    """Saves `last.ckpt` every `every` steps and at the end, `best.ckpt` after each validation that was the best yet.

    It counts the module's own `steps_done`; Lightning's `global_step` counts every optimizer step.
    `monitor` (lower is better) and `folder` are set by the stage. The best from before the module's `judged_from` is
    only kept until something later was judged: a network that is still silent scores well on quiet recordings.
    """

    def __init__(self, every: int):
        self.every = whole("callbacks.checkpoint.every", every, 1)
        self.folder: Path
        self.monitor: str
        self.best: float | None = None
        self._best_at = 0
        self._saved_at = 0

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        # The file itself says how good it is: so it and what is known of it can never part, whatever is killed when.
        best = self.folder / BEST
        if best.exists():
            checkpoint = load_checkpoint(best)
            self.best, self._best_at = checkpoint["best_error"], checkpoint["steps_done"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._saved_at = module.steps_done

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if module.steps_done - self._saved_at >= self.every and stepped(trainer, module):
            self._save(trainer, module, LAST)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        value = float(trainer.callback_metrics[self.monitor])
        too_early = self._best_at < module.judged_from <= module.steps_done
        if self.best is None or value < self.best or too_early:
            self.best, self._best_at = value, module.steps_done
            self._save(trainer, module, BEST)

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict) -> None:
        checkpoint["best_error"] = self.best

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._save(trainer, module, LAST)

    def _save(self, trainer: L.Trainer, module: L.LightningModule, name: str) -> None:
        if name == LAST:
            self._saved_at = module.steps_done
        target = self.folder / name
        if trainer.is_global_zero:
            with replace_file(target) as temporary:
                trainer.save_checkpoint(temporary)
        else:
            trainer.save_checkpoint(target)  # takes part in what the strategy gathers; only rank 0 writes
        trainer.strategy.barrier()  # whoever reads it next finds it in its place


def load_checkpoint(path: Path) -> dict:
    """The content of a checkpoint, on the CPU; runs no code.

    Raises:
        UserError: damaged or foreign; names the file and what to do.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises half a dozen types for one cause: the file is not a whole checkpoint
        raise UserError(
            f"{path} is not a readable checkpoint ({str(error).splitlines()[0][:120]}): "
            "delete it to go on from the other one, or begin anew with resume=never"
        ) from error


class Preview(L.Callback):
    """Every `every` steps, and at the end, runs `module.preview` on the first `clips` judged clips.

    `module.preview(wave [1, 1, N])` returns named log1p mels [n_mels, T], drawn side by side, and waves [1, 1, N],
    heard: `preview.png` and `preview_<clip>_<name>.wav` in `folder` are the latest.
    `folder` is set by the stage, and `vocoder` where the model has one already: then mels can be heard, too.
    """

    def __init__(self, every: int, clips: int):
        self.every = whole("callbacks.preview.every", every, 1)
        self.clips = whole("callbacks.preview.clips", clips, 1)
        self.folder: Path
        self.title = ""
        self.vocoder = None
        self._shown_at = -1

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if module.steps_done % self.every == 0:
            self._show(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if module.steps_done != self._shown_at:
            self._show(trainer, module)

    def _show(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self._shown_at = module.steps_done
        judged = trainer.datamodule.judged
        rows = []
        for number in range(min(self.clips, len(judged))):
            shown = module.preview(judged[number]["wave"][None].to(module.device))
            if self.vocoder is not None:
                mel = log1p_to_log_clamp(shown["reconstruction"], module.spec)
                shown["reconstruction_heard"] = self.vocoder.render(mel[None].cpu())
            rows.append({name: value.float().cpu() for name, value in shown.items()})
        mels = [{name: v for name, v in row.items() if v.dim() == 2} for row in rows]
        picture = draw_mels(mels, f"{self.title}, step {module.steps_done}", module.spec)
        save_picture(picture, self.folder / "preview.png")
        for number, row in enumerate(rows):
            for name, value in row.items():
                if value.dim() == 3:
                    with replace_file(self.folder / f"preview_{number}_{name}.wav") as temporary:
                        sf.write(temporary, value[0, 0].clamp(-1, 1).numpy(), module.spec.sample_rate, format="WAV")
        if trainer.logger is not None:
            board = trainer.logger.experiment
            ground = Image.new(
                "RGBA", picture.size, "white"
            )  # TensorBoard drops how transparent the letters' edges are
            seen = np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))
            board.add_image("preview/mels", seen, module.steps_done, dataformats="HWC")
            for number, row in enumerate(rows):
                for name, value in row.items():
                    if value.dim() == 3:
                        tag = f"preview/{number}_{name}"
                        board.add_audio(tag, value[0].clamp(-1, 1), module.steps_done, module.spec.sample_rate)


class Status(L.Callback):
    """Writes status and curves (`run_status`) at most once a second, in 0.5 % of the time at most, and at the end.

    `every`: steps between two lines of losses. A resumed run goes on in its curves from the step that it resumes at.
    `timer`, `folder` and `monitor` (the held-out error) are set by the stage.
    """

    _SECONDS = 1.0
    _SHARE = 0.005

    def __init__(self, every: int):
        self.every = whole("callbacks.status.every", every, 1)
        self.timer: Timer
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
        StageStatus(
            stage=self.folder.name,
            step=module.steps_done,
            steps=module.max_steps,
            share=self.timer.share(module),
            seconds=self.timer.seconds,
            seconds_left=self.timer.seconds_left(module),
            losses=_metrics(trainer, "train/"),
            judged=_metrics(trainer, "val/"),
            monitor=self.monitor,
            ended=ended,
            ended_at=time.time() if ended else None,
            state="running",
            pid=os.getpid(),
            folder=self.folder,
        ).write()
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
