"""A release's two files: found in the hub's cache or a folder, checked against the pin, fetched where missing."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.progress import OnTransfer
from distillgan.vocoder.download import DownloadError, cache_folder, download
from distillgan.vocoder.release import PinnedFile, Release


class Weights:
    """The files of `release`, in `folder` if one is given, else in the hub's cache.

    `memory` is a JSON file that remembers which files were found to be the pinned ones, so that 489 MB are hashed once.
    """

    def __init__(self, release: Release, memory: Path, folder: str | Path | None = None):
        self.release = release
        self.folder = None if folder is None else Path(folder)
        self._memory = memory

    def find(self, file: PinnedFile) -> Path | None:
        """Where a file is, or None; nothing is checked, and the network is not touched."""
        if self.folder is not None:
            path = self.folder / file.name
            return path if path.is_file() else None
        found = try_to_load_from_cache(self.release.repo, file.name, revision=self.release.revision)
        return Path(found) if isinstance(found, str) else None

    def checked(self, file: PinnedFile) -> bool:
        """Is a file there and known to be the pinned one from an earlier look?"""
        path = self.find(file)
        return path is not None and self._remembered().get(os.path.realpath(path)) == _state(path, file)

    def here(self) -> bool:
        """Are all files there, unchecked?"""
        return all(self.find(file) is not None for file in self.release.files)

    def get(self, progress: OnTransfer | None = None) -> tuple[Path, Path]:
        """Config and checkpoint, checked; fetched first where the hub's cache lacks them or has something else.

        Files that are there cause no network call.

        Raises:
            UserError: they cannot be had, or are not those of the pin; says which, where, and what to do.
        """
        return tuple(self._get(file, progress) for file in self.release.files)

    def verify(self) -> tuple[Path, Path]:
        """Config and checkpoint, hashed now whatever is remembered. Raises UserError; fetches nothing."""
        return tuple(self._present(file, trusting=False) for file in self.release.files)

    def _get(self, file: PinnedFile, progress: OnTransfer | None) -> Path:
        path = self.find(file)
        if self.folder is not None:
            return self._present(file, trusting=True)
        if path is not None and self._fault(file, path, trusting=True) is None:
            return path
        try:
            repo, revision = self.release.repo, self.release.revision
            path = download(repo, revision, file, instead_of=path, progress=progress)
        except DownloadError as error:
            raise UserError(f"{file.name} could not be fetched: {error.reason}\n{self._remedy()}") from error
        fault = self._fault(file, path, trusting=False)
        if fault is not None:
            # The link and what it points to: under its final name it would be taken for the real one.
            Path(os.path.realpath(path)).unlink()
            path.unlink(missing_ok=True)
            raise UserError(f"{path}: what the hub sent is not kept, {fault}\n{self._remedy()}")
        return path

    def _present(self, file: PinnedFile, trusting: bool) -> Path:
        path = self.find(file)
        if path is None:
            place = f"vocoder.weights_dir={self.folder}" if self.folder else str(cache_folder())
            if self.folder is not None and not self.folder.is_dir():
                raise UserError(f"{place}: there is no such folder\n{self._remedy()}")
            raise UserError(f"{place}: there is no {file.name} of {self.release.name}\n{self._remedy()}")
        fault = self._fault(file, path, trusting)
        if fault is not None:
            raise UserError(f"{path}: is not used, {fault}\n{self._remedy()}")
        return path

    def _fault(self, file: PinnedFile, path: Path, trusting: bool) -> str | None:
        """What makes a file another than the pinned one, or None; `trusting`: a remembered check is enough."""
        try:
            state = _state(path, file)
            if state[0] != file.size:
                return f"it has {state[0]} bytes, the pinned file has {file.size}"
            known, key = self._remembered(), os.path.realpath(path)
            if trusting and known.get(key) == state:
                return None
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        if digest != file.sha256:
            return f"its sha256 is {digest}, the pin says {file.sha256}"
        with suppress(UserError), replace_file(self._memory) as temporary:  # without it they are hashed once more
            temporary.write_text(json.dumps({**known, key: state}), encoding="ascii")
        return None

    def _remembered(self) -> dict:
        """{} where it is missing or damaged: the files are then hashed once more."""
        try:
            values = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def _remedy(self) -> str:
        release = self.release
        files = " and ".join(f"{file.name} ({file.size:,} bytes)" for file in release.files)
        return (
            f"  repository {release.repo}, revision {release.revision}\n"
            f"  files      {files}\n"
            f"  cache      {cache_folder()}\n"
            "With a connection, `distillgan weights --fetch` gets them. Without one, fetch both by hand elsewhere and "
            "name their folder: vocoder.weights_dir=PATH"
        )


def _state(path: Path, file: PinnedFile) -> list:
    """What changes when a file's content does; a cache's link is followed to the file itself."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, file.sha256]
