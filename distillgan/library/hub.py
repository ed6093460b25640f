"""A repository of the hub as it stands: what lies in it, at which commit; and refusals in words.

The hub's own client speaks to it. Where it is and who asks: HF_ENDPOINT, HF_TOKEN or `hf auth login`.
"""

import hashlib
import logging
import os
import re
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from distillgan.errors import UserError, printable
from distillgan.modelheader import show
from distillgan.vocoder.download import ANSWER_SECONDS, DownloadError, asked, reason_of

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
