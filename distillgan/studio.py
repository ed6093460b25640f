"""From a piece to files: rendered, looked at, placed in space, written, accounted for, and entered in the history."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from distillgan.atomic import replace_file
from distillgan.audio.tags import Tags
from distillgan.building import build
from distillgan.errors import UserError
from distillgan.library.history import History
from distillgan.paths import Home, name_from_path, shortened
from distillgan.progress import progress_bar
from distillgan.render.account import account_of, comment_of, origin_of
from distillgan.render.export import Exported, export
from distillgan.render.inspect import Inspector, Report
from distillgan.render.naming import check_template, file_name
from distillgan.render.normalization import Level, Target
from distillgan.render.piece import Piece, Reconstruction

Progress = Callable[[int, int], None]
# Of the configuration of `generate`: values, and groups of values.
PLAIN = ("path", "source", "evolution", "duration", "seed", "recording", "device", "preset")
GROUPS = ("spatial", "export")
_MOST_BYTES = 150  # of a file's name that are the models'; file systems take 255 in all


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
            "model": shortened("_".join(names), _MOST_BYTES, _MOST_BYTES),
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
