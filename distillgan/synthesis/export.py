"""Export of rendered blocks as a sound file and a picture of it, at one gain for the whole, in constant memory."""

import hashlib
import math
import re
import signal
import string
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from distillgan.atomic import refused
from distillgan.audio.formats import Format
from distillgan.audio.io import printable
from distillgan.audio.loudness import DUAL_MONO_LU, Meter, TruePeakMeter
from distillgan.audio.mel import MelSpec, PooledMel, to_log1p
from distillgan.audio.picture import draw_mels, save_picture
from distillgan.audio.tags import Tags
from distillgan.errors import UserError, number
from distillgan.process import ENDING, ignored

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


SOURCE, OFF = "source", "off"
PEAK = 10 ** (-1 / 20)  # of a sample, -1 dBFS: the only ceiling that there was before there was a true one
_LUFS = (-70.0, 0.0)  # from the gate to what no file under the ceiling comes to
_CEILING = (-20.0, 0.0)  # dBTP
_UNKNOWN = (
    "nothing is known of how loud its recordings were: it stays as loud as it is rendered; export.loudness=-23 brings "
    "it to -23 LUFS"
)
_STEPS = 1000  # of a decibel: what rounding differs by in the 15th digit gives the same gain


@dataclass(frozen=True)
class Target:
    """The loudness (EBU R 128) and the ceiling of a file.

    lufs: integrated loudness, None for as rendered. peak_db: true peak in dBTP, None for a sample peak of -1 dBFS, as
    in files from before this setting. note: a remark for people.
    """

    lufs: float | None = None
    peak_db: float | None = None
    note: str = ""

    @classmethod
    def of(cls, loudness: Any, peak: Any, channels: int = 1, source_lufs: float | None = None) -> "Target":
        """The target of `export.loudness` and `export.peak` for a file of so many channels.

        source_lufs: loudness of the recordings from two loudspeakers; None if unknown. Raises UserError if a value is
        out of range, or of an unknown kind.
        """
        ceiling = None if peak is None else number("export.peak", peak, *_CEILING)
        if loudness == OFF or loudness is False:  # YAML's own word for false
            return cls(None, ceiling)
        if loudness == SOURCE:
            if source_lufs is None:
                return cls(None, ceiling, _UNKNOWN)
            lufs = source_lufs - (DUAL_MONO_LU if channels == 1 else 0.0)
            return cls(round(min(max(lufs, _LUFS[0]), _LUFS[1]), 2), ceiling)
        if isinstance(loudness, str):  # what Hydra composed: beside the default, a text, numbers stay texts
            with suppress(ValueError):
                loudness = float(loudness)
        if isinstance(loudness, str) or loudness is None:
            raise UserError(f"export.loudness={loudness} must be {SOURCE}, {OFF}, or LUFS such as -23")
        return cls(number("export.loudness", loudness, *_LUFS), ceiling)

    @property
    def setting(self) -> float | str:
        """The value of `export.loudness` that is the same for any model."""
        return OFF if self.lufs is None else self.lufs

    def level(self, meter: "LoudnessMeter") -> "Level":
        """The gain of a whole sound, and its level then.

        Less is turned up where its peak would pass the ceiling, and silence, which has no loudness, never.
        """
        lufs, peak_db = meter.lufs(), _db(meter.true_peak())
        if self.peak_db is None and self.lufs is None:
            gain = min(1.0, PEAK / meter.peak) if meter.peak else 1.0
            return Level(gain, lufs + _db(gain), peak_db + _db(gain), None, 0.0)
        most = self.peak_db - peak_db if self.peak_db is not None else _db(PEAK) - _db(meter.peak)
        wanted = 0.0 if self.lufs is None or not math.isfinite(lufs) else self.lufs - lufs
        gain_db = min(round(wanted * _STEPS), math.floor(min(most, 1e3) * _STEPS)) / _STEPS
        short = wanted - gain_db if gain_db < wanted - 0.5 / _STEPS and self.lufs is not None else 0.0
        return Level(10 ** (gain_db / 20), lufs + gain_db, peak_db + gain_db, self.lufs, short, self.note)


