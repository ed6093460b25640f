"""Models to and from a hub, through its own client: HF_ENDPOINT says where it is, HF_TOKEN or `hf auth login` who asks.

Only `.distillgan` files are fetched, and checked tensor by tensor: they are numbers and JSON, and run no code. A model
is sent with its card and its examples as one commit.
"""

import hashlib
import io
import logging
import os
import re
import time
import warnings
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
from distillgan.store.library import Imported, Provenance, import_model, note_provenance

# The client's failures come through as errors; its other ways to do the same are no news.
for _module in ("_commit_api", "utils._http", "hf_api"):
    logging.getLogger(f"huggingface_hub.{_module}").setLevel(logging.ERROR)

EXAMPLES = "examples/"
_LETTERS = 300  # of the hub's own message
_SHOWN = 8
_PICKLES = (".distill", ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository, its size in bytes, and its hash: SHA-256 for a large file, git's own for a small one."""

    path: str
    bytes: int
    sha256: str | None
    blob: str | None

    def same(self, file: Path) -> bool:
        """Whether a local file has the same content. Raises OSError if it cannot be read."""
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
    files: tuple[RemoteFile, ...]


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
    """A repository at a branch, tag or commit; None if there is none, or none that this token may see.

    Raises UserError if the hub cannot be reached or refuses, or there is no such revision.
    """
    try:
        info = asked(lambda: HfApi().model_info(name, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS))
        files = tuple(map(_remote_file, info.siblings or []))
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
    """The reason why the hub, or the way to it, refuses, for people."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):  # the client's, around an upload
        return words(error.__cause__)
    if isinstance(error, ValueError) and not isinstance(error, HfHubHTTPError):  # a refusal within an answer
        return f"the hub does not take it: {printable(' '.join(str(error).split()))[:_LETTERS]}"
    if not isinstance(error, HfHubHTTPError):
        return reason_of(error)
    text = printable(" ".join((error.server_message or "").split()))[:_LETTERS]
    status, message = error.response.status_code, f": {text}" if text else ""
    if status in (402, 413, 507) or re.search(r"quota|storage", message, re.IGNORECASE):
        return f"there is no room for it on the hub ({status}){message}"
    if status == 401 and "invalid" in f"{error}{message}".lower():
        return "the hub does not know this token (401): set HF_TOKEN to another, or say `hf auth login`"
    if status in (409, 412):
        return f"somebody else is changing the repository ({status}): look at it, and try again"
    if status in (400, 422):
        return f"the hub does not take it ({status}){message}"
    return reason_of(error) + message


def _remote_file(sibling) -> RemoteFile:
    size, lfs = sibling.size, sibling.lfs
    if not isinstance(sibling.rfilename, str):
        raise DownloadError(f"the hub lists a file of no name, {show(sibling.rfilename)}")
    if not isinstance(size, int) or size < 0:
        raise DownloadError(f"the hub does not say how large {show(sibling.rfilename)} is")
    return RemoteFile(sibling.rfilename, size, None if lfs is None else lfs.sha256, sibling.blob_id)


@dataclass(frozen=True)
class Found:
    """The model files of a repository at a commit, by path."""

    repository: Repository
    models: tuple[RemoteFile, ...]


def find(repo: str, revision: str | None = None) -> Found:
    """The models of a repository at a branch, tag or commit.

    Raises UserError if there is no such repository or revision, or none that this token may see, if it holds no model,
    or if the hub cannot be reached.
    """
    repository = look(repo, revision)
    if repository is None:
        raise UserError(f"the hub has no repository {repo}, or it is private: then set HF_TOKEN or say `hf auth login`")
    models = tuple(item for item in repository.files if item.path.endswith(MODEL_SUFFIX))
    if not models:
        names = [printable(item.path) for item in repository.files]
        held = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        said = f"{repository.name} holds no {MODEL_SUFFIX} file, only {held or 'nothing'}"
        if any(name.lower().endswith(_PICKLES) for name in names):
            said += ". Pickles (.distill, .pt, .bin …) can run code when they are loaded and are never read: retrain"
        raise UserError(said)
    for item in models:
        # The path becomes one in the hub's cache
        if not re.fullmatch(r"(?:[\w][\w .+-]*/)*[\w][\w .+-]*", item.path) or ".." in item.path:
            raise UserError(f"{repo}: {item.path!a} is no path that is fetched: let its owner give it a plain name")
    return Found(repository, models)


def pull(home: Home, found: Found, item: RemoteFile, name: str | None, progress: OnTransfer | None = None) -> Imported:
    """Fetch one model, check it, copy it into the library as `import_model` does, and note its provenance.

    A connection that breaks is resumed; a file in the hub's cache is not fetched again.

    Raises UserError if it cannot be fetched, is no whole and undamaged model, or its name is taken.
    """
    imported = import_model(home, _fetched(found.repository, item, progress), name)
    provenance = Provenance(found.repository.name, found.repository.commit, item.path)
    note_provenance(home, read_header(imported.path).fingerprint, provenance)
    return imported


def _fetched(repository: Repository, item: RemoteFile, progress: OnTransfer | None) -> Path:
    where = f"{item.path} of {repository.name}"
    cached = try_to_load_from_cache(repository.name, item.path, revision=repository.commit)
    path = Path(cached) if isinstance(cached, str) else None
    if path is not None and _fault(path, item) is None:
        return path
    try:
        pinned = PinnedFile(item.path, item.bytes, item.sha256 or "")
        path = download(repository.name, repository.commit, pinned, instead_of=path, progress=progress)
    except DownloadError as error:
        raise UserError(f"{where} could not be fetched: {error.reason}") from error
    fault = _fault(path, item)
    if fault is not None:
        # The link and what it points to: under its final name it would be taken for what it should be.
        Path(os.path.realpath(path)).unlink()
        path.unlink(missing_ok=True)
        raise UserError(f"{where} is not kept: {fault}")
    return path


def _fault(path: Path, item: RemoteFile) -> str | None:
    """The fault of a fetched file: it is not what the hub lists, or no whole model."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if item.sha256 is not None and digest != item.sha256:
        return f"its sha256 is {digest}, the hub lists {item.sha256}: pull it again"
    try:
        damaged = damaged_tensors(path)
    except UserError as fault:
        return str(fault).removeprefix(f"{path}: ")
    return f"damaged: {', '.join(map(printable, damaged[:_SHOWN]))}" if damaged else None


@dataclass(frozen=True)
class Plan:
    """The effect of a push. `there` is the repository as it is, None if it is to be made.

    send: local files by path in the repository; removed: paths that go; unchanged: paths that are the same already.
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
    """The effect on a repository of sending `files`, local files by path in it, as its model.

    Raises UserError if there is no token, the hub cannot be reached or refuses, another model or card is there and not
    `replace`, or the repository is not `public` or private as asked for.
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

    Raises UserError if the hub refuses, the connection breaks for good, or somebody else has changed the repository.
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
                content = opened.enter_context(_Counted(path, file, progress))
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
    """A file that reports how far it has been read, once `counts` is set: before, it is only hashed."""

    counts = False

    def __init__(self, name: str, path: Path, progress: OnTransfer | None):
        super().__init__(io.FileIO(path))
        self._name, self._bytes, self._progress, self._begun = name, path.stat().st_size, progress, time.monotonic()

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.counts and data and self._progress is not None:
            speed = self.tell() / max(time.monotonic() - self._begun, 1e-9)
            self._progress(Transfer(self._name, self.tell(), self._bytes, (self._bytes - self.tell()) / speed))
        return data
