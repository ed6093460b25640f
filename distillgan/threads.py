"""How many threads compute and how they wait, by the kind of work: decided here, before torch is loaded.

    kind            torch's threads         side by side
    training        all cores               nothing: its operations are large
    rendering       one for each block      the blocks of a sound, one a core (short clips of `count=`: the clips)
    analysis        one for each rendering  the renderings, one a core
    evaluation      as rendering            the renderings of what=controls, one a core; else the blocks of each
    page            as what it starts
    a sweep's jobs  cores / jobs            the jobs
    ddp             cores / processes       the processes; Lightning shares the cores out
    data workers    one                     the workers, by PyTorch itself

All of them turn for as long as the next operation is usually away, and then wait: OpenMP's threads would else keep
their cores busy for milliseconds after each operation, and two programs take each other's time. To wait at once costs a
training that is alone a seventh. What the person has set stays. The figures are in experiments/two_at_once; how pieces
run side by side, with the same samples, in `parallel`.
"""

import os

from distillgan.checks import whole

# Of GNU's OpenMP, which PyTorch has on Linux, and of LLVM's and Intel's, which it has elsewhere: each is read once,
# when its library is loaded.
_WAITING = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "0"}
_SAID = {*_WAITING, "OMP_WAIT_POLICY", "KMP_LIBRARY"}
NUMBER = "OMP_NUM_THREADS"
_MOST = 1024


def settle() -> None:
    """Says how threads wait, to this process, if torch is not loaded yet, and to those that it starts.

    Where one of the variables is there already, it is the person's, or it was settled before.
    """
    if not _SAID & os.environ.keys():
        os.environ.update(_WAITING)


def share_out(jobs: int, cores: int) -> None:
    """Says to processes that this one starts, `jobs` at a time, how many threads each has; what is set stays."""
    os.environ.setdefault(NUMBER, str(max(1, cores // jobs)))


def checked(threads: int | None) -> int | None:
    """The setting `threads`; None for all. Raises UserError if it is no whole number from 1 on."""
    return None if threads is None else whole("threads", threads, 1, _MOST)
