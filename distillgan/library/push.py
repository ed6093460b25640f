"""A model, its card and its examples to a repository of the hub: planned, told, then sent as one commit."""

import io
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

from distillgan.errors import UserError, printable
from distillgan.library.hub import Repository, look, words
from distillgan.paths import MODEL_SUFFIX
from distillgan.progress import OnTransfer, Transfer
from distillgan.vocoder.download import asked

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
