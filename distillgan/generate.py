"""`python -m distillgan.generate`: new sound from a trained model or several, or a recording as the model hears it."""

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from distillgan import __version__, entry
from distillgan import device as devices
from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.checks import number, whole
from distillgan.data.cache import AudioCache
from distillgan.errors import UserError
from distillgan.latent.descriptors import NAMES
from distillgan.library.catalog import find_model
from distillgan.paths import Home, name_from_path
from distillgan.progress import progress_bar
from distillgan.render.engine import MAX_SECONDS, MIN_SECONDS, check_length
from distillgan.render.export import Exported, check_rate, export_wav
from distillgan.render.inspect import Inspector, Report
from distillgan.render.piece import Piece, Reconstruction, open_voices, way_of
from distillgan.vocoder.download_bar import download_bar
from distillgan.vocoder.select import Selected, select

MAX_COUNT = 1000
DEFAULT_SECONDS = 10.0
_MOST_LETTERS = 150  # of a file's name that are the models'; file systems take 255 in all


def generate(config: DictConfig) -> None:
    """Render `count` variations, or reconstruct `recording`, and write them to `paths.home`/audio.

    Prints what plays them and why, each path, the real-time factor and what the check of the sound found.

    Raises:
        UserError: something the user can mend.
        KeyboardInterrupt: Ctrl-C; what was rendered until then is a valid file.
    """
    seconds = _checked_seconds(config)
    console = Console(soft_wrap=True, highlight=False)
    home, device = Home(config.paths.home), devices.resolve(config.device.name)
    settings = OmegaConf.to_container(config, resolve=True)
    voices, warnings = open_voices(settings, lambda name: find_model(home, name), device)
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    model = voices[0].model
    MelSpec.from_config(config.mel).require(model.spec, "the configuration", f"model {model.header.name}")
    clip = None
    if config.recording is not None:
        with AudioCache(home.decoded, model.spec.sample_rate) as cache:
            clip = cache.clip(Path(str(config.recording)).expanduser())
        check_length(clip)  # before a vocoder is fetched for it
    with download_bar(console) as fetching:
        own = model.vocoder if len(voices) == 1 else None
        title = " + ".join(voice.model.header.name for voice in voices)
        selected = select(config.vocoder, title, own, model.spec, home, device, fetching)
    console.print(f"model {title} on {device.type}, vocoder {selected.name}: {selected.reason}")
    name = "_".join(voice.model.header.name for voice in voices)[:_MOST_LETTERS]
    if clip is not None:
        name = f"{name}_{name_from_path(Path(clip.name).with_suffix(''))}"
        _make(config, console, home, Reconstruction(voices[0], selected.vocoder, clip), selected, name, None)
        return
    for seed in range(config.seed, config.seed + config.count):
        piece = Piece(voices, selected.vocoder, seconds, seed, settings)
        _make(config, console, home, piece, selected, f"{name}_seed{seed}", seed)


def _checked_seconds(config: DictConfig) -> float:
    """The duration, after a look at all the numbers. Raises UserError."""
    whole("count", config.count, 1, MAX_COUNT)
    whole("seed", config.seed, 0, 2**32 - 1)
    check_rate(config.export.sample_rate)
    if config.recording is None and config.path == "reconstruct":
        raise UserError("path=reconstruct wants to know what: recording=FILE")
    if config.blend.models is None and config.blend.mode == "audio":
        raise UserError(f"blend.mode={config.blend.mode} is for several models: name them, blend=[rain:60,wind:40]")
    if config.recording is not None:
        if not str(config.recording).strip():
            raise UserError("recording= names no file")
        if config.evolution != 0.5 or config.source != "corpus":
            raise UserError("recording=FILE is played as it goes: leave out evolution and source")
        if config.duration is not None or config.count != 1:
            raise UserError("recording=FILE gives one sound, as long as the recording: leave out duration and count")
        if config.path not in ("crossfade", "reconstruct"):
            raise UserError(f"recording=FILE is for path=reconstruct, not path={config.path}")
        if config.blend.models is not None:
            raise UserError("recording=FILE is played by one model: leave out blend")
    else:
        way_of(config)  # before a vocoder is fetched for it
    return number("duration", DEFAULT_SECONDS if config.duration is None else config.duration, MIN_SECONDS, MAX_SECONDS)


