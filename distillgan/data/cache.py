"""Decoded audio on disk: every file is decoded once, whatever it is called and wherever it lies.

    <key>.npy    mono float32 [N] at the corpus's rate, before any gain
    <key>.json   its `Sound`: levels, audio hash, or why it cannot be used
    files.json   path → size, times and hash of its bytes, so that unchanged files need not be read again to know them

The key is over the file's bytes, the rate, the decoder and which channel is taken. An entry is written whole or not at
all.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import soundfile as sf

from distillgan.atomic import replace_file
from distillgan.audio.io import AudioFileError, printable
from distillgan.data.band import NONE
from distillgan.data.decode import DECODER_VERSION, Sound, Unusable, decode, gain_db
from distillgan.data.downmix import MIX
from distillgan.errors import UserError

_NPY_HEADER_BYTES = 128


@dataclass(frozen=True)
class AudioClip:
    """One used file: `length` samples at `sample_rate` Hz in a cached .npy, to be multiplied by `gain` (linear).

    `name` is its path in the corpus; above `band_limit_hz` it holds nothing, 0 if it goes all the way up; `lufs` as of
    `Sound`, None where it was not asked for. Small and picklable: the audio stays on disk.
    """

    path: Path
    name: str
    length: int
    sample_rate: int
    gain: float
    band_limit_hz: float = NONE
    lufs: float | None = None

    def read(self, start: int, count: int) -> np.ndarray:
        """Samples start … start + count as float32 [count], gain applied, zeros past the end.

        Raises:
            ValueError: a negative start or count.
            UserError: the cached file is gone or damaged.
        """
        if start < 0 or count < 0:
            raise ValueError(f"start={start} and count={count} must not be negative")
        samples = np.zeros(count, np.float32)
        # Mapped for this read only: pages of a standing map would count as this process's memory for ever.
        try:
            mapped = np.load(self.path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise UserError(f"{printable(self.path)}: the cached audio is gone or damaged: start again") from error
        found = mapped[start : start + count]
        np.multiply(found, np.float32(self.gain), out=samples[: len(found)])
        return samples


class AudioCache:
    """The cache folder for one sample rate in Hz. A context manager: leaving it stores the index of known files."""

    def __init__(self, folder: str | Path, rate: int):
        self.folder = Path(folder).expanduser()
        self.rate = rate
        self._index_path = self.folder / "files.json"
        self._index = _read_json(self._index_path)

    def __enter__(self) -> "AudioCache":
        return self

    def __exit__(self, *_) -> None:
        known = {path: entry for path, entry in self._index.items() if os.path.lexists(path)}
        _write_json(self._index_path, known)

    def audio_path(self, key: str) -> Path:
        """The path of the audio of the entry `key`."""
        return self.folder / f"{key}.npy"

    def sound(self, path: str | os.PathLike, channels: str = MIX) -> tuple[str, Sound]:
        """The entry's key and what is known of the file, which is decoded only if no sound entry is there.

        channels: which of them, or how they become one, as of `decode`.

        Raises:
            AudioFileError: the file cannot be read at present; nothing is remembered of that.
            UserError: the cache cannot be written (disk full, no permission).
        """
        try:
            before = _stamp(path)
            content = self._known_content(path, before)
            if not content:
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            key = self._key(content, channels)
            sound = self._stored(key)
            if sound is None:
                sound = self._decode(path, key, channels)
            if _stamp(path) != before:
                self._forget(key)
                raise AudioFileError(path, "unreadable: it changed while it was read: scan again", transient=True)
        except OSError as error:
            raise AudioFileError.from_os(path, error) from error
        self._index[os.path.abspath(path)] = [*before, content]
        return key, sound

    def clip(self, path: str | os.PathLike) -> AudioClip:
        """One file as a clip, with the gain that a corpus would give it.

        Raises:
            UserError: as `sound`, or the file holds no usable sound; names it and the reason.
        """
        key, sound = self.sound(path)
        if sound.reason:
            raise UserError(f"{printable(path)}: {sound.reason}")
        gain = 10 ** (gain_db(sound.peak_dbfs, sound.loudest_dbfs) / 20)
        name, limit = Path(path).name, sound.band_limit_hz
        return AudioClip(self.audio_path(key), name, sound.frames, self.rate, gain, limit, sound.lufs)

    def _decode(self, path: str | os.PathLike, key: str, channels: str) -> Sound:
        try:
            with replace_file(self.audio_path(key)) as temporary, open(temporary, "wb+") as out:
                sound = decode(path, out, self.rate, channels)
        except Unusable as unusable:
            sound = unusable.sound
        # After the audio: an entry without its audio is redone, audio without its entry is overwritten.
        _write_json(self.folder / f"{key}.json", asdict(sound))
        return sound

    def _stored(self, key: str) -> Sound | None:
        values = _read_json(self.folder / f"{key}.json")
        if set(values) != {field.name for field in fields(Sound)}:
            return None
        sound = Sound(**values)
        if not sound.reason:
            try:
                size = self.audio_path(key).stat().st_size
            except OSError:
                return None
            if size != _NPY_HEADER_BYTES + 4 * sound.frames:
                return None
        return sound

    def _forget(self, key: str) -> None:
        self.audio_path(key).unlink(missing_ok=True)
        (self.folder / f"{key}.json").unlink(missing_ok=True)

    def _known_content(self, path: str | os.PathLike, stamp: list[int]) -> str | None:
        """The hash of an unchanged file's bytes; older indexes have it at the beginning of a whole key."""
        entry = self._index.get(os.path.abspath(path))
        return str(entry[-1]).partition("-")[0] if isinstance(entry, list) and entry[:-1] == stamp else None

    def _key(self, content: str, channels: str) -> str:
        # libsndfile's version too: a newer one may open what this one cannot.
        key = f"{content}-{self.rate}-{DECODER_VERSION}-{sf.__libsndfile_version__}"
        return key if channels == MIX else f"{key}-{channels}"


def _stamp(path: str | os.PathLike) -> list[int]:
    """Size, times and inode, of which one changes when a file's content does."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _write_json(path: Path, values: dict) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(values), encoding="ascii")


def _read_json(path: Path) -> dict:
    """{} if it is missing or damaged: everything in the cache can be made again."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
