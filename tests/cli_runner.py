"""Commands as a shell calls them, but in this process: a Python of its own for each case costs seconds.

What only a process can show (signals, a closed pipe, a kill, what is imported at a start) stays one: `processes.start`.
"""

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from runpy import run_module

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Done:
    """Exit code and what was written to standard output and standard error; what C or a child wrote is not in it."""

    returncode: int
    stdout: str
    stderr: str


def distillgan(*arguments: object, cwd: Path | None = None, stdin: str = "", **environment: object) -> Done:
    """`distillgan ARGUMENTS …` in the folder `cwd`, with these variables besides this process's own (None: unset)."""
    return call("distillgan.cli.main", *arguments, cwd=cwd, stdin=stdin, **environment)


def call(module: str, *arguments: object, cwd: Path | None = None, stdin: str = "", **environment: object) -> Done:
    """`python -m MODULE ARGUMENTS …`, likewise."""
    main = partial(run_module, module, run_name="__main__")
    return process(main, module, *arguments, cwd=cwd, stdin=stdin, **environment)


def process(
    main: Callable[[], object], name: str, *arguments: object, cwd: Path | None = None, stdin: str = "", **environment
) -> Done:
    """`main` as a program of that name. An exception that nothing catches is a traceback and exit code 1."""
    with _as_found(cwd, environment), _streams(stdin) as (out, err):
        sys.argv = [name, *map(str, arguments)]
        code = _code(main)
        return Done(code, _text(out), _text(err))


def _code(main) -> int:
    try:
        main()
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        print(left.code, file=sys.stderr)
        return 1
    except BaseException:  # as Python itself, which knows no difference here
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _as_found(cwd: Path | None, environment: dict[str, object]) -> Iterator[None]:
    """What a command may change of its process is as before afterwards."""
    folder, variables, arguments = os.getcwd(), dict(os.environ), sys.argv
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    threads, hydra, job = torch.get_num_threads(), GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = str(value)
    try:
        os.chdir(folder if cwd is None else cwd)
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        sys.argv = arguments
        for number, handler in handlers.items():
            signal.signal(number, handler)
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, job
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


@contextmanager
def _streams(stdin: str) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(stdin), out, err
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _text(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()
