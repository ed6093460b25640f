"""Ctrl-C, SIGTERM and SIGHUP: a training stops at the end of its step, keeps what it has, and leaves with 130, 143 or
129."""

import signal
from types import FrameType

import lightning as L

from distillgan.signals import ENDING, SIGHUP, ignored
from distillgan.training.accumulation import stepped
from distillgan.training.team import largest


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
