"""The recordings that the page knows: folders of its own in <home>/corpora, and folders elsewhere that are noted there.

<home>/corpora/<name>/       copies of what was uploaded
<home>/corpora/<name>.json   {"folder": path of a folder elsewhere, which is never written to}
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distillgan.atomic import copy_beside, refused, replace_file
from distillgan.audio.io import printable
from distillgan.data.cache import AudioClip
from distillgan.data.downmix import MIX
from distillgan.data.manifest import Entry, Manifest
from distillgan.data.scan import AUDIO_SUFFIXES, scan
from distillgan.errors import UserError
from distillgan.paths import Home, check_name, shortened

COLUMNS = 96  # of an outline
_LOOKED_AT = 4096  # samples of a column, at most: an hour's outline takes no longer than a minute's
_LETTERS = 120  # and bytes of a file's name, at most
_HEARD_SECONDS = 120.0


@dataclass(frozen=True)
class Added:
    """What became of uploads: the names of the copies, and in words why others were left out."""

    names: list[str]
    left_out: list[str]


class Corpora:
    """The corpora of a home, by name."""

    def __init__(self, home: Home):
        self.home, self.root = home, home.root / "corpora"

    def names(self) -> list[str]:
        own = {path.name for path in self.root.glob("*") if path.is_dir() and path.name[0] != "."}
        return sorted(own | {path.stem for path in self.root.glob("*.json") if path.name[0] != "."}, key=str.casefold)

    def is_own(self, name: str) -> bool:
        """Do its files lie in this home, so that they may be added to and deleted?"""
        return (self.root / check_name(name)).is_dir()

    def folder(self, name: str) -> Path:
        """Where its recordings are. Raises UserError if there is no such corpus, or its note is damaged."""
        name = check_name(name)
        if self.is_own(name):
            return self.root / name
        note = self.root / f"{name}.json"
        try:
            return Path(json.loads(note.read_text())["folder"])
        except FileNotFoundError:
            raise UserError(f"there is no corpus called {name} any more: choose another one") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{note} is damaged ({error}): delete it, and note the folder anew") from error

    def add(self, name: str, files: Sequence[Path]) -> Added:
        """Copy files byte for byte into the corpus, which begins with them if there is none of the name.

        A name that is taken by another file gets -2, -3 …; a file that is there already is not copied again.

        Raises:
            UserError: the name is none, or that of a folder elsewhere; nothing in `files` is audio; the disk refuses.
        """
        name = check_name(name)
        if (self.root / f"{name}.json").exists():
            raise UserError(f"{name} is a folder of yours ({self.folder(name)}), which the page leaves as it is")
        audio = [file for file in files if file.suffix.lower() in AUDIO_SUFFIXES or not file.suffix]
        audio = [file for file in audio if not file.name.startswith("._")]  # macOS's, beside the recording
        left_out = [f"{printable(file.name)}: no audio file" for file in files if file not in audio]
        if not audio:
            what = "; ".join(left_out) or "no files"
            raise UserError(f"nothing to add ({what}): give wav, aiff, flac, ogg or mp3 files")
        names = []
        for file in audio:
            copied = _copied(file, self.root / name)
            if copied is None:
                left_out.append(f"{printable(file.name)}: it is there already")
            else:
                names.append(copied)
        return Added(names, left_out)

    def note(self, name: str, folder: str) -> Path:
        """Take a folder of this machine as the corpus of that name; nothing is copied, nothing in it is changed.

        Raises:
            UserError: the name is none or taken, or there is no such folder.
        """
        name = check_name(name)
        if not folder.strip():
            raise UserError("type the path of a folder on this machine, such as ~/recordings/rain")
        path = Path(folder.strip()).expanduser()
        if not path.is_dir():
            fault = "it is a file, not a folder" if path.exists() else "there is no such folder on this machine"
            raise UserError(f"{printable(path)}: {fault}")
        if name in self.names() and (self.is_own(name) or self.folder(name) != path.resolve()):
            raise UserError(f"there is another corpus called {name}: choose another name")
        with replace_file(self.root / f"{name}.json") as temporary:
            temporary.write_text(json.dumps({"folder": str(path.resolve())}))
        return path.resolve()

    def scan(self, name: str, progress: Callable[[int, int, str], None] | None = None, channels: str = MIX) -> Manifest:
        """As `distillgan.data.scan.scan`. Raises UserError as that, with the reason of each file."""
        return scan(self.folder(name), self.home.decoded, progress=progress, channels=channels)

    def delete(self, name: str, path: str) -> None:
        """Delete one file of a corpus that lies in this home.

        Raises:
            UserError: the corpus is a folder elsewhere, or there is no such file in it.
        """
        if not self.is_own(name):
            raise UserError(f"{name} is a folder of yours, which the page leaves as it is: delete the file there")
        folder, file = self.root / name, self.root / name / path
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"there is no {printable(path)} in {name} any more")
        try:
            file.unlink()
        except OSError as error:
            raise refused(file, error) from error

    def forget(self, name: str) -> None:
        """Take a folder elsewhere, or a corpus without files, off the list; the folder elsewhere stays as it is.

        Raises:
            UserError: it has files here.
        """
        if self.is_own(name):
            try:
                (self.root / name).rmdir()
            except OSError as error:
                raise UserError(f"{name} still has files: remove them one by one, or delete {self.root / name}") from (
                    error
                )
        else:
            (self.root / f"{name}.json").unlink(missing_ok=True)

    def clip(self, manifest: Manifest, entry: Entry) -> AudioClip:
        """What is learnt of a file. Raises UserError, with the reason, of one that is skipped."""
        if entry.reason:
            raise UserError(f"{printable(entry.name)} is not used: {entry.reason}")
        at = [used.name for used in manifest.used].index(entry.name)
        return manifest.clips(self.home.decoded)[at]


def heard(clip: AudioClip) -> tuple[int, np.ndarray]:
    """The first two minutes at most: rate in Hz and int16 [N]."""
    wave = clip.read(0, min(clip.length, int(_HEARD_SECONDS * clip.sample_rate)))
    return clip.sample_rate, np.rint(np.clip(wave, -1, 1) * 32767).astype(np.int16)


def outline(clip: AudioClip) -> np.ndarray:
    """The clip's lowest and highest value in each of COLUMNS equal stretches, ±1: float32 [COLUMNS, 2]."""
    starts = np.linspace(0, clip.length, COLUMNS, endpoint=False).astype(int)
    width = max(1, min(_LOOKED_AT, clip.length // COLUMNS))
    pieces = [clip.read(int(start), width) for start in starts]
    return np.array([(piece.min(), piece.max()) for piece in pieces], np.float32).clip(-1, 1)


def _copied(file: Path, folder: Path) -> str | None:
    """The name of the copy; None if the same file is there already."""
    stem, suffix = _safe(file.stem).lstrip(".") or "recording", _safe(file.suffix)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(folder, error) from error
    path, new = copy_beside(file, folder, f"{stem}{suffix}")
    return path.name if new else None


def _safe(text: str) -> str:
    """For a part of a file's name on any system: letters of every alphabet stay."""
    return shortened(re.sub(r"[^\w .()+-]+", "_", text).strip(), _LETTERS, _LETTERS)
