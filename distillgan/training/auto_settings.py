"""Settings that are chosen where nothing is said, and the ones that a run was made with.

Values that follow from the size of the corpus and the device: filled in where the configuration says null.

Which settings of a run tell it from others: of some 120 those that matter, and whatever its command said.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from distillgan.atomic import replace_file
from distillgan.errors import UserError, whole
from distillgan.training import callbacks

_CPU_STEPS = ((2, 2000), (10, 4000), (60, 8000), (float("inf"), 16000))  # (minutes up to, VAE steps)


_PRECISIONS = ("32-true", "bf16-mixed")
_MAY_BE_ZERO = {"data.num_workers", "vocoder.data.num_workers", "vocoder.adversarial_from_step"}


@dataclass(frozen=True)
class Choice:
    key: str
    value: object
    why: str

    def __str__(self) -> str:
        return f"{self.key}={self.value} ({self.why})"


def fill_in(config: DictConfig, minutes: float, device: str) -> list[Choice]:
    """Set each value that is null in `config` and return what was chosen, with the reason in words.

    `minutes` is the length of the training files, `device` a type of `torch.device`.
    """
    on_gpu = device != "cpu"
    steps = next(steps for limit, steps in _CPU_STEPS if minutes <= limit)
    corpus = f"{minutes:.1f} minutes to train on"
    choices = [
        Choice("model.max_steps", steps * (5 if on_gpu else 1), f"{corpus}, {device}"),
        Choice("data.batch_size", 32 if on_gpu else 16, device),
        Choice("data.num_workers", 4 if on_gpu else 0, device),
    ]
    if "module" in config.vocoder:
        choices += [
            Choice("vocoder.max_steps", 100_000 if on_gpu else 2000, device),
            Choice("vocoder.adversarial_from_step", 5000 if on_gpu else 1000, device),
            Choice("vocoder.data.num_workers", 4 if on_gpu else 0, device),
        ]
    if "module" in config.vocoder:
        item = config.vocoder.data.segment_frames * config.mel.hop_length
        whole("vocoder.module.segment_size", config.vocoder.module.segment_size, 1, item)
    for key in ("seed", "trainer.validate_every", "trainer.log_every"):
        whole(key, OmegaConf.select(config, key), 0 if key == "seed" else 1, 2**32 - 1)
    callbacks.check(config, "module" in config.vocoder and (config.stages is None or "vocoder" in config.stages))
    if config.trainer.precision not in _PRECISIONS:
        raise UserError(f"trainer.precision={config.trainer.precision} must be {' or '.join(_PRECISIONS)}")
    made = [choice for choice in choices if OmegaConf.select(config, choice.key) is None]
    with open_dict(config):
        for choice in made:
            OmegaConf.update(config, choice.key, choice.value)
    for choice in choices:
        whole(choice.key, OmegaConf.select(config, choice.key), 0 if choice.key in _MAY_BE_ZERO else 1)
    return made


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


def note_settings(stage: Path, config: DictConfig) -> None:
    """Write those of a stage beside its checkpoints, {key: value}; a resumed stage has its latest."""
    with replace_file(stage / SETTINGS) as temporary:
        temporary.write_text(json.dumps(_settings(config, stage.name != "vae"), indent=1))


def noted_settings(stage: Path) -> dict[str, Value]:
    """What `note_settings` wrote; {} if there is no such note. Raises UserError if it is damaged."""
    path = stage / SETTINGS
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): delete it, it only feeds TensorBoard's table") from error


def _settings(config: DictConfig, of_vocoder: bool) -> dict[str, Value]:
    """Those of the vocoder's stage, or of the VAE's, flat."""
    found = {key: OmegaConf.select(config, key) for key in (_VOCODER if of_vocoder else _VAE)}
    overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    for override in overrides:
        key, _, words = override.lstrip("+").partition("=")
        if words and key not in _NO_TRAITS and (key.partition(".")[0] == "vocoder") == of_vocoder:
            value = OmegaConf.select(config, key)
            found[key] = words if OmegaConf.is_dict(value) or value is None else value
    return {key: _shown(value) for key, value in found.items() if value is not None}


def _shown(value: object) -> Value:
    """What TensorBoard takes for a setting."""
    return value if isinstance(value, str | float | int) else str(value)
