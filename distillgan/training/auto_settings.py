"""Settings that follow from the corpus and the device where the configuration says null; the settings kept of a run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from distillgan.atomic import replace_file
from distillgan.errors import UserError, duration, whole
from distillgan.training import callbacks

_CPU_STEPS = ((2, 2000), (10, 4000), (60, 8000), (float("inf"), 16000))  # (minutes up to, VAE steps)
_PRECISIONS = ("32-true", "bf16-mixed")
_MAY_BE_ZERO = {"data.num_workers", "vocoder.data.num_workers", "vocoder.adversarial_from_step"}


@dataclass(frozen=True)
class AutoSetting:
    """A value that nobody gave, chosen for a training or a sweep, and why."""

    key: str
    value: object
    why: str

    def __str__(self) -> str:
        return f"{self.key}={self.value} ({self.why})"


def auto_settings(config: DictConfig, minutes: float, device: str) -> list[AutoSetting]:
    """A value for each setting of a training that is null in `config`.

    minutes: of the training files. device: a type of `torch.device`.
    """
    on_gpu = device != "cpu"
    steps = next(steps for limit, steps in _CPU_STEPS if minutes <= limit)
    settings = [
        AutoSetting("model.max_steps", steps * (5 if on_gpu else 1), f"{minutes:.1f} minutes to train on, {device}"),
        AutoSetting("data.batch_size", 32 if on_gpu else 16, device),
        AutoSetting("data.num_workers", 4 if on_gpu else 0, device),
    ]
    if "module" in config.vocoder:
        settings += [
            AutoSetting("vocoder.max_steps", 100_000 if on_gpu else 2000, device),
            AutoSetting("vocoder.adversarial_from_step", 5000 if on_gpu else 1000, device),
            AutoSetting("vocoder.data.num_workers", 4 if on_gpu else 0, device),
        ]
    return [setting for setting in settings if OmegaConf.select(config, setting.key) is None]


def check_settings(config: DictConfig) -> None:
    """Raises UserError if a value of a training's configuration is out of range; no null of `auto_settings` is left."""
    keys = ["model.max_steps", "data.batch_size", "data.num_workers", "trainer.validate_every", "trainer.log_every"]
    if "module" in config.vocoder:
        keys += ["vocoder.max_steps", "vocoder.adversarial_from_step", "vocoder.data.num_workers"]
        item = config.vocoder.data.segment_frames * config.mel.hop_length
        whole("vocoder.module.segment_size", config.vocoder.module.segment_size, 1, item)
    for key in keys:
        whole(key, OmegaConf.select(config, key), 0 if key in _MAY_BE_ZERO else 1)
    callbacks.check(config, "module" in config.vocoder and (config.stages is None or "vocoder" in config.stages))
    duration("trainer.max_time", config.trainer.max_time)
    if config.trainer.precision not in _PRECISIONS:
        raise UserError(f"trainer.precision={config.trainer.precision} must be {' or '.join(_PRECISIONS)}")


SETTINGS = "settings.json"
_VAE = (
    "seed",
    "data.batch_size",
    "data.segment_frames",
    "data.augment.shift_probability",
    "data.augment.noise_probability",
    "model.latent_dim",
    "model.max_steps",
    "model.module.lr",
    "model.module.weight_decay",
    "model.module.ema_decay",
    "model.module.kl.weight",
    "model.module.kl.free_bits",
    "model.module.network.channels",
    "model.module.network.blocks",
    "model.module.network.fine_channels",
    "model.module.network.stride",
    "trainer.max_time",
    "trainer.devices",
    "trainer.precision",
)
_VOCODER = (
    "vocoder.name",
    "vocoder.max_steps",
    "vocoder.init",
    "vocoder.own_mels",
    "vocoder.adversarial_from_step",
    "vocoder.channels",
    "vocoder.discriminators.width",
    "vocoder.data.batch_size",
    "vocoder.module.segment_size",
    "vocoder.module.learning_rate",
)
# Said on the command line, but no trait of what was trained; `vocoder` is vocoder.name.
_NO_TRAITS = {"name", "data", "data.dir", "device", "paths.home", "stages", "resume", "licence", "note", "vocoder"}

Value = str | float | bool


def note_settings(stage: Path, config: DictConfig, overrides: Sequence[str]) -> None:
    """Write a stage's settings that tell it from others, and what the command said, beside its checkpoints.

    {key: value}; a resumed stage has its latest.
    """
    with replace_file(stage / SETTINGS) as temporary:
        temporary.write_text(json.dumps(_settings(config, overrides, stage.name != "vae"), indent=1))


def noted_settings(stage: Path) -> dict[str, Value]:
    """What `note_settings` wrote; {} if there is no such note. Raises UserError if it is damaged."""
    path = stage / SETTINGS
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): delete it, it only feeds TensorBoard's table") from error


def _settings(config: DictConfig, overrides: Sequence[str], of_vocoder: bool) -> dict[str, Value]:
    """Settings of the vocoder's stage, or of the VAE's, flat."""
    found = {key: OmegaConf.select(config, key) for key in (_VOCODER if of_vocoder else _VAE)}
    for override in overrides:
        key, _, words = override.lstrip("+").partition("=")
        if words and key not in _NO_TRAITS and (key.partition(".")[0] == "vocoder") == of_vocoder:
            value = OmegaConf.select(config, key)
            found[key] = words if OmegaConf.is_dict(value) or value is None else value
    return {key: _shown(value) for key, value in found.items() if value is not None}


def _shown(value: object) -> Value:
    """What TensorBoard takes for a setting."""
    return value if isinstance(value, str | float | int) else str(value)
