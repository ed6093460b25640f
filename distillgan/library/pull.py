"""Models out of a repository of the hub: fetched into its cache, checked tensor by tensor, copied into the library.

Nothing but `.distillgan` files is fetched: they are numbers and JSON, and loading them runs no code.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from distillgan.errors import UserError, printable
from distillgan.library.hub import Listed, Repository, look
from distillgan.library.origins import Origin, note_origin
from distillgan.library.shelf import Imported, import_model
from distillgan.modelcopy import damaged_tensors
from distillgan.modellayout import read_header
from distillgan.paths import MODEL_SUFFIX, Home
from distillgan.progress import OnTransfer
from distillgan.vocoder.download import DownloadError, download
from distillgan.vocoder.release import PinnedFile

_SHOWN = 8
_OLD = ".distill"
_PICKLES = (_OLD, ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


@dataclass(frozen=True)
class Found:
    """The model files of a repository at a commit, by path."""

    repository: Repository
    models: tuple[Listed, ...]


def find(repo: str, revision: str | None = None) -> Found:
    """The models of a repository at a branch, tag or commit.

    Raises:
        UserError: there is no such repository or revision, or none that this token may see; it holds no model; the hub
            cannot be reached.
    """
    there = look(repo, revision)
    if there is None:
        raise UserError(f"the hub has no repository {repo}, or it is private: then set HF_TOKEN or say `hf auth login`")
    models = tuple(item for item in there.files if item.path.endswith(MODEL_SUFFIX))
    if not models:
        raise UserError(_no_model(there))
    for item in models:
        # The path becomes one in the hub's cache
        if not re.fullmatch(r"(?:[\w][\w .+-]*/)*[\w][\w .+-]*", item.path) or ".." in item.path:
            raise UserError(f"{repo}: {item.path!a} is no path that is fetched: let its owner give it a plain name")
    return Found(there, models)


def pull(home: Home, found: Found, item: Listed, name: str | None, progress: OnTransfer | None = None) -> Imported:
    """Fetch one model, check it, copy it into the library as `import_model` does, and note its origin.

    A connection that breaks is gone on with; a file that is in the hub's cache already is not fetched again.

    Raises:
        UserError: it cannot be fetched, is no whole and undamaged model, or its name is taken.
    """
    there = found.repository
    path = _fetched(there, item, progress)
    imported = import_model(home, path, name)
    note_origin(home, read_header(imported.path).fingerprint, Origin(there.name, there.commit, item.path))
    return imported


def _fetched(there: Repository, item: Listed, progress: OnTransfer | None) -> Path:
    where = f"{item.path} of {there.name}"
    cached = try_to_load_from_cache(there.name, item.path, revision=there.commit)
    path = Path(cached) if isinstance(cached, str) else None
    if path is not None and _fault(path, item) is None:
        return path
    try:
        pinned = PinnedFile(item.path, item.bytes, item.sha256 or "")
        path = download(there.name, there.commit, pinned, instead_of=path, progress=progress)
    except DownloadError as error:
        raise UserError(f"{where} could not be fetched: {error.reason}") from error
    fault = _fault(path, item)
    if fault is not None:
        # The link and what it points to: under its final name it would be taken for what it should be.
        Path(os.path.realpath(path)).unlink()
        path.unlink(missing_ok=True)
        raise UserError(f"{where} is not kept: {fault}")
    return path


def _fault(path: Path, item: Listed) -> str | None:
    """What is wrong with a fetched file: it is not what the hub lists, or no whole model."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if item.sha256 is not None and digest != item.sha256:
        return f"its sha256 is {digest}, the hub lists {item.sha256}: pull it again"
    try:
        damaged = damaged_tensors(path)
    except UserError as fault:
        return str(fault).removeprefix(f"{path}: ")
    return f"damaged: {', '.join(map(printable, damaged[:_SHOWN]))}" if damaged else None


def _no_model(there: Repository) -> str:
    names = [printable(item.path) for item in there.files]
    held = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    said = f"{there.name} holds no {MODEL_SUFFIX} file, only {held or 'nothing'}"
    if any(name.lower().endswith(_PICKLES) for name in names):
        said += ". Pickles (.distill, .pt, .bin …) can run code when they are loaded and are never read: retrain"
    return said
