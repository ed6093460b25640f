"""What a system refuses: files that are too large, and folders that are not one's own."""

import os
import resource
from contextlib import contextmanager


@contextmanager
def file_size_limit(limit):
    """The system refuses files beyond `limit` bytes, as a full disk does (Python ignores SIGXFSZ: OSError EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_root():
    """Permissions do not bind root: borrow the user `nobody` for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