class LoudnessMeter:
    """Loudness and peaks of float32 blocks [C, n] at `rate` Hz; a single channel counts as one."""

    def __init__(self, rate: int, channels: int):
        self._meter, self._peaks = Meter(rate, channels, dual_mono=False), TruePeakMeter(channels)

    def add(self, block: np.ndarray) -> None:
        self._meter.add(block)
        self._peaks.add(block)

    def lufs(self) -> float:
        """Integrated loudness; -inf for silence."""
        return self._meter.lufs()

    @property
    def peak(self) -> float:
        """The largest sample, linear."""
        return self._meter.peak

    def true_peak(self) -> float:
        """The largest value of the wave, linear; called once, after the last block."""
        self._peaks.finish()
        return self._peaks.peak


@dataclass(frozen=True)
class Level:
    """The level of a file, as FFmpeg's `ebur128=peak=true` measures it: a mono file as one channel.

    gain: factor of the whole. lufs: integrated loudness, -inf for silence; a sound shorter than a gating block of 0.4 s
    is measured as a whole. true_peak_db: in dBTP, before encoding. asked_lufs: the target, None without one. short_lu:
    LU under the target, so that the peak keeps the ceiling.
    """

    gain: float
    lufs: float
    true_peak_db: float
    asked_lufs: float | None
    short_lu: float
    note: str = ""

    @property
    def gain_db(self) -> float:
        return _db(self.gain)

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON, None for those of silence."""
        values = {"lufs": self.lufs, "true_peak_db": self.true_peak_db, "asked_lufs": self.asked_lufs}
        known = {key: round(value, 2) for key, value in values.items() if value is not None and math.isfinite(value)}
        return {**dict.fromkeys(values), **known, "short_lu": round(self.short_lu, 2), "note": self.note}

    def words(self) -> str:
        """Loudness, peak and gain, for people."""
        if not math.isfinite(self.lufs):
            return f"under -70 LUFS, peak {self.true_peak_db:.1f} dBTP"
        turned = f", turned {'up' if self.gain_db > 0 else 'down'} {abs(self.gain_db):.1f} dB" if self.gain_db else ""
        return f"{self.lufs:.1f} LUFS, peak {self.true_peak_db:.1f} dBTP{turned}"

    def warnings(self) -> list[str]:
        """The reasons why a target is not met, or not known, for people."""
        said = [self.note] if self.note else []
        if self.asked_lufs is not None and not math.isfinite(self.lufs):
            said.append(f"under -70 LUFS it has no loudness, and is not brought to {self.asked_lufs:g} LUFS")
        if self.short_lu:
            said.append(f"{self.short_lu:.1f} LU under {self.asked_lufs:g} LUFS, where its peaks reach the ceiling")
        return said


def _db(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude else -math.inf


COLUMNS = 400
_FULL_SCALE = 127


class Thumbnail:
    """The outline of a sound: (min, max) of at most 400 columns as int8, ±1 = ±127, in constant memory.

    Where twice 400 columns are full, each two become one.
    """

    def __init__(self):
        self._width = 1024  # frames a column
        self._ends: list[tuple[float, float]] = []
        self._rest = np.zeros((2, 0), np.float32)

    def add(self, frames: np.ndarray) -> None:
        """Frames [n, C]; a column spans all channels."""
        self._rest = np.concatenate([self._rest, np.stack([frames.min(1), frames.max(1)])], axis=1)
        while self._rest.shape[1] >= self._width:
            whole = self._rest.shape[1] // self._width
            whole = min(whole, 2 * COLUMNS - len(self._ends))
            columns = self._rest[:, : whole * self._width].reshape(2, whole, self._width)
            self._ends += zip(columns[0].min(1).tolist(), columns[1].max(1).tolist(), strict=True)
            self._rest = self._rest[:, whole * self._width :]
            if len(self._ends) == 2 * COLUMNS:
                self._ends, self._width = _halved(self._ends), 2 * self._width

    def to_bytes(self, gain: float = 1.0) -> bytes:
        ends = list(self._ends)
        if self._rest.shape[1]:
            ends.append((float(self._rest[0].min()), float(self._rest[1].max())))
        while len(ends) > COLUMNS:
            ends = _halved(ends)
        values = np.rint(np.array(ends, np.float64).reshape(-1) * gain * _FULL_SCALE)
        return values.clip(-_FULL_SCALE, _FULL_SCALE).astype(np.int8).tobytes()


def _halved(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    pairs = [ends[number : number + 2] for number in range(0, len(ends), 2)]
    return [(min(low for low, _ in pair), max(high for _, high in pair)) for pair in pairs]


_AT_ONCE = 1 << 16  # samples read back


class SpoolBuffer:
    """Float32 blocks [C, n] at the mel's rate, kept on disk and read back at `sample_rate` Hz, as often as needed.

    `file` is open for writing and reading, unbuffered and empty; `path` is for messages. After `finish`, `samples` (a
    channel, of what is read back), `digest` (SHA-256 of them all) and `loudness` are known. Memory depends on the
    blocks' lengths, not on their number.
    """

    def __init__(self, file: FileIO, path: Path, spec: MelSpec, sample_rate: int):
        self._file, self._path, self._spec, self._rate = file, path, spec, sample_rate
        self._resampler: soxr.ResampleStream | None = None
        self._came = 0  # samples that went in
        self.mel, self.thumbnail = PooledMel(spec), Thumbnail()
        self._hash = hashlib.sha256()
        self.channels, self.samples = 0, 0
        self.loudness: LoudnessMeter | None = None

    @property
    def seconds(self) -> float:
        return self._came / self._spec.sample_rate

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def add(self, block: np.ndarray) -> None:
        """Append a block, float32 [C, n].

        Raises ValueError if it is not [C, n], or has another C than those before it, and UserError if it has NaN or
        infinite samples, or the disk refuses.
        """
        if block.ndim != 2 or not block.shape[0] or block.shape[0] != (self.channels or block.shape[0]):
            raise ValueError(f"a block must be [{self.channels or 'C'}, n], not {list(block.shape)}")
        if not np.isfinite(block).all():
            raise UserError(
                f"{printable(self._path)}: not written, after {self.seconds:.1f} s the sound has NaN or infinite "
                "samples: the model or its vocoder is broken; choose another vocoder, or an earlier model"
            )
        if not self.channels:
            self.channels = block.shape[0]
            self.loudness = LoudnessMeter(self._rate, self.channels)
            if self._rate != self._spec.sample_rate:
                self._resampler = soxr.ResampleStream(self._spec.sample_rate, self._rate, self.channels, quality="VHQ")
        block = np.ascontiguousarray(block, dtype=np.float32)
        self._came += block.shape[1]
        self.mel.add(block)
        frames = np.ascontiguousarray(block.T)
        self._keep(frames if self._resampler is None else self._resampler.resample_chunk(frames))

    def finish(self) -> None:
        """Write what the resampler still holds. Raises UserError if the disk refuses."""
        if self._resampler is not None:
            self._keep(self._resampler.resample_chunk(np.empty((0, self.channels), np.float32), last=True))

    def blocks(self, gain: float) -> Iterator[np.ndarray]:
        """The sound times `gain`, from its beginning, as float32 blocks [C, n]."""
        self._file.seek(0)
        for first in range(0, self.samples, _AT_ONCE):
            count = min(_AT_ONCE, self.samples - first)
            frames = np.fromfile(self._file, np.float32, count * self.channels).reshape(count, self.channels)
            yield frames.T * np.float32(gain)

    def _keep(self, frames: np.ndarray) -> None:
        """Append frames float32 [n, C], contiguous, to the file."""
        if not len(frames):
            return
        self.thumbnail.add(frames)
        self.loudness.add(frames.T)
        self._hash.update(frames)
        left = memoryview(frames).cast("B")
        try:
            while left:  # an unbuffered file may take a part of it
                left = left[self._file.write(left) :]
        except OSError as error:
            raise refused(printable(self._path), error) from error
        self.samples += len(frames)


@contextmanager
def held() -> Iterator[None]:
    """A short block in which signals that end the process wait; only the main thread is ever interrupted."""
    # What is None was set by no Python code, which could not put it back.
    mine = [signum for signum in ENDING if signal.getsignal(signum) is not None and not ignored(signum)]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {signum: signal.signal(signum, lambda signum, _: came.append(signum)) for signum in mine}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if came:
        signal.raise_signal(came[0])


_SHORTEST = 0.1  # seconds of a render that was broken off, worth a file


@dataclass(frozen=True)
class Exported:
    """The sound file, `path`, and its `picture`.

    level: of the file, with its gain. interrupted: this is only the beginning. digest: SHA-256 of the samples at the
    file's rate, before gain, dither and encoding. thumbnail: bytes of `Thumbnail`.
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
    target: Target = Target(),
) -> Exported:
    """Write the blocks, float32 [C, n] at the mel's rate, as one file of the format, and its mel as PNG.

    They are named `name`, or `name`-2 and so on where there are such files, unless those are to be overwritten. Memory
    stays that of one block, and their lengths change no sample. Ctrl-C while blocks come ends the sound there, if there
    is 0.1 s of it; after that it leaves no file, as any exception does.

    tags: from the file's name without suffix, the samples' digest, whether the render was broken off, and the level.

    Raises UserError for NaN or infinite samples, or if the disk refuses; ValueError if a block is not [C, n], C
    changes, or there is no sample; KeyboardInterrupt if it came too early, or a second time.
    """
    with _scratch(folder) as file:
        spool = SpoolBuffer(file, folder / f"{name}{form.suffix}", spec, form.sample_rate)
        interrupted = _spooled(spool, blocks)
        level = target.level(spool.loudness)
        said = partial(tags, digest=spool.digest, interrupted=interrupted, level=level)
        path = _written(spool, spec, folder / f"{name}{form.suffix}", form, level.gain, said, overwrite)
    seconds, picture = spool.samples / form.sample_rate, path.with_suffix(".png")
    thumbnail = spool.thumbnail.to_bytes(level.gain)
    return Exported(path, picture, seconds, level, interrupted, spool.digest, thumbnail)


