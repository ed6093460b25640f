"""`python -m distillgan.generate`: new sound from a trained model."""

import sys
import time

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from distillgan import device as devices
from distillgan import entry
from distillgan.audio.mel import MelSpec
from distillgan.checks import number, whole
from distillgan.errors import UserError
from distillgan.library.catalog import find_model
from distillgan.paths import Home
from distillgan.render.engine import MAX_SECONDS, MIN_SECONDS, Model, render
from distillgan.render.export import check_rate, export_wav
from distillgan.vocoder.base import Vocoder

MAX_COUNT = 1000
PEAK = 10 ** (-1 / 20)


def generate(config: DictConfig) -> None:
    """Render `count` variations and write them to `paths.home`/audio; prints each path and the real-time factor.

    Raises:
        UserError: something the user can mend.
    """
    whole("count", config.count, 1, MAX_COUNT)
    whole("seed", config.seed, 0, 2**32 - 1)
    number("duration", config.duration, MIN_SECONDS, MAX_SECONDS)
    check_rate(config.export.sample_rate)
    console = Console(soft_wrap=True)
    home, device = Home(config.paths.home), devices.resolve(config.device.name)
    model = Model.load(find_model(home, config.model.name), device)
    MelSpec.from_config(config.mel).require(model.spec, "the configuration", f"model {model.header.name}")
    vocoder = _vocoder(config, model)
    console.print(f"model {model.header.name}, vocoder {config.vocoder.name}, {config.duration:g} s, on {device.type}")
    for seed in range(config.seed, config.seed + config.count):
        begun = time.perf_counter()
        wave, gain = _under_peak(render(model, vocoder, config.duration, seed))
        factor = config.duration / (time.perf_counter() - begun)
        name = f"{model.header.name}_seed{seed}"
        paths = export_wav(wave, model.spec, home.audio, name, config.export.sample_rate)
        note = f", turned down {-gain:.1f} dB to peak at -1 dBFS" if gain else ""
        console.print(f"seed {seed}: rendered at {factor:.1f} times real time{note}", highlight=False)
        for path in paths:
            console.print(f"  {path}", highlight=False)


def _vocoder(config: DictConfig, model: Model) -> Vocoder:
    if config.vocoder.name != "hifigan":
        raise UserError(f"vocoder={config.vocoder.name} cannot generate: use vocoder=hifigan, the model's own")
    if model.vocoder is None:
        raise UserError(
            f"model {model.header.name} has no vocoder of its own yet: "
            f"train one with `distillgan train-vocoder {model.header.name}`"
        )
    return model.vocoder


def _under_peak(wave: np.ndarray) -> tuple[np.ndarray, float]:
    """The wave, and the one gain in dB that brought its peak to -1 dBFS, or 0 if it was not over."""
    peak = float(np.abs(wave).max())
    if peak <= PEAK:
        return wave, 0.0
    return wave * np.float32(PEAK / peak), float(20 * np.log10(PEAK / peak))


def main(arguments: list[str] | None = None) -> None:
    entry.run(generate, "generate", entry.model_by_name(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
