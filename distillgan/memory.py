"""Memory that runs out, on a GPU or in the computer, told in words: what was being done, and what to lower."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from distillgan.errors import UserError

# CUDA's own error has a class; what cuBLAS, cuDNN, Apple's GPUs and the CPU's allocator say is known by its words.
_WORDS = ("out of memory", "can't allocate memory", "alloc_failed", "bad_alloc")
_GPU = re.compile(r"\b(cuda|cublas|cudnn|mps|hip)", re.IGNORECASE)
_ASKED = re.compile(r"tried to allocate ([\d.]+) (bytes|[KMG]i?B)", re.IGNORECASE)


@contextmanager
def memory_in_words(doing: str, remedy: str) -> Iterator[None]:
    """Within the block, or the function that it decorates, memory that runs out is a UserError; all else stays.

    Its words are `doing`, whose memory it was and how much more was wanted, and the `remedy`.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        words = f"{doing}: {_whose(error)} ran out{_wanted(error)}. {remedy}"
        # What the frames below still hold is given back, so that whoever goes on has the memory for it.
        traceback.clear_frames(error.__traceback__)
        raise UserError(words) from error


def ran_out(error: BaseException) -> bool:
    """Whether it says that there was no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def _whose(error: BaseException) -> str:
    gpu = isinstance(error, torch.OutOfMemoryError) or _GPU.search(str(error))
    return "the GPU's memory" if gpu else "this computer's memory"


def _wanted(error: BaseException) -> str:
    found = _ASKED.search(str(error))
    if found is None:
        return ""
    amount, unit = found.groups()
    if unit == "bytes":
        amount, unit = f"{float(amount) / 2**30:.3g}", "GiB"
    return f" ({amount} {unit} more were wanted)"
