"""A published vocoder's weights: pinned by size and hash, found in the hub's cache or a folder, fetched where missing.

The hub's own client does the work. When a connection stalls or ends early it goes on from its last whole piece,
five times before it gives up; and it gives a file its name only when all of it is there.
"""

import errno
import hashlib
import json
import logging
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id
from yaml import YAMLError

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.progress import OnTransfer, Transfer

CONFIG_FILE, CHECKPOINT_FILE = "config.json", "bigvgan_generator.pt"


@dataclass(frozen=True)
class PinnedFile:
    """One file of a release; `size` in bytes, `sha256` as 64 hex digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Release:
    """`config` and `checkpoint` in repository `repo` of the hub, at the commit `revision`."""

    name: str
    repo: str
    revision: str
    config: PinnedFile
    checkpoint: PinnedFile

    @property
    def files(self) -> tuple[PinnedFile, PinnedFile]:
        return self.config, self.checkpoint

    @classmethod
    def read(cls, path: str | Path) -> "Release":
        """From a PIN file (YAML), like vendor/bigvgan/PIN. Raises UserError, naming the file and the fault."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: the pin cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{path}: is no pin: it is no text") from error
        try:
            # Not OmegaConf: nothing in a pin refers to anything else.
            values = yaml.safe_load(text)
        except YAMLError as error:
            raise UserError(f"{path}: is no pin: {error}") from error
        if not isinstance(values, dict):
            raise UserError(f"{path}: is no pin: expected keys and values as in vendor/bigvgan/PIN")
        try:
            return cls(
                name=_text(values, "name", r"[\w.-]+", "a name"),
                repo=_repo(values),
                # A branch or tag may move: only a commit says which files are meant.
                revision=_text(values, "hub_revision", r"[0-9a-f]{40}", "a commit, 40 hex digits"),
                config=_file(values, CONFIG_FILE),
                checkpoint=_file(values, CHECKPOINT_FILE),
            )
        except UserError as error:
            raise UserError(f"{path}: is no pin: {error}") from error


def _text(values: dict, key: str, pattern: str, what: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise UserError(f"{key}={value!r} must be {what}")
    return value


def _repo(values: dict) -> str:
    repo = _text(values, "hub_repo", r"[\w.-]+/[\w.-]+", "a repository, owner/name")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"hub_repo={repo!r} is none that the hub allows: {error}") from error
    return repo


def _file(values: dict, name: str) -> PinnedFile:
    entry = values.get(name)
    if not isinstance(entry, dict):
        raise UserError(f"{name} must have bytes and sha256")
    size = entry.get("bytes")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UserError(f"{name}: bytes={size!r} must be a whole number")
    return PinnedFile(name, size, _text(entry, "sha256", "[0-9a-f]{64}", "64 hex digits"))


ANSWER_SECONDS = 4.0
# Looking up a name can take longer than any timeout of the connection.
_PATIENCE_SECONDS = 6.0
_LEFTOVER_SECONDS = 3600

Answer = TypeVar("Answer")

# The client's own pieces are of 10 MB: on a slow line a bar would stand still for minutes, and cancelling wait for it.
constants.DOWNLOAD_CHUNK_SIZE = 1 << 18

# Its "trying to resume" on each break; what it gives up on comes through as an error.
logging.getLogger("huggingface_hub.file_download").setLevel(logging.ERROR)


class DownloadError(UserError):
    """A file cannot be had; `reason` says why in a few words."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def cache_folder() -> Path:
    """The hub's cache: HF_HUB_CACHE, else HF_HOME/hub, else its place in the home folder."""
    return Path(constants.HF_HUB_CACHE)


