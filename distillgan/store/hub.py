"""Models to and from a hub.

A repository of the hub as it stands: what lies in it, at which commit; and refusals in words.

The hub's own client speaks to it. Where it is and who asks: HF_ENDPOINT, HF_TOKEN or `hf auth login`.

Models out of a repository of the hub: fetched into its cache, checked tensor by tensor, copied into the library.

Nothing but `.distillgan` files is fetched: they are numbers and JSON, and loading them runs no code.

A model, its card and its examples to a repository of the hub: planned, told, then sent as one commit.
"""

import hashlib
import io
import logging
import os
import re
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
    try_to_load_from_cache,
)
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from distillgan.errors import UserError, printable
from distillgan.models.header import damaged_tensors, read_header, show
from distillgan.models.vocoders.weights import ANSWER_SECONDS, DownloadError, PinnedFile, asked, download, reason_of
from distillgan.paths import MODEL_SUFFIX, Home
from distillgan.progress import OnTransfer, Transfer
from distillgan.store.library import Imported, Origin, import_model, note_origin

# What it gives up on comes through as an error, and what it does instead of the faster way is no news.
for _module in ("_commit_api", "utils._http", "hf_api"):
    logging.getLogger(f"huggingface_hub.{_module}").setLevel(logging.ERROR)

_MOST_WORDS = 300


@dataclass(frozen=True)
class Listed:
    """A file of a repository: its size in bytes, and the hash that it is stored under: the SHA-256 of a large file,
    git's own of a small one."""

    path: str
    bytes: int
    sha256: str | None
    blob: str | None

    def same(self, file: Path) -> bool:
        """Is a file here the very same? Raises OSError if it cannot be read."""
        if os.stat(file).st_size != self.bytes:
            return False
        with file.open("rb") as content:
            if self.sha256 is not None:
                return hashlib.file_digest(content, "sha256").hexdigest() == self.sha256
            return hashlib.sha1(b"blob %d\0" % self.bytes + content.read()).hexdigest() == self.blob


@dataclass(frozen=True)
class Repository:
    """`owner/name` at a commit."""

    name: str
    commit: str
    private: bool
    files: tuple[Listed, ...]


def check_repo(name: str) -> str:
    """The name if it is `owner/name`, as the hub has them. Raises UserError."""
    try:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
            raise HFValidationError("it must be owner/name")
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"{name!r} is no repository of the hub: {error}") from error
    return name


def look(name: str, revision: str | None = None) -> Repository | None:
    """What is in a repository at a branch, tag or commit; None if there is none, or none that this token may see.

    Raises:
        UserError: the hub cannot be reached or refuses, or there is no such revision.
    """
    try:
        info = asked(lambda: HfApi().model_info(name, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS))
        files = tuple(_listed(sibling) for sibling in info.siblings or [])
        if not re.fullmatch("[0-9a-f]{40}", info.sha or ""):
            raise DownloadError(f"the hub names no commit but {show(info.sha)}")
    except GatedRepoError as error:
        raise UserError(f"{name}: {reason_of(error)}") from error
    except RepositoryNotFoundError:
        return None
    except (KeyError, TypeError, AttributeError, JSONDecodeError) as error:
        raise UserError(f"{constants.ENDPOINT} does not answer like a hub (a proxy, or HF_ENDPOINT?)") from error
    except Exception as error:
        raise UserError(f"{name}: {words(error)}") from error
    return Repository(name, info.sha, bool(info.private), files)


