"""How many threads compute and how they wait, by the kind of work: decided here, before torch is loaded.

    kind            torch's threads     side by side                        why
    training        all cores           -                                   its operations are large
    rendering       one each            blocks of a sound, one a core       its operations are small
    analysis        one each            renderings, one a core
    page            as the work it starts
    a sweep's jobs  cores / jobs        the jobs
    ddp             cores / processes   the processes (Lightning shares the cores out)
    data workers    one                 the workers (PyTorch's own)

All of them wait without turning: OpenMP's threads would else keep a core busy for milliseconds after each operation, and
two programs, or a team and what runs beside it, take each other's time. What the person has set is left as it is.
The figures are in experiments/two_at_once.
"""

import os

from distillgan.checks import whole

# Of GNU's OpenMP, which PyTorch has on Linux, and of LLVM's and Intel's, which it has elsewhere. Each is read once, when
# the library is loaded.
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
_SAID = {*_WAITING, "GOMP_SPINCOUNT", "KMP_LIBRARY"}
_NUMBER = "OMP_NUM_THREADS"


def settle() -> None:
    """Says how threads wait, to this process, if torch is not loaded yet, and to those that it starts.

    Where one of the variables is set already, it is the person's, or a process's that was here before.
    """
    if not _SAID & os.environ.keys():
        os.environ.update(_WAITING)


def share_out(jobs: int, cores: int) -> None:
    """Says to processes that this one starts, `jobs` at a time, how many threads each has; what is set already stays."""
    os.environ.setdefault(_NUMBER, str(max(1, cores // jobs)))


def checked(threads: int | None) -> int | None:
    """The setting `threads`, None for all. Raises UserError if it is no whole number from 1 on."""
    return None if threads is None else whole("threads", threads, 1, 1024)


def limit(threads: int | None) -> None:
    """Large operations, those of a training, take `threads` at once from here on, if that is not None."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def spinless(options: object) -> object:
    """ONNX Runtime's SessionOptions, whose threads are then those of torch, and wait without turning, too."""
    import torch

    options.intra_op_num_threads = torch.get_num_threads()
    for key in ("session.intra_op.allow_spinning", "session.inter_op.allow_spinning"):
        options.add_session_config_entry(key, "0")
    return options
