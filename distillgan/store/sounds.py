"""The files of an entry of the history: are they still its own, and away with them, but with no others."""

import json
from pathlib import Path

from distillgan.audio.io import AudioFileError, open_audio
from distillgan.audio.tags import read_comment
from distillgan.store.history import Generation, History

_LENGTH_ERROR = 0.1  # seconds: encoders of MP3 round up to frames and keep a delay


def fault(generation: Generation) -> str:
    """Why the file at an entry's path is not its sound; "" if it is.

    It is if the digest of the samples, in the file's own tag or (of files without one) in the account beside it, is
    the entry's, and the length is.
    """
    path = generation.path
    if path.is_symlink() or not path.is_file():
        return "it is a link or no file" if path.is_symlink() or path.exists() else "it is gone"
    digest = generation.account.get("sound")
    try:
        comment = read_comment(path)
        with open_audio(path) as file:
            seconds = file.frames / file.samplerate if file.frames is not None else 0.0
    except AudioFileError as error:
        return error.reason
    if digest and comment and digest not in comment:
        return "another sound is there by now"
    if not (digest and comment) and _beside(path) != generation.account:
        return "it does not say that it is this sound, nor does the account beside it"
    if abs(seconds - generation.account.get("seconds", seconds)) > _LENGTH_ERROR:
        return f"it is {seconds:.1f} s long by now"
    return ""


def remove(generation: Generation, history: History) -> str:
    """Remove the sound of an entry that is no longer in the history, its picture and its account.

    Returns why they were left, "" if they are gone. A file that is not the entry's own sound is left, as is one that
    an entry of the history still has. No path but the recorded one and the two beside it is ever touched.
    """
    owner = history.owner(generation.path)
    if owner is not None:
        return f"it is the sound of entry {owner}, too"
    reason = fault(generation)
    if reason:
        return reason
    try:
        for suffix in (".json", ".png"):
            beside = generation.path.with_suffix(suffix)
            if beside.is_file() and not beside.is_symlink():
                beside.unlink()
        generation.path.unlink()
    except OSError as error:
        return f"{error.filename}: {(error.strerror or str(error)).lower()}"
    return ""


def _beside(sound: Path) -> object:
    """The account beside a sound, None if there is none."""
    try:
        return json.loads(sound.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return None
