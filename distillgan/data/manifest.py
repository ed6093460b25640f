"""The manifest of a corpus: one entry a file, used or skipped with its reason, as it is stored in a run."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Literal, get_origin

from distillgan.atomic import replace_file
from distillgan.audio.io import printable
from distillgan.data.band import NONE
from distillgan.data.cache import AudioCache, AudioClip
from distillgan.data.decode import together
from distillgan.errors import UserError

FORMAT = "distillgan manifest 1"
TRAIN, HELD_OUT = "train", "held_out"
_LATER = {"generated", "channel", "band_limit_hz", "lufs", "appledouble"}  # fields that older manifests have not


@dataclass(frozen=True)
class Entry:
    """One file of the corpus, or where each channel is a recording of its own, one of its channels.

    `path` is relative to the corpus folder, with "/" (bytes that are no text as surrogates, as Python reads them).
    A used file has no `reason`, a `split`, and everything else filled; a skipped one has a `reason`, no `split`, and
    what was known by then. `note` is what the owner of a used file may want to know. `seconds`, `source_rate` (Hz)
    and `channels` describe the file itself; `peak_dbfs` (dBFS) and `frames` (samples) its mono sound at the corpus's
    rate, before `gain_db` (dB). `cache_key` finds that sound in the cache. `generated`: distillgan made it itself.
    `channel`: its number from 1, 0 for the file as a whole. `band_limit_hz`: above it there is nothing, 0 if the sound
    goes all the way up. `lufs` is as of `Sound`. Older manifests lack the last four.
    """

    path: str
    reason: str = ""
    note: str = ""
    seconds: float = 0.0
    source_rate: int = 0
    channels: int = 0
    peak_dbfs: float | None = None
    gain_db: float = 0.0
    frames: int = 0
    audio_hash: str = ""
    cache_key: str = ""
    split: str = ""
    generated: bool = False
    channel: int = 0
    band_limit_hz: float = NONE
    lufs: float | None = None

    @property
    def name(self) -> str:
        """Its name, unique in the corpus."""
        return f"{self.path}, channel {self.channel}" if self.channel else self.path

    @property
    def status(self) -> Literal["used", "skipped"]:
        return "skipped" if self.reason else "used"


@dataclass(frozen=True)
class Manifest:
    """A scanned corpus: `entries` in the order of their paths, `sample_rate` in Hz of the cached sound.

    `other_files` counts what is no audio and was not looked at, `appledouble` the files `._NAME` that macOS leaves
    beside recordings (0 in manifests from before they were counted).
    """

    folder: str
    sample_rate: int
    entries: list[Entry] = field(default_factory=list)
    other_files: int = 0
    appledouble: int = 0

    @property
    def used(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.reason]

    @property
    def skipped(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.reason]

    @property
    def minutes(self) -> float:
        """Length of the used files."""
        return sum(entry.seconds for entry in self.used) / 60

    @property
    def band_limit_hz(self) -> float:
        """Above it none of the sounds in use holds anything; 0 if one of them goes all the way up."""
        limits = [entry.band_limit_hz for entry in self.used]
        return max(limits) if limits and min(limits) > NONE else NONE

    @property
    def source_lufs(self) -> float | None:
        """The loudness of the recordings in use as one programme, LUFS; what was generated counts if it is all."""
        recorded = [entry for entry in self.used if not entry.generated] or self.used
        return together([(entry.lufs, entry.seconds) for entry in recorded if entry.lufs is not None])

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the sounds in use, whatever they are called: the same for the same corpus anywhere."""
        return hashlib.sha256("\n".join(sorted(entry.audio_hash for entry in self.used)).encode()).hexdigest()

    def clips(self, cache_folder: str | Path, split: str | None = None) -> list[AudioClip]:
        """The used files of one split (`train`, `held_out`; both without), ready to read from the cache of the scan."""
        cache = AudioCache(cache_folder, self.sample_rate)
        return [
            AudioClip(
                path=cache.audio_path(entry.cache_key),
                name=entry.name,
                length=entry.frames,
                sample_rate=self.sample_rate,
                gain=10 ** (entry.gain_db / 20),
                band_limit_hz=entry.band_limit_hz,
            )
            for entry in self.used
            if split in (None, entry.split)
        ]

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all. Raises UserError if the disk refuses."""
        values = {
            "format": FORMAT,
            "folder": self.folder,
            "sample_rate": self.sample_rate,
            "minutes": self.minutes,
            "fingerprint": self.fingerprint,
            "other_files": self.other_files,
            "appledouble": self.appledouble,
            "entries": [{"status": entry.status, **asdict(entry)} for entry in self.entries],
        }
        text = json.dumps(values, indent=1, ensure_ascii=False)
        with replace_file(path) as temporary:
            # A lone surrogate is no UTF-8; its backslash form is just JSON's own escape for it.
            temporary.write_bytes(text.encode("utf-8", "backslashreplace"))

    @classmethod
    def load(cls, path: str | Path) -> "Manifest":
        """Read what `save` wrote. Raises UserError, naming the file and the fault, for anything else."""
        try:
            values = json.loads(Path(path).read_bytes())
            return _parse(values)
        except (OSError, ValueError, RecursionError) as error:
            fault = error.strerror if isinstance(error, OSError) else error
            raise UserError(
                f"{printable(path)}: not a usable manifest ({fault}): train again to have the folder scanned anew"
            ) from error


def _parse(values: object) -> Manifest:
    """Raises ValueError with the fault."""
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    found = _parse_fields(Manifest, values, "manifest")
    found["entries"] = [_parse_entry(entry, f"entry {i}") for i, entry in enumerate(found["entries"])]
    manifest = Manifest(**found)
    if manifest.sample_rate <= 0:
        raise ValueError(f"sample_rate is {manifest.sample_rate}")
    if _take(values, "fingerprint", str, "manifest") != manifest.fingerprint:
        raise ValueError("its fingerprint does not match its entries")
    return manifest


def _parse_entry(values: object, where: str) -> Entry:
    if not isinstance(values, dict):
        raise ValueError(f"{where} is not an object")
    entry = Entry(**_parse_fields(Entry, values, where))
    if values.get("status") != entry.status:
        raise ValueError(f"{where}: status is {values.get('status')!r}, but its reason is {entry.reason!r}")
    if entry.split not in (("",) if entry.reason else (TRAIN, HELD_OUT)):
        raise ValueError(f"{where}: split is {entry.split!r}")
    if min(entry.seconds, entry.source_rate, entry.channels, entry.frames, entry.channel, entry.band_limit_hz) < 0:
        raise ValueError(f"{where}: a length, rate, limit or number of channels is negative")
    if not entry.reason and not (entry.frames and entry.audio_hash and entry.cache_key):
        raise ValueError(f"{where}: frames, audio_hash or cache_key is missing")
    return entry


def _parse_fields(cls: type, values: dict, where: str) -> dict:
    """The values of a dataclass's fields, but for those in _LATER that are not there."""
    return {
        item.name: _take(values, item.name, item.type, where)
        for item in fields(cls)
        if item.name in values or item.name not in _LATER
    }


def _take(values: dict, name: str, kind: type, where: str):
    if name not in values:
        raise ValueError(f"{where}: {name} is missing")
    value, kind = values[name], get_origin(kind) or kind
    if kind is UnionType:  # float | None
        if value is None:
            return None
        kind = float
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ValueError(f"{where}: {name} is {value!r}, not of type {kind.__name__}")
    return value
