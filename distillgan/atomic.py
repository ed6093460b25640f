"""Atomic files, written beside their place under a hidden name, synced, renamed; and the lock of a name."""

import errno
import filecmp
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from distillgan.errors import UserError
from distillgan.paths import Home

_LEFTOVER_SECONDS = 3600

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder",
    errno.EFBIG: "the file would be larger than the system allows: raise the limit (ulimit -f), or choose another disk",
    errno.EACCES: "no permission: allow writing in this folder, or choose another one",
    errno.EPERM: "no permission: allow writing in this folder, or choose another one",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.EISDIR: "a folder of that name is there: remove it, or choose another name",
    errno.ENOTDIR: "part of the path is a file, not a folder: choose another folder",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends well, it takes the place of `path` in one step.

    The temporary file lies in the same folder (made if missing), keeps the suffix, and its name starts with ".", so
    that no listing shows it. A symbolic link is followed: what it points to is replaced. On any exception, Ctrl-C
    included, the temporary file is removed and an existing `path` is untouched. After a `kill -9` the temporary file
    stays; the next write of the same path removes it once it is an hour old.

        with replace_file(path) as temporary:
            temporary.write_bytes(data)

    The block should do nothing but write: every OSError in it is taken for a failed write of `path`.

    Raises:
        UserError: the write failed (disk full, no permission …); names the path and the remedy.
    """
    # realpath, not Path.resolve: a circle of links makes the latter raise RuntimeError
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise refused(path, error) from error
        raise
    # The new file is in place already, and some systems cannot sync a folder: no reason to report a failure
    with suppress(OSError):
        _sync(target.parent)


def copy_beside(source: Path, folder: Path, name: str) -> tuple[Path, bool]:
    """Copy a file, byte by byte, into a folder that is there, as `name`, or as name-2, -3 … where others have it.

    Returns where it is, and whether it is new: the same file under such a name stays the only one.

    Raises:
        UserError: as `replace_file`; nothing half is left.
    """
    stem, suffix = os.path.splitext(name)
    for number in itertools.count(1):
        path = folder / (name if number == 1 else f"{stem}-{number}{suffix}")
        try:
            path.touch(exist_ok=False)  # of two at work each gets its own
            break
        except FileExistsError:
            if path.is_file() and filecmp.cmp(source, path, shallow=False):
                return path, False
        except OSError as error:
            raise refused(path, error) from error
    try:
        with replace_file(path) as temporary:
            shutil.copyfile(source, temporary)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, True


def refused(path: str | Path, error: OSError) -> UserError:
    """The error to raise when the system refuses to write `path`: it names the path and the remedy."""
    reason = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}: choose another folder")
    return UserError(f"{path} could not be written: {reason}")


def _sync(path: Path) -> None:
    # Windows syncs only what is open for writing; a folder opens only for reading
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_leftovers(target: Path) -> None:
    """Temporary files of `target` from processes that were killed; an hour, so that no writer at work loses its own."""
    start, end = f".{target.name}.", target.suffix
    length = len(start) + 8 + len(end)
    with os.scandir(target.parent) as entries:
        for entry in entries:
            if len(entry.name) == length and entry.name.startswith(start) and entry.name.endswith(end):
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _LEFTOVER_SECONDS:
                        os.unlink(entry.path)


@contextmanager
def process_lock(home: Home, name: str, words: str, wait: float = 0.0) -> Iterator[None]:
    """The name is this process's while the block runs, for whoever trains or changes the run or the model of it.

    Raises:
        UserError: another process has it for longer than `wait` seconds; it says `words`.
    """
    home.runs.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(home.lock(name)).acquire(timeout=wait)
    except Timeout:
        raise UserError(words) from None
    with lock:
        yield