def download(
    repo: str, revision: str, file: PinnedFile, instead_of: Path | None = None, progress: OnTransfer | None = None
) -> Path:
    """The path of one file of a repository, at a commit, which is fetched into the hub's cache.

    `instead_of` is a wrong file that is there. An unreachable hub is told within 10 s. `progress` is called on this
    thread or the client's; what it raises ends the download.

    Raises:
        DownloadError: no connection, no such file, no permission, no room …
    """
    try:
        asked(lambda: get_hf_file_metadata(hf_hub_url(repo, file.name, revision=revision), timeout=ANSWER_SECONDS))
        _check_room(file.size)
        if instead_of is not None:
            # The client would go on naming it after fetching another.
            instead_of.unlink(missing_ok=True)
        path = hf_hub_download(
            repo,
            file.name,
            revision=revision,
            force_download=instead_of is not None,
            tqdm_class=lambda **bar: _Bar(file, progress, bar.get("initial", 0)),
        )
        _remove_leftovers(Path(os.path.realpath(path)))
        return Path(path)
    except UserError:
        raise
    # The client lets its HTTP library's errors through, and which library that is differs between its versions.
    except Exception as error:
        raise DownloadError(reason_of(error)) from error


def asked(question: Callable[[], Answer]) -> Answer:
    """What the hub answers, or raises; the client itself would go on trying for a minute.

    Raises:
        DownloadError: HF_ENDPOINT is no address.
        TimeoutError: no answer within 6 s.
    """
    if not re.match(r"https?://[^/]", constants.ENDPOINT):
        raise DownloadError(f"HF_ENDPOINT={constants.ENDPOINT!r} is no address of a hub")
    answer: queue.SimpleQueue[tuple[Answer | None, Exception | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put((question(), None))
        except Exception as error:  # carried over to the thread that waits
            answer.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        found, error = answer.get(timeout=_PATIENCE_SECONDS)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return found


def _check_room(size: int) -> None:
    folder = cache_folder()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(errno.ENOSPC, f"{size / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free")


def _remove_leftovers(blob: Path) -> None:
    """Halves of this file from processes that were killed; an hour, so that no client at work loses its own."""
    for half in blob.parent.glob(f"{blob.name}.*.incomplete"):
        with suppress(OSError):
            if time.time() - half.stat().st_mtime > _LEFTOVER_SECONDS:
                half.unlink()


class _Bar:
    """Stands where the hub's client expects a tqdm bar, and passes the bytes on."""

    def __init__(self, file: PinnedFile, progress: OnTransfer | None, done: int):
        self.n, self.total = done, file.size
        self._file, self._progress = file, progress
        self._begun, self._first = time.monotonic(), done

    def update(self, count: int) -> None:
        self.n += count
        speed = (self.n - self._first) / max(time.monotonic() - self._begun, 1e-9)
        if self._progress is not None:
            seconds_left = max(self.total - self.n, 0) / speed if speed > 0 else None
            self._progress(Transfer(self._file.name, self.n, self._file.size, seconds_left))

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

    def refresh(self, *_, **__) -> None:
        """Nothing is drawn here."""

    # The client's other protocol (Xet) tells bytes received and bytes written apart; the latter are counted.
    update_transfer = set_postfix_str = set_transfer_postfix_str = refresh


def reason_of(error: Exception) -> str:
    """Why the hub could not be used, in words for its user."""
    hub = constants.ENDPOINT
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        return reason_of(error.__cause__)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, which forbids the network"
    if isinstance(error, GatedRepoError):
        return "the hub wants its terms accepted first: visit the repository, then set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return "the hub has no such revision of the repository"
    if isinstance(error, RemoteEntryNotFoundError):
        return "the hub has no such file at this revision"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
            return f"the hub refuses ({status}): there is no such repository, or it wants a token (HF_TOKEN)"
        return f"the hub answers with an error ({status}): try again later"
    if isinstance(error, FileMetadataError):
        return f"{hub} does not answer like a hub (a proxy, a firewall, or HF_ENDPOINT?)"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: {error.strerror}. Free some space, or set HF_HOME to another disk"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "the file would be larger than the system allows: raise the limit (ulimit -f)"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be written ({error.strerror}): set HF_HOME to another folder"
    if "Timeout" in type(error).__name__:
        return f"{hub} did not answer in time"
    if "ConnectError" in type(error).__name__:
        return f"there is no connection to {hub}"
    return f"the connection to {hub} broke: {error or type(error).__name__}"


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
        """Whether a file is there and known to be the pinned one from an earlier look."""
        path = self.find(file)
        return path is not None and self._remembered().get(os.path.realpath(path)) == _state(path, file)

    def here(self) -> bool:
        """Whether all files are there, unchecked."""
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
