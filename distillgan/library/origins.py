"""Where models came from that were pulled from the hub: a small file each, named by the weights.

Not in the model's own file: what is pulled stays byte by byte what was pushed, whatever it is renamed to here.
"""

import json
from dataclasses import asdict, dataclass

from distillgan.atomic import replace_file
from distillgan.modelheader import show
from distillgan.paths import Home


@dataclass(frozen=True)
class Origin:
    """`file` of a repository of the hub, at a commit."""

    repo: str
    commit: str
    file: str

    def __str__(self) -> str:
        return f"{self.repo}, commit {self.commit[:12]}, {self.file}"


def note_origin(home: Home, fingerprint: str, origin: Origin) -> None:
    """Raises UserError if the disk refuses."""
    with replace_file(_path(home, fingerprint)) as temporary:
        temporary.write_text(json.dumps(asdict(origin)), encoding="utf-8")


def origin_of(home: Home, fingerprint: str) -> Origin | None:
    """None where it was not pulled, or what was noted cannot be read any more."""
    try:
        values = json.loads(_path(home, fingerprint).read_bytes())
        return Origin(*(values[key] if isinstance(values[key], str) else show(values[key]) for key in _FIELDS))
    except (OSError, ValueError, KeyError, TypeError):
        return None


_FIELDS = ("repo", "commit", "file")


def _path(home: Home, fingerprint: str):
    return home.root / "origins" / f"{fingerprint}.json"