def _make(
    config: DictConfig,
    console: Console,
    home: Home,
    piece: Piece | Reconstruction,
    selected: Selected,
    name: str,
    seed: int | None,
) -> None:
    """Render under a progress bar, write the files, and say how it went."""
    begun, spec = time.perf_counter(), piece.spec
    inspector = Inspector(spec.sample_rate, piece.analysis, piece.full_scale)
    with progress_bar(console, name) as progress:
        blocks = _counted(inspector.watch(piece.blocks()), piece.samples, progress)
        made = export_wav(blocks, spec, home.audio, name, config.export.sample_rate)
    factor = made.seconds / (time.perf_counter() - begun)
    report = inspector.report()
    note = f", turned down {-made.gain_db:.1f} dB to peak at -1 dBFS" if made.gain_db else ""
    console.print(f"{name}: {made.seconds:.1f} s rendered at {factor:.1f} times real time{note}")
    sidecar = made.path.with_suffix(".json")
    with replace_file(sidecar) as temporary:
        temporary.write_text(json.dumps(_account(config, piece, selected, seed, made, report), indent=1))
    for path in (made.path, made.picture, sidecar):
        console.print(f"  {path}", markup=False)
    for name_, words in report.outside.items():
        console.print(f"  outside of the recordings: {name_}, {words}", markup=False)
    for warning in report.warnings:
        console.print(f"  warning: {warning}", style="yellow", markup=False)
    if made.interrupted:
        console.print("stopped: the file holds what was rendered until then")
        raise KeyboardInterrupt


def _counted(blocks: Iterator[np.ndarray], samples: int, progress) -> Iterator[np.ndarray]:
    done = 0
    for block in blocks:
        yield block
        done += block.shape[1]
        progress(done, samples)


def _account(
    config: DictConfig,
    piece: Piece | Reconstruction,
    selected: Selected,
    seed: int | None,
    made: Exported,
    report: Report,
) -> dict:
    """What made a sound, and what it is like: enough to make it again."""
    return {
        **piece.parameters(),
        "seed": seed,
        "vocoder": selected.name,
        "sample_rate": config.export.sample_rate,
        "recording_path": None if config.recording is None else str(Path(str(config.recording)).expanduser().resolve()),
        "duration": piece.samples / piece.spec.sample_rate,  # asked for: what is broken off is not a shorter sound
        "seconds": made.seconds,
        "interrupted": made.interrupted,
        "gain_db": made.gain_db,
        "check": report.to_dict(),
        "versions": {"distillgan": __version__, "torch": torch.__version__},
    }


def _check_sliders(arguments: list[str]) -> None:
    """Raises UserError for what Hydra would refuse in words that help nobody."""
    for argument in arguments:
        name, equals, _ = argument.removeprefix("--").partition("=")
        if not equals and not argument.startswith("--"):
            continue  # another flag's value
        if name in NAMES or re.fullmatch(r"axis\d+", name):
            raise UserError(f"{argument}: sliders are set as controls.{name}=VALUE")
        slider = name.removeprefix("controls.")
        if slider != name and not re.fullmatch(r"\w+", slider, re.ASCII):
            raise UserError(f"{argument}: there is no slider of this name; `distillgan controls` lists a model's")


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _check_sliders(arguments)
    except UserError as error:
        entry.report(error)
        sys.exit(entry.EXIT_USER_ERROR)
    entry.run(generate, "generate", entry.steered(arguments))


if __name__ == "__main__":
    main()
