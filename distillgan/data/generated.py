"""Sound that distillgan made itself, told by the comment in its own file."""

import json
import os

from distillgan.audio.tags import read_comment

MARK = "distillgan"


def is_generated(path: str | os.PathLike) -> bool:
    """Whether the file's comment is a JSON object with the key `distillgan`, as generate writes it.

    Raises:
        AudioFileError: as `open_audio`.
    """
    try:
        values = json.loads(read_comment(path))
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and MARK in values
