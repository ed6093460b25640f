"""A folder of recordings → manifest: every file used, or skipped with its reason."""

import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import soundfile as sf

from distillgan.audio import media
from distillgan.audio.io import AudioFileError, printable
from distillgan.data.band import readable
from distillgan.data.cache import AudioCache
from distillgan.data.decode import Sound, gain_db
from distillgan.data.downmix import EACH, MIX
from distillgan.data.manifest import HELD_OUT, TRAIN, Entry, Manifest
from distillgan.errors import UserError

Progress = Callable[[int, int, str], None]

_FORMATS = {f".{name.lower()}" for name in sf.available_formats() if name != "RAW"}
_ALIASES = {".wave", ".bwf", ".aif", ".aifc", ".oga", ".opus", ".snd", ".sf", ".8svx", ".sph", ".amb"}
AUDIO_SUFFIXES = frozenset(_FORMATS | _ALIASES | set(media.FORMATS))
# Recordings from old Macs and field recorders come without a suffix.
_MAGIC = re.compile(rb"(RIFF|RF64|BW64)....WAVE|FORM....AIF[FC]|fLaC|caff", re.DOTALL)

_HELD_OUT_SHARE = 0.2
_HELD_OUT_FROM = 5
_VERY_QUIET_DB = 40.0
_REASONS_SHOWN = 20


