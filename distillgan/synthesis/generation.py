"""From a request to files: rendered, looked at, placed in space, written, described, and entered in the history."""

import json
import re
import string
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from distillgan import compute
from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.audio.tags import Tags
from distillgan.compute import in_order, limited, memory_in_words
from distillgan.configuration import build
from distillgan.data.cache import AudioCache, AudioClip
from distillgan.errors import UserError, number, whole
from distillgan.models.vocoders.registry import select
from distillgan.paths import Home, name_from_path, shortened
from distillgan.process import checked
from distillgan.progress import OnTransfer, progress_bar, transfer_bar
from distillgan.store.history import History
from distillgan.store.library import find_model
from distillgan.synthesis.export import Exported, Level, Target, export
from distillgan.synthesis.metadata import Inspector, Report, account_of, comment_of, origin_of
from distillgan.synthesis.renderer import MAX_SECONDS, MIN_SECONDS, check_length
from distillgan.synthesis.request import Piece, Reconstruction, Voice, open_voices, way_of

FIELDS = ("model", "seed", "preset", "vocoder", "path", "spatial", "recording", "date", "time")
_MOST_BYTES = 200  # file systems take 255, and -2, -3 … and the suffix come to it
_UNWANTED = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


def check_template(template: object) -> None:
    """Raises UserError unless it is a file's name with fields of FIELDS in braces, such as {model}_{seed:03}."""
    file_name(template, dict.fromkeys(FIELDS, "x") | {"seed": 1})


