"""`python -m distillgan.generate`: new sound from a trained model or several, or a recording as the model hears it."""

import re
import sys
from contextlib import closing, nullcontext
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from distillgan import device as devices
from distillgan import entry
from distillgan.audio.mel import MelSpec
from distillgan.checks import number, whole
from distillgan.data.cache import AudioCache, AudioClip
from distillgan.errors import UserError
from distillgan.latent.descriptors import NAMES
from distillgan.library.catalog import find_model
from distillgan.library.presets import Presets
from distillgan.memory import memory_in_words
from distillgan.parallel import in_order, limited
from distillgan.paths import Home
from distillgan.progress import OnTransfer, transfer_bar
from distillgan.recipe import arguments_of, recorded
from distillgan.render.engine import MAX_SECONDS, MIN_SECONDS, check_length
from distillgan.render.piece import Piece, Reconstruction, Voice, open_voices, way_of
from distillgan.studio import Finished, Made, Progress, Studio
from distillgan.threads import checked
from distillgan.vocoder.select import select

MAX_COUNT = 1000
DEFAULT_SECONDS = 10.0
_SHORT = 12.0  # seconds: four blocks


@memory_in_words("generating", "Close what else uses it, or take device=cpu, or vocoder=universal, which needs little")
def generate(
    config: DictConfig,
    console: Console | None = None,
    progress: Progress | None = None,
    fetching: OnTransfer | None = None,
    finished: Finished | None = None,
) -> list[Made]:
    """Render `count` variations, or reconstruct `recording`, and write them to `paths.home`/audio.

    Prints what plays them and why, each path, the real-time factor and what the check of the sound found. `progress`
    and `finished` as of `Studio`; `fetching` is told of a download of weights, instead of a bar on the terminal, and
    may break it off by raising an exception.

    Raises:
        UserError: something the user can mend.
        KeyboardInterrupt: Ctrl-C; what was rendered until then is a valid file.
    """
    seconds = _checked_seconds(config)
    console = console or Console(soft_wrap=True, highlight=False)
    home, device = Home(config.paths.home), devices.resolve(config.device.name)
    studio = Studio(config, home, console, progress, finished)
    settings = OmegaConf.to_container(config, resolve=True)
    voices, warnings = open_voices(settings, lambda name: find_model(home, name), device)
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    model, title = voices[0].model, " + ".join(voice.model.header.name for voice in voices)
    MelSpec.from_config(config.mel).require(model.spec, "the configuration", f"model {model.header.name}")
    clip = _clip(config, home, model.spec.sample_rate)
    with transfer_bar(console) if fetching is None else nullcontext(fetching) as told:
        own = model.vocoder if len(voices) == 1 else None
        selected = select(config.vocoder, title, own, model.spec, home, device, told)
    console.print(f"model {title} on {device.type}, vocoder {selected.name}: {selected.reason}")

    def make(piece: Piece | Reconstruction, seed: int) -> Made:
        return studio.make(piece, _named(config, voices), selected.name, device.type, seed)

    with limited(config.threads):
        if clip is not None:
            return [make(Reconstruction(voices[0], selected.vocoder, clip), config.seed)]
        seeds = range(config.seed, config.seed + config.count)
        pieces = (Piece(voices, selected.vocoder, seconds, seed, settings) for seed in seeds)
        # Long ones have blocks of their own to be computed side by side.
        together = config.count > 1 and seconds <= _SHORT and device.type == "cpu" and selected.vocoder.side_by_side
        with closing(in_order(Piece.prepared, pieces) if together else pieces) as ready:
            return [make(piece, seed) for piece, seed in zip(ready, seeds, strict=True)]


def _checked_seconds(config: DictConfig) -> float:
    """The duration, after a look at all the numbers. Raises UserError."""
    whole("count", config.count, 1, MAX_COUNT)
    checked(config.threads)
    whole("seed", config.seed, 0, 2**32 - 1)
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


def _clip(config: DictConfig, home: Home, rate: int) -> AudioClip | None:
    """The recording that is to be played. Raises UserError if it cannot be read or is too long."""
    if config.recording is None:
        return None
    with AudioCache(home.decoded, rate) as cache:
        clip = cache.clip(Path(str(config.recording)).expanduser())
    check_length(clip)  # before a vocoder is fetched for it
    return clip


def _named(config: DictConfig, voices: list[Voice]) -> list[str]:
    """How the models are found again: as they were named, the latest by its own name."""
    name = config.model.name
    return [voice.model.header.name for voice in voices] if name is None else [str(name)]


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


def with_preset(overrides: list[str]) -> list[str]:
    """`preset=NAME` among the overrides → the preset's settings before them, as far as they say nothing themselves.

    Raises:
        UserError: there is no such preset, or several models have one of that name and none is named.
    """
    name = entry.value_of(overrides, "preset")
    if name is None:
        return overrides
    model = entry.value_of(overrides, "model.name")
    preset = Presets(Home(entry.home_of(overrides))).find(str(name), None if model is None else str(model))
    settings = recorded(preset.settings)
    if not (settings.get("blend") or {}).get("models"):
        settings["model"] = {"name": preset.model}
    return arguments_of(settings, overrides) + overrides


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _check_sliders(arguments)
        overrides = with_preset(entry.to_overrides(entry.steered(arguments)))
    except UserError as error:
        entry.report(error)
        sys.exit(entry.EXIT_USER_ERROR)
    entry.run(generate, "generate", overrides)


if __name__ == "__main__":
    main()
