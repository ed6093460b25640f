"""A published vocoder's pin: which files of which repository at which revision, with their sizes and hashes."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from yaml import YAMLError

from distillgan.errors import UserError

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