def file_name(template: object, values: Mapping[str, str | int]) -> str:
    """The name of a file, without suffix; what no file system takes in the values becomes `_`.

    Raises:
        UserError: as `check_template`, or the name is too long.
    """
    where = f"export.file={template}"
    if not isinstance(template, str) or not template.strip():
        raise UserError(f"{where} must be a file's name with fields such as {{model}} and {{seed}}")
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
        unknown = [field for field in fields if field not in FIELDS]
        if unknown:
            raise UserError(f"{where}: there is no field {{{unknown[0]}}}; there are {', '.join(FIELDS)}")
        plain = {key: value if isinstance(value, int) else _UNWANTED.sub("_", value) for key, value in values.items()}
        name = template.format(**plain)
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(f"{where} cannot be filled in: {error}") from error
    if _UNWANTED.search(name) or name.startswith(".") or name != name.strip():
        raise UserError(f"{where} must be a name without folders, and with no dot or space at its ends")
    if len(name.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise UserError(f"{where} gives a name of more than {_MOST_BYTES} bytes: choose a shorter template")
    return name


Progress = Callable[[int, int], None]
# Of the configuration of `generate`: values, and groups of values.
PLAIN = ("path", "source", "evolution", "duration", "seed", "recording", "device", "preset")
GROUPS = ("spatial", "export")
_STUDIO_MOST_BYTES = 150  # of a file's name that are the models'; file systems take 255 in all


@dataclass(frozen=True)
class Made:
    """A sound that was made: its file, its account, and its number in the history."""

    path: Path
    account: dict[str, Any]
    id: int


Finished = Callable[[Made], None]


class Studio:
    """What a configuration says of everything that comes after the vocoder.

    progress: told of each block, (samples done, samples in all), besides the bar on the terminal; a KeyboardInterrupt
    that it raises ends the sound there, as Ctrl-C does.
    finished: told of each sound once it is in the history, of one that was broken off, too.

    Raises UserError if a value of the nodes `export` and `spatial` is refused.
    """

    def __init__(
        self,
        config: DictConfig,
        home: Home,
        console: Console,
        progress: Progress | None = None,
        finished: Finished | None = None,
    ):
        self._config, self._home, self._console = config, home, console
        self._progress, self._finished = progress, finished
        if "format" not in config.export:
            raise UserError("export= must be one of wav, flac, ogg, mp3")
        if not isinstance(config.export.overwrite, bool):
            raise UserError(f"export.overwrite={config.export.overwrite} must be true or false")
        self._format, self._spatial = build(config.export.format), build(config.spatial)
        self._target_of(None)
        template = config.export.file
        self._template = template or ("{model}_{recording}" if config.recording is not None else "{model}_seed{seed}")
        check_template(self._template)
        for key in ("title", "artist", "album"):
            if config.export[key] is not None and not isinstance(config.export[key], str | int | float):
                raise UserError(f"export.{key}={config.export[key]} must be a text")

    def make(self, piece: Piece | Reconstruction, models: list[str], vocoder: str, device: str, seed: int) -> Made:
        """Render under a progress bar, write the files, and say how it went. `models`: as named to `generate`.

        Raises:
            UserError: the disk refuses, or what was rendered is no sound.
            KeyboardInterrupt: Ctrl-C; what was rendered until then is a valid file.
        """
        target = self._target_of(piece.source_lufs)
        origin = origin_of(self._settings(piece, models, vocoder, device, seed, target), piece, vocoder, device)
        name = file_name(self._template, self._words(origin, piece))
        begun, spec, config = time.perf_counter() - piece.spent, piece.spec, self._config.export
        inspector = Inspector(spec.sample_rate, piece.analysis, piece.full_scale)
        with progress_bar(self._console, name) as progress:
            told = [progress] if self._progress is None else [progress, self._progress]
            blocks = _counted(inspector.watch(piece.blocks()), piece.samples, told)
            second = piece.second() if self._spatial.second else None
            placed = inspector.placed(self._spatial.place(blocks, second, spec.sample_rate))
            try:
                made = export(
                    placed,
                    spec,
                    self._home.audio,
                    name,
                    self._format,
                    lambda title, digest, interrupted, level: self._tags(origin, title, digest, interrupted, level),
                    config.overwrite,
                    target,
                )
            except KeyboardInterrupt:
                self._console.print("stopped before there was anything to keep: no file is written")
                raise
        factor = made.seconds / (time.perf_counter() - begun)
        report = inspector.report(made.gain_db)
        account = account_of(origin, piece, made, report)
        with replace_file(made.path.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(account, indent=1))
        self._tell(name, made, report, factor)
        number = History(self._home).record(account, made.path, made.thumbnail)
        self._console.print(f"  number {number} of the history", markup=False)
        sound = Made(made.path, account, number)
        if self._finished is not None:
            self._finished(sound)
        if made.interrupted:
            self._console.print("stopped: the file holds what was rendered until then")
            raise KeyboardInterrupt
        return sound

    def _target_of(self, source_lufs: float | None) -> Target:
        export = self._config.export
        return Target.of(export.loudness, export.peak, self._spatial.channels, source_lufs)

    def _settings(
        self, piece: Piece | Reconstruction, models: list[str], vocoder: str, device: str, seed: int, target: Target
    ) -> dict[str, Any]:
        """What `generate` is to be told to make this one sound again, whatever its defaults will be."""
        settings = settings_of(self._config)
        settings |= {"vocoder": vocoder, "device": device, "seed": seed}
        settings["export"]["loudness"] = target.setting
        if isinstance(piece, Reconstruction):
            settings["recording"] = str(Path(str(self._config.recording)).expanduser().resolve())
        else:
            settings["duration"] = piece.samples / piece.spec.sample_rate
        if settings["blend"]["models"] is None:
            settings["model"] = {"name": models[0]}
        return settings

    def _words(self, origin: dict[str, Any], piece: Piece | Reconstruction) -> dict[str, str | int]:
        """What a file's name may be made of."""
        now, names = datetime.now().astimezone(), [model["name"] for model in origin["models"]]
        clip = name_from_path(Path(piece.clip.name).with_suffix("")) if isinstance(piece, Reconstruction) else "none"
        return {
            "model": shortened("_".join(names), _STUDIO_MOST_BYTES, _STUDIO_MOST_BYTES),
            "seed": origin["settings"]["seed"],
            "preset": str(self._config.preset or "none"),
            "vocoder": origin["vocoder"],
            "path": origin["path"],
            "spatial": self._config.spatial.name,
            "recording": clip,
            "date": f"{now:%Y-%m-%d}",
            "time": f"{now:%H-%M-%S}",
        }

    def _tags(self, origin: dict[str, Any], title: str, digest: str, interrupted: bool, level: Level) -> Tags:
        config, names = self._config.export, [model["name"] for model in origin["models"]]
        return Tags(
            title=str(title if config.title is None else config.title),
            artist=str(config.artist or ""),
            album=str(" + ".join(names) if config.album is None else config.album),
            date=f"{datetime.now().astimezone():%Y-%m-%d}",
            comment=comment_of(origin, digest, interrupted, level),
        )

    def _tell(self, name: str, made: Exported, report: Report, factor: float) -> None:
        say = self._console.print
        say(f"{name}: {made.seconds:.1f} s rendered at {factor:.1f} times real time", markup=False)
        say(f"  {made.level.words()}", markup=False)
        for words in made.level.warnings():
            say(f"  {words}", markup=False)
        for path in (made.path, made.picture, made.path.with_suffix(".json")):
            say(f"  {path}", markup=False)
        for descriptor, words in report.outside.items():
            say(f"  outside of the recordings: {descriptor}, {words}", markup=False)
        for warning in report.warnings:
            say(f"  warning: {warning}", style="yellow", markup=False)


def _counted(blocks: Iterator[np.ndarray], samples: int, told: list[Progress]) -> Iterator[np.ndarray]:
    done = 0
    for block in blocks:
        yield block
        done += block.shape[1]
        for progress in told:
            progress(done, samples)


def settings_of(config: DictConfig) -> dict[str, Any]:
    """The values of a `generate` configuration that make its sound and its file, nested as there."""
    values = OmegaConf.to_container(config, resolve=True)
    kept = {key: values[key] for key in ("model", "blend", "controls", *PLAIN)}
    groups = {
        key: {name: value for name, value in values[key].items() if is_plain(value) and not name.startswith("_")}
        for key in GROUPS
    }
    return {**kept, **groups, "device": values["device"]["name"], "vocoder": values["vocoder"]["name"]}


def is_plain(value: Any) -> bool:
    """Whether a value is kept as it is: no list and no table."""
    return value is None or isinstance(value, str | bool | int | float)


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
    home, device = Home(config.paths.home), compute.resolve(config.device.name)
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
