"""Which settings of a run tell it from others: of some 120 those that matter, and whatever its command said."""

import json
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from distillgan.atomic import replace_file
from distillgan.errors import UserError

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