def words(error: Exception) -> str:
    """Why the hub, or the way to it, refuses, for the person who asked."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):  # the client's, around an upload
        return words(error.__cause__)
    if isinstance(error, ValueError) and not isinstance(error, HfHubHTTPError):  # a refusal within an answer
        return f"the hub does not take it: {printable(' '.join(str(error).split()))[:_MOST_WORDS]}"
    if not isinstance(error, HfHubHTTPError):
        return reason_of(error)
    status, told = error.response.status_code, _told(error)
    if status in (402, 413, 507) or re.search(r"quota|storage", told, re.IGNORECASE):
        return f"there is no room for it on the hub ({status}){told}"
    if status == 401 and "invalid" in f"{error}{told}".lower():
        return "the hub does not know this token (401): set HF_TOKEN to another, or say `hf auth login`"
    if status in (409, 412):
        return f"somebody else is changing the repository ({status}): look at it, and try again"
    if status in (400, 422):
        return f"the hub does not take it ({status}){told}"
    return reason_of(error) + told


def _told(error: HfHubHTTPError) -> str:
    """What the hub says itself, in one line."""
    text = " ".join(printable(" ".join((error.server_message or "").split())).split())
    return f": {text[:_MOST_WORDS]}" if text else ""


def _listed(sibling) -> Listed:
    size, lfs = sibling.size, sibling.lfs
    if not isinstance(sibling.rfilename, str):
        raise DownloadError(f"the hub lists a file of no name, {show(sibling.rfilename)}")
    if not isinstance(size, int) or size < 0:
        raise DownloadError(f"the hub does not say how large {show(sibling.rfilename)} is")
    return Listed(sibling.rfilename, size, None if lfs is None else lfs.sha256, sibling.blob_id)


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


EXAMPLES = "examples/"


@dataclass(frozen=True)
class Plan:
    """What a push would do. `there` is the repository as it is, None if it is to be made.

    send: path in the repository → file here; removed: paths that go; unchanged: paths that are the same already.
    """

    repo: str
    there: Repository | None
    private: bool
    send: dict[str, Path]
    replaced: list[str]
    removed: list[str]
    unchanged: list[str]

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.send.values())


def plan(repo: str, files: dict[str, Path], public: bool, replace: bool) -> Plan:
    """Look at the repository, and say what would become of it if `files` (path in it → file here) were its model.

    Raises:
        UserError: there is no token; the hub cannot be reached or refuses; another model is there, or another card,
            and `replace` is not said; the repository is public and `public` is not said, or the other way round.
    """
    if get_token() is None:
        raise UserError(
            "the hub wants to know who you are: set HF_TOKEN to a token that may write, or say `hf auth login` once"
        )
    there = look(repo)
    if there is None:
        return Plan(repo, None, not public, dict(files), [], [], [])
    if there.private == public:
        kind, say = ("private", "leave out --public") if there.private else ("public", "say --public")
        raise UserError(f"{repo} is there, and is {kind}: {say}, or change that on its page; a push does not")
    listed = {item.path: item for item in there.files}
    unchanged = [path for path, file in files.items() if path in listed and listed[path].same(file)]
    replaced = [path for path in files if path in listed and path not in unchanged]
    removed = [path for path in listed if path not in files and path.endswith(MODEL_SUFFIX)]
    if (replaced or removed) and not replace:
        others = ", ".join(map(printable, [*removed, *replaced]))
        raise UserError(
            f"{repo} holds something else already ({others}): choose another repository, or --replace puts this model "
            "in its place; the repository's history keeps the old one"
        )
    removed += [path for path in listed if path not in files and path.startswith(EXAMPLES)] if replace else []
    send = {path: file for path, file in files.items() if path not in unchanged}
    return Plan(repo, there, there.private, send, replaced, removed, unchanged)


def push(planned: Plan, message: str, progress: OnTransfer | None = None) -> str:
    """Send what was planned, and return the commit; the repository is as before, or has all of it.

    Large files are sent one after another and become visible with the commit alone.

    Raises:
        UserError: the hub refuses, the connection breaks for good, or somebody else has changed the repository since.
    """
    api, there = HfApi(), planned.there
    if not planned.send and not planned.removed:
        return there.commit
    try:
        if there is None:
            _create(api, planned)
        with ExitStack() as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the client's advice on front matter
            operations = []
            for path, file in planned.send.items():
                content = opened.enter_context(_Counted(file, _teller(path, file.stat().st_size, progress)))
                operations.append(CommitOperationAdd(path, content))
                content.counts = True
                api.preupload_lfs_files(planned.repo, operations[-1:])  # by itself: Ctrl-C ends what this thread does
            operations += [CommitOperationDelete(path) for path in planned.removed]
            parent = None if there is None else there.commit
            return api.create_commit(planned.repo, operations, commit_message=message, parent_commit=parent).oid
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{planned.repo}: {words(error)}. Nothing in it is changed") from error


def _create(api: HfApi, planned: Plan) -> None:
    try:
        asked(lambda: api.create_repo(planned.repo, private=planned.private))
    except Exception as error:
        owner, status = planned.repo.partition("/")[0], getattr(getattr(error, "response", None), "status_code", None)
        if status in (403, 404):
            raise UserError(
                f"{planned.repo} cannot be made ({status}): there is no such user or organisation as {owner}, or your "
                "token may not write for it"
            ) from error
        raise


class _Counted(io.BufferedReader):
    """A file that tells how far it has been read, once `counts` is set: before, it is only hashed."""

    counts = False

    def __init__(self, path: Path, tell: Callable[[int], None]):
        super().__init__(io.FileIO(path))
        self._tell = tell

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.counts and data:
            self._tell(self.tell())
        return data


def _teller(path: str, size: int, progress: OnTransfer | None) -> Callable[[int], None]:
    begun = time.monotonic()

    def tell(done: int) -> None:
        if progress is not None:
            speed = done / max(time.monotonic() - begun, 1e-9)
            progress(Transfer(path, done, size, (size - done) / speed))

    return tell