def scan(
    folder: str | Path,
    cache_folder: str | Path,
    spec_rate: int = 44100,
    progress: Progress | None = None,
    channels: str = MIX,
) -> Manifest:
    """Look at every audio file below `folder`, decode what the cache does not hold yet, and decide on each.

    Hidden files and folders are left out. The cached sound has `spec_rate` Hz. `progress(done, total, path)` is called
    before each file with the number of files done and its path, and once at the end with done = total and "".
    `channels`: what is learnt of several, as `data.downmix.chosen` gives it; with "each" every channel is a recording.

    Raises:
        UserError: the folder is missing, not a folder, or holds no usable file (with the reasons); the cache cannot
            be written.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        fault = "it is a file, not a folder" if root.exists() else "there is no such folder"
        raise UserError(f"data.dir={printable(root)}: {fault}: give the folder that holds your recordings")
    root = root.resolve()
    paths, refused, others, appledouble = find_audio(root)
    entries = [Entry(path, reason=reason) for path, reason in refused.items()]
    with AudioCache(cache_folder, spec_rate) as cache:
        for done, path in enumerate(paths):
            if progress:
                progress(done, len(paths), path)
            try:
                entries += _entries(cache, root, path, channels)
            except AudioFileError as error:
                entries.append(Entry(path, reason=error.reason))
    if progress:
        progress(len(paths), len(paths), "")
    entries.sort(key=lambda entry: (*_order(entry.path), entry.channel))
    manifest = Manifest(str(root), spec_rate, split(mark_duplicates(entries)), others, appledouble)
    if not manifest.used:
        raise _nothing_usable(manifest)
    return manifest


def find_audio(root: Path) -> tuple[list[str], dict[str, str], int, int]:
    """Relative paths of what looks like audio; of what cannot be looked at, with reasons; numbers of the others.

    The first number counts other files, the second AppleDouble files: `._take.mp3` holds what macOS could not put into
    take.mp3 itself, on a stick or in a zip. The paths are in an order that does not depend on the file system. Links
    are followed, each folder is visited once: by its own path if that lies below `root`, otherwise by the first link.
    """
    found, refused, others, appledouble = [], {}, 0, 0
    visited = set()
    folders, linked = deque([""]), deque()
    while folders or linked:
        prefix = (folders or linked).popleft()
        try:
            stat = os.stat(os.path.join(root, prefix))
            if (stat.st_dev, stat.st_ino) in visited:
                continue
            visited.add((stat.st_dev, stat.st_ino))
            with os.scandir(os.path.join(root, prefix)) as listing:
                listed = list(listing)
            items = sorted((item for item in listed if item.name[0] != "."), key=lambda item: _order(item.name))
            appledouble += sum(item.name.startswith("._") and _has_audio_suffix(item.name) for item in listed)
        except OSError as error:
            refused[prefix or "."] = AudioFileError.from_os(prefix, error).reason
            continue
        for item in items:
            path = f"{prefix}{item.name}"
            try:
                if item.is_dir():
                    (linked if item.is_symlink() else folders).append(f"{path}/")
                elif item.is_file() and _looks_like_audio(item):
                    found.append(path)
                elif item.is_symlink() and not os.path.exists(item.path) and _has_audio_suffix(item.name):
                    refused[path] = "unreadable: a link to a file that is not there"
                else:
                    others += 1
            except OSError as error:
                refused[path] = AudioFileError.from_os(path, error).reason
    return sorted(found, key=_order), refused, others, appledouble


def mark_duplicates(entries: list[Entry]) -> list[Entry]:
    """The same entries; of those that sound the same to the sample only the first is still used.

    It is generated if any of them is: a copy may have lost its tags.
    """
    generated = {entry.audio_hash for entry in entries if entry.generated}
    first: dict[str, str] = {}
    marked = []
    for entry in entries:
        if not entry.reason:
            original = first.setdefault(entry.audio_hash, entry.name)
            if original != entry.name:
                entry = replace(entry, reason=f"duplicate: sounds the same as {printable(original)}", note="", split="")
            entry = replace(entry, generated=entry.audio_hash in generated)
        marked.append(entry)
    return marked


def split(entries: list[Entry]) -> list[Entry]:
    """The same entries; the fifth of the used files with the smallest audio hash is held out, from 5 files on.

    What was generated is trained on and counts for nothing here: a model is validated on recordings alone. The channels
    of a file stay together: one of them resembles the others.
    """
    smallest: dict[str, str] = {}
    for entry in entries:
        if not (entry.reason or entry.generated):
            smallest[entry.path] = min(entry.audio_hash, smallest.get(entry.path, entry.audio_hash))
    paths = sorted(smallest, key=lambda path: smallest[path])
    count = max(1, round(_HELD_OUT_SHARE * len(paths))) if len(paths) >= _HELD_OUT_FROM else 0
    held_out = set(paths[:count])
    return [
        entry if entry.reason else replace(entry, split=HELD_OUT if entry.path in held_out else TRAIN)
        for entry in entries
    ]


def _entries(cache: AudioCache, root: Path, path: str, channels: str) -> list[Entry]:
    """The entry of a file, or one a channel. Raises AudioFileError if it cannot be read at present."""
    file = os.path.join(root, path)
    if channels != EACH:
        return [_entry(path, *cache.sound(file, channels))]
    key, sound = cache.sound(file, "1")
    if sound.channels <= 1:
        return [_entry(path, key, sound)]
    more = [cache.sound(file, str(channel)) for channel in range(2, sound.channels + 1)]
    return [_entry(path, *found, channel) for channel, found in enumerate([(key, sound), *more], 1)]


def _entry(path: str, key: str, sound: Sound, channel: int = 0) -> Entry:
    copied = ("seconds", "source_rate", "channels", "peak_dbfs", "generated", "lufs")
    known = {name: getattr(sound, name) for name in copied}
    known["channel"] = channel
    if sound.reason:
        return Entry(path, reason=sound.reason, **known)
    gain = gain_db(sound.peak_dbfs, sound.loudest_dbfs)
    quiet = f"very quiet: raised by {gain:.0f} dB, its noise too" if gain > _VERY_QUIET_DB else ""
    limit = f"nothing above {readable(sound.band_limit_hz)}" if sound.band_limit_hz else ""
    return Entry(
        path,
        note="; ".join(filter(None, [sound.note, limit, quiet])),
        **known,
        gain_db=gain,
        frames=sound.frames,
        audio_hash=sound.audio_hash,
        cache_key=key,
        band_limit_hz=sound.band_limit_hz,
    )


def _order(path: str) -> tuple[str, str]:
    return path.casefold(), path


def _has_audio_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES


def _looks_like_audio(item: os.DirEntry) -> bool:
    if _has_audio_suffix(item.name):
        return True
    if os.path.splitext(item.name)[1]:
        return False
    with open(item.path, "rb") as file:
        return _MAGIC.match(file.read(12)) is not None


def _nothing_usable(manifest: Manifest) -> UserError:
    where = f"data.dir={printable(manifest.folder)}: no usable audio file"
    if not manifest.entries:
        others = f"it holds no audio, only {manifest.other_files} other file{'s' * (manifest.other_files > 1)}"
        what = others if manifest.other_files else "the folder is empty"
        return UserError(f"{where}, {what}: give a folder with wav, aiff, flac, ogg or mp3 files")
    reasons = [f"  {printable(entry.name)}: {entry.reason}" for entry in manifest.entries[:_REASONS_SHOWN]]
    if len(manifest.entries) > _REASONS_SHOWN:
        reasons.append(f"  and {len(manifest.entries) - _REASONS_SHOWN} more")
    return UserError("\n".join([f"{where} among {len(manifest.entries)}:", *reasons]))
