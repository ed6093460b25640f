"""`python -m distillgan.generate`: new sound from a trained model, or a recording as the model hears it."""

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from distillgan import device as devices
from distillgan import entry
from distillgan.audio.mel import MelSpec
from distillgan.checks import number, whole
from distillgan.data.cache import AudioCache, AudioClip
from distillgan.errors import UserError
from distillgan.library.catalog import find_model
from distillgan.paths import Home, name_from_path
from distillgan.render.engine import MAX_SECONDS, MIN_SECONDS, Model, Progress, check_length, reconstruct, render
from distillgan.render.export import check_rate, export_wav
from distillgan.vocoder.download_bar import download_bar
from distillgan.vocoder.select import select

MAX_COUNT = 1000
DEFAULT_SECONDS = 10.0
PEAK = 10 ** (-1 / 20)


def generate(config: DictConfig) -> None:
    """Render `count` variations, or reconstruct `source`, and write them to `paths.home`/audio.

    Prints what plays them and why, each path and the real-time factor.

    Raises:
        UserError: something the user can mend.
    """
    seconds = _checked_seconds(config)
    console = Console(soft_wrap=True, highlight=False)
    home, device = Home(config.paths.home), devices.resolve(config.device.name)
    model = Model.load(find_model(home, config.model.name), device)
    MelSpec.from_config(config.mel).require(model.spec, "the configuration", f"model {model.header.name}")
    clip = None if config.source is None else _clip(Path(str(config.source)).expanduser(), model, home)
    with download_bar(console) as fetching:
        selected = select(config.vocoder, model.header.name, model.vocoder, model.spec, home, device, fetching)
    console.print(f"model {model.header.name} on {device.type}, vocoder {selected.name}: {selected.reason}")
    if clip is not None:
        name = f"{model.header.name}_{name_from_path(Path(clip.name).with_suffix(''))}"
        _make(config, console, home, model, name, lambda bar: reconstruct(model, selected.vocoder, clip, bar))
        return
    for seed in range(config.seed, config.seed + config.count):
        name = f"{model.header.name}_seed{seed}"
        rendering = functools.partial(render, model, selected.vocoder, seconds, seed)
        _make(config, console, home, model, name, rendering)


def _checked_seconds(config: DictConfig) -> float:
    """The duration, after a look at all the numbers. Raises UserError."""
    whole("count", config.count, 1, MAX_COUNT)
    whole("seed", config.seed, 0, 2**32 - 1)
    check_rate(config.export.sample_rate)
    if config.source is not None and (config.duration is not None or config.count != 1):
        raise UserError("source=FILE gives one reconstruction, as long as the recording: leave out duration and count")
    return number("duration", DEFAULT_SECONDS if config.duration is None else config.duration, MIN_SECONDS, MAX_SECONDS)


def _clip(source: Path, model: Model, home: Home) -> AudioClip:
    with AudioCache(home.decoded, model.spec.sample_rate) as cache:
        clip = cache.clip(source)
    check_length(clip)  # before a vocoder is fetched for it
    return clip


def _make(
    config: DictConfig,
    console: Console,
    home: Home,
    model: Model,
    name: str,
    rendering: Callable[[Progress], np.ndarray],
) -> None:
    """Render under a progress bar, write the files, and say how it went."""
    begun = time.perf_counter()
    with entry.progress_bar(console, name) as progress:
        wave, gain = _under_peak(rendering(progress))
    factor = wave.shape[1] / model.spec.sample_rate / (time.perf_counter() - begun)
    paths = export_wav(wave, model.spec, home.audio, name, config.export.sample_rate)
    note = f", turned down {-gain:.1f} dB to peak at -1 dBFS" if gain else ""
    console.print(f"{name}: rendered at {factor:.1f} times real time{note}")
    for path in paths:
        console.print(f"  {path}")


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
