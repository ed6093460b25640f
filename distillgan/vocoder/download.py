"""One file of the hub into its standard cache: with progress, cancellable, and with errors in words.

The hub's own client does the work. When a connection stalls or ends early it goes on from its last whole piece,
five times before it gives up; and it gives a file its name only when all of it is there.
"""

import errno
import logging
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from distillgan.errors import UserError
from distillgan.progress import OnTransfer, Transfer
from distillgan.vocoder.release import PinnedFile

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
    """Fetch one file of a repository, at a commit, into the hub's cache and return its path; `instead_of` is a wrong
    one that is there.

    An unreachable hub is told within 10 s. `progress` is called on this thread or the client's; what it raises ends
    the download.

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
