"""The folder of a run, and the file that says what the run does.

The folder of one run: its configuration, its manifest, and a folder a stage with checkpoints and previews.

What others may know of a stage while it trains: two small files beside its checkpoints.

status.json    where it stands: stage, step, steps, share, seconds, seconds_left, losses, held-out errors, ended
curves.jsonl   a line for every few steps, {"step": …, "train/loss": …}, and one for every judgement, {"val/…": …}
"""

import json
import math
import time
from pathlib import Path

import lightning as L
from filelock import AcquireReturnProxy, FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.configuration import literals, plain
from distillgan.data.downmix import MIX
from distillgan.data.manifest import Manifest
from distillgan.errors import UserError, whole
from distillgan.paths import CONFIG, MANIFEST, Home, stage_folder
from distillgan.training.callbacks import Timer

SIGNATURE = "signature.json"
CHANNELS = "data.channels"


class Run:
    """`runs/<name>/` of a home, and the model file that comes of it."""

    def __init__(self, home: Home, name: str):
        self.name = name
        self.folder = home.run(name)
        self.model_path = home.model(name)
        self.home = home

    def lock(self) -> AcquireReturnProxy:
        """A context manager: the name is this process's until it ends, by `kill -9` too.

        Raises:
            UserError: another process is training this name.
        """
        self.home.runs.mkdir(parents=True, exist_ok=True)
        try:
            return FileLock(self.home.lock(self.name)).acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{self.name} is being trained by another process: wait for it, or choose another name="
            ) from None

    def stage(self, stage: str) -> Path:
        return stage_folder(self.folder, stage)

    def set_aside_stage(self, stage: str) -> Path | None:
        """Rename one stage's folder to `<stage>.old-N`, the first free N; the new one, or None if there was none."""
        folder, number = self.stage(stage), 1
        if not folder.exists():
            return None
        while (old := self.stage(f"{stage}.old-{number}")).exists():
            number += 1
        return folder.rename(old)

    def set_aside(self) -> str | None:
        """Rename the run and its model to `<name>.old-N`, the first free N; that name, or None if there was neither."""
        if not self.folder.exists() and not self.model_path.exists():
            return None
        old = self.free_name()
        if self.folder.exists():
            self.folder.rename(self.home.run(old))
        if self.model_path.exists():
            self.model_path.rename(self.home.model(old))
        return old

    def free_name(self) -> str:
        """`<name>.old-N`, the first N that no run and no model has."""
        number = 1
        while (
            self.home.run(f"{self.name}.old-{number}").exists() or self.home.model(f"{self.name}.old-{number}").exists()
        ):
            number += 1
        return f"{self.name}.old-{number}"

    def begin(self, stage: str, weights: dict, config: DictConfig, manifest: Manifest, spec: MelSpec) -> None:
        """Note configuration and manifest, and what the stage's weights depend on: `weights`, mel, corpus and seed.

        Call it when the stage's parts are built, so that a value they refuse is not noted.

        Raises:
            UserError: the stage was begun with something else, so that its checkpoints cannot be gone on from; lists
                each difference. Or the disk refuses.
        """
        self._check_signature(
            stage,
            weights
            | {"mel": spec.to_dict(), "corpus": manifest.fingerprint, "seed": config.seed}
            | {CHANNELS: str(config.data.channels)},
        )
        with replace_file(self.folder / CONFIG) as temporary:
            temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(literals(plain(config)))), encoding="utf-8")
        manifest.save(self.folder / MANIFEST)

    def _check_signature(self, stage: str, signature: dict) -> None:
        path = self.stage(stage) / SIGNATURE
        if path.exists():
            try:
                # Before there was a choice, all channels were mixed.
                noted = {CHANNELS: MIX, **_flat(json.loads(path.read_text()))}
            except ValueError as error:
                raise UserError(f"{path} is damaged ({error}): begin anew with resume=never") from error
            asked = _flat(json.loads(json.dumps(signature)))
            differing = [
                f"  {key}: {noted.get(key, 'absent')} in the run, {asked.get(key, 'absent')} now"
                for key in sorted(noted.keys() | asked.keys())
                if noted.get(key) != asked.get(key)
            ]
            if differing:
                raise UserError(
                    f"run {self.name} ({self.folder}) cannot go on, it was begun with other values:\n"
                    + "\n".join(differing)
                    + f"\nChoose another name=, or resume=never to begin anew (the old one stays as {self.name}.old-N)"
                )
            return
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(signature, indent=1))


def _flat(values: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in values.items():
        if key == "_target_":  # the place of a class in the code may change; which kind it is, the stage's name says
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


STATUS, CURVES = "status.json", "curves.jsonl"


class Status(L.Callback):
    """Writes both, at most once a second and for no more than 0.5 % of the time, and when the stage ends.

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
        values = {
            "stage": self.folder.name,
            "step": module.steps_done,
            "steps": module.max_steps,
            "share": self.timer.share(module),
            "seconds": self.timer.seconds,
            "seconds_left": self.timer.seconds_left(module),
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
