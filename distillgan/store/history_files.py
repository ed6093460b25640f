"""History files: the sound of an entry with its picture and account, checked and removed, but no others."""

import json

from distillgan.audio.io import AudioFileError, open_audio
from distillgan.audio.tags import read_comment
from distillgan.store.history import Generation, History

_LENGTH_ERROR = 0.1  # seconds: encoders of MP3 round up to frames and keep a delay


def fault(generation: Generation) -> str:
    """The reason why the file at an entry's path is not its sound; "" if it is.

    It is if its length is the entry's, and the digest of the samples in its own tag, or (without one) in the account
    beside it.
    """
    path = generation.path
    if path.is_symlink() or not path.is_file():
        return "it is a link or no file" if path.is_symlink() or path.exists() else "it is gone"
    digest = generation.metadata.get("sound")
    try:
        comment = read_comment(path)
        with open_audio(path) as file:
            seconds = file.frames / file.samplerate if file.frames is not None else 0.0
    except AudioFileError as error:
        return error.reason
    if digest and comment and digest not in comment:
        return "another sound is there by now"
    if not (digest and comment):
        try:
            beside = json.loads(path.with_suffix(".json").read_bytes())
        except (OSError, ValueError):
            beside = None
        if beside != generation.metadata:
            return "it does not say that it is this sound, nor does the account beside it"
    if abs(seconds - generation.metadata.get("seconds", seconds)) > _LENGTH_ERROR:
        return f"it is {seconds:.1f} s long by now"
    return ""


def remove(generation: Generation, history: History) -> str:
    """Remove the sound of an entry that is no longer in the history, its picture and its account, and no other file.

    Returns the reason why they were left, "" if they are gone. A file that is not the entry's own sound is left, as is
    one that an entry of the history still has.
    """
    owner = history.owner(generation.path)
    if owner is not None:
        return f"it is the sound of entry {owner}, too"
    if reason := fault(generation):
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