def _spooled(spool: SpoolBuffer, blocks: Iterable[np.ndarray]) -> bool:
    """Keep all blocks; whether Ctrl-C ended them."""
    interrupted = False
    try:
        for block in blocks:
            with held():  # a block is in the spool, its peak and its picture, or in none of them
                spool.add(block)
    except KeyboardInterrupt:
        if spool.seconds < _SHORTEST:
            raise
        interrupted = True
    spool.finish()
    if not spool.samples:
        raise ValueError("there is no sound to write: no block has a sample")
    return interrupted


def _written(
    spool: SpoolBuffer,
    spec: MelSpec,
    wanted: Path,
    form: Format,
    gain: float,
    tags: Callable[[str], Tags],
    overwrite: bool,
) -> Path:
    """Write sound and picture, neither if one cannot be; the sound's path."""
    made: list[Path] = []
    try:
        with held():  # a name that is taken is known here
            path = wanted if overwrite else _reserve(wanted)
            made = [file for file in (path, path.with_suffix(".png")) if not (overwrite and file.exists())]
        form.write(path, spool.blocks(gain), (spool.channels, spool.samples), tags(path.stem))
        with held():
            mel, frame_rate = spool.mel.finish()
            save_picture(draw_mels([{"": to_log1p(mel, spec)}], path.stem, spec, frame_rate), path.with_suffix(".png"))
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    return path


def _scratch(folder: Path) -> FileIO:
    """An empty file in `folder` without a name, gone when it is closed, or the process killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _reserve(wanted: Path) -> Path:
    """The path, or the first with -2, -3 … where neither it nor its picture or metadata was there yet.

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
