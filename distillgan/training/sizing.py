"""Values that follow from the size of the corpus and the device: filled in where the configuration says null."""

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf, open_dict

from distillgan.checks import whole
from distillgan.errors import UserError
from distillgan.training import accumulation

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
    accumulation.check(config, "module" in config.vocoder and (config.stages is None or "vocoder" in config.stages))
    if config.trainer.precision not in _PRECISIONS:
        raise UserError(f"trainer.precision={config.trainer.precision} must be {' or '.join(_PRECISIONS)}")
    made = [choice for choice in choices if OmegaConf.select(config, choice.key) is None]
    with open_dict(config):
        for choice in made:
            OmegaConf.update(config, choice.key, choice.value)
    for choice in choices:
        whole(choice.key, OmegaConf.select(config, choice.key), 0 if choice.key in _MAY_BE_ZERO else 1)
    return made
