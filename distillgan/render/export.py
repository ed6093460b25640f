"""What is rendered as files: a WAV and a picture of it, in constant memory, never over an older one."""

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from distillgan.audio.io import write_wav
from distillgan.audio.mel import MelSpec, to_log1p
from distillgan.audio.picture import draw_mels, save_figure
from distillgan.errors import UserError
from distillgan.render.interrupts import held
from distillgan.render.take import Take

SAMPLE_RATES = (44100, 48000)
PEAK = 10 ** (-1 / 20)  # -1 dBFS
_SHORTEST = 0.1  # seconds of a render that was broken off, worth a file


@dataclass(frozen=True)
class Exported:
    """The files that were made: the WAV `path` and its `picture`.

    `peak_db` is the sound's peak in dBFS, at the file's rate and before the gain, -inf for silence; `gain_db` is what
    the whole was turned down by, 0 or negative. `interrupted`: the render was broken off, and this is its beginning.
    """

    path: Path
    picture: Path
    seconds: float
    gain_db: float
    peak_db: float
    interrupted: bool


def export_wav(blocks: Iterable[np.ndarray], spec: MelSpec, folder: Path, name: str, sample_rate: int) -> Exported:
    """Write the blocks, float32 [C, n] at the mel's rate, as one 24-bit WAV at `sample_rate` Hz and its mel as PNG.

    They are named `name`, or `name`-2 and so on where there are such files. A sound whose peak is over -1 dBFS is
    turned down to it, as a whole. However many blocks come, memory stays that of one.
    Ctrl-C while blocks come ends the sound there, if there is 0.1 s of it; after that it leaves no file, as any
    exception does.

    Raises:
        UserError: the rate is none of SAMPLE_RATES, there are NaN or infinite samples, or the disk refuses.
        ValueError: a block is not [C, n], C changes, or there is not one sample.
        KeyboardInterrupt: it came too early, or a second time.
    """
    check_rate(sample_rate)
    with _scratch(folder) as file:
        take = Take(file, folder / f"{name}.wav", spec, sample_rate)
        interrupted = _taken(take, blocks)
        return _written(take, spec, folder, name, sample_rate, interrupted)


def check_rate(sample_rate: int) -> None:
    """Raises UserError unless files can be written at `sample_rate` Hz."""
    if sample_rate not in SAMPLE_RATES:
        raise UserError(f"export.sample_rate={sample_rate} must be one of {', '.join(map(str, SAMPLE_RATES))} Hz")


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


def _written(take: Take, spec: MelSpec, folder: Path, name: str, sample_rate: int, interrupted: bool) -> Exported:
    gain = min(1.0, PEAK / take.peak) if take.peak else 1.0
    path = None
    try:
        with held():  # a name that is taken is known here; and matplotlib's callbacks would swallow a Ctrl-C
            path = _reserve(folder, name)
            mel, frame_rate = take.mel.finish()
            save_figure(draw_mels([{"": to_log1p(mel, spec)}], path.stem, frame_rate), path.with_suffix(".png"))
        write_wav(path, take.blocks(gain), sample_rate, (take.channels, take.samples))
    except BaseException:
        if path is not None:
            for made in (path, path.with_suffix(".png")):
                made.unlink(missing_ok=True)
        raise
    peak_db = 20 * math.log10(take.peak) if take.peak else -math.inf
    return Exported(
        path, path.with_suffix(".png"), take.samples / sample_rate, 20 * math.log10(gain), peak_db, interrupted
    )


def _scratch(folder: Path) -> FileIO:
    """An empty file in `folder` that has no name and is gone when it is closed, or the process killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _reserve(folder: Path, name: str) -> Path:
    """`name`.wav in `folder`, or the first `name`-N.wav, where neither it nor its picture or account was there yet.

    The file is made, empty, so that of two processes at work each gets its own.
    """
    path, number = folder / f"{name}.wav", 2
    try:
        while True:
            if not any(path.with_suffix(suffix).exists() for suffix in (".png", ".json")):
                try:
                    path.touch(exist_ok=False)
                    return path
                except FileExistsError:
                    pass
            path, number = folder / f"{name}-{number}.wav", number + 1
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder} cannot be written ({error.strerror}): choose another paths.home")
