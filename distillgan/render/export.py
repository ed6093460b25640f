"""What is rendered as files: the sound and a picture of it, in constant memory, never over an older one unasked."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

import numpy as np

from distillgan.audio.formats import Format
from distillgan.audio.mel import MelSpec, to_log1p
from distillgan.audio.picture import draw_mels, save_picture
from distillgan.audio.tags import Tags
from distillgan.errors import UserError
from distillgan.render.interrupts import held
from distillgan.render.normalization import AS_BEFORE, Level, Target
from distillgan.render.take import Take

_SHORTEST = 0.1  # seconds of a render that was broken off, worth a file


@dataclass(frozen=True)
class Exported:
    """The files that were made: the sound, `path`, and its `picture`.

    `level` is how loud the file is, and what the whole was turned by. `interrupted`: the render was broken off, and
    this is its beginning. `digest`: SHA-256 of the samples at the file's rate, before gain, dither and encoding;
    `thumbnail`: see there.
    """

    path: Path
    picture: Path
    seconds: float
    level: Level
    interrupted: bool
    digest: str
    thumbnail: bytes

    @property
    def gain_db(self) -> float:
        return self.level.gain_db


def export(
    blocks: Iterable[np.ndarray],
    spec: MelSpec,
    folder: Path,
    name: str,
    form: Format,
    tags: Callable[[str, str, bool, Level], Tags] = lambda title, digest, interrupted, level: Tags(title),
    overwrite: bool = False,
    target: Target = AS_BEFORE,
) -> Exported:
    """Write the blocks, float32 [C, n] at the mel's rate, as one file of the format, and its mel as PNG.

    They are named `name`, or `name`-2 and so on where there are such files, unless those are to be overwritten. The
    sound is brought to the `target` as a whole. However many blocks come, memory stays that of one, and how long they
    are changes no sample. Ctrl-C while blocks come ends the sound there, if there is 0.1 s of it; after that it leaves
    no file, as any exception does.

    tags: from the file's name without suffix, the samples' digest, whether the render was broken off, and the level.

    Raises:
        UserError: there are NaN or infinite samples, or the disk refuses.
        ValueError: a block is not [C, n], C changes, or there is not one sample.
        KeyboardInterrupt: it came too early, or a second time.
    """
    with _scratch(folder) as file:
        take = Take(file, folder / f"{name}{form.suffix}", spec, form.sample_rate)
        interrupted = _taken(take, blocks)
        level = target.level(take.loudness)
        said = partial(tags, digest=take.digest, interrupted=interrupted, level=level)
        path = _written(take, spec, folder / f"{name}{form.suffix}", form, level.gain, said, overwrite)
    seconds, picture = take.samples / form.sample_rate, path.with_suffix(".png")
    thumbnail = take.thumbnail.to_bytes(level.gain)
    return Exported(path, picture, seconds, level, interrupted, take.digest, thumbnail)


def _taken(take: Take, blocks: Iterable[np.ndarray]) -> bool:
    """Take all blocks down; whether Ctrl-C ended them."""
    interrupted = False
    try:
        for block in blocks:
            with held():  # a block is in the take, its peak and its picture, or in none of them
                take.add(block)
    except KeyboardInterrupt:
        if take.seconds < _SHORTEST:
            raise
        interrupted = True
    take.finish()
    if not take.samples:
        raise ValueError("there is no sound to write: no block has a sample")
    return interrupted


def _written(
    take: Take,
    spec: MelSpec,
    wanted: Path,
    form: Format,
    gain: float,
    tags: Callable[[str], Tags],
    overwrite: bool,
) -> Path:
    """Write sound and picture; what was made is gone again if either cannot be. Returns the sound's path."""
    made: list[Path] = []
    try:
        with held():  # a name that is taken is known here
            path = wanted if overwrite else _reserve(wanted)
            made = [file for file in (path, path.with_suffix(".png")) if not (overwrite and file.exists())]
        form.write(path, take.blocks(gain), (take.channels, take.samples), tags(path.stem))
        with held():
            mel, frame_rate = take.mel.finish()
            save_picture(draw_mels([{"": to_log1p(mel, spec)}], path.stem, spec, frame_rate), path.with_suffix(".png"))
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    return path


def _scratch(folder: Path) -> FileIO:
    """An empty file in `folder` that has no name and is gone when it is closed, or the process killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _reserve(wanted: Path) -> Path:
    """The path, or the first with -2, -3 … where neither it nor its picture or account was there yet.

    The file is made, empty, so that of two processes at work each gets its own.
    """
    path, number = wanted, 2
    try:
        while True:
            if not any(path.with_suffix(suffix).exists() for suffix in (".png", ".json")):
                try:
                    path.touch(exist_ok=False)
                    return path
                except FileExistsError:
                    pass
            path, number = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}"), number + 1
    except OSError as error:
        raise _unwritable(wanted.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder} cannot be written ({error.strerror}): choose another paths.home")
