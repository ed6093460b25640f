"""What the commands share: Hydra around a function, flags for overrides, and messages instead of tracebacks."""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.version import setbase
from omegaconf import DictConfig

from distillgan import process
from distillgan.cli import diagnostics
from distillgan.cli.commands.arguments import EXIT_USER_ERROR, report
from distillgan.cli.overrides import parted, to_overrides, value_of
from distillgan.configuration import keep_texts_of_files
from distillgan.errors import UserError
from distillgan.models.plugins import conf_folders
from distillgan.paths import conf_dir, default_home

_COMPOSING = threading.Lock()


class PackageConfigs(SearchPathPlugin):
    """Hydra's search path also leads to the conf/ of each package that brings kinds of models."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in conf_folders():
            search_path.append("distillgan-packages", f"file://{folder}")


def _prepare_hydra() -> None:
    keep_texts_of_files()
    Plugins.instance().register(PackageConfigs)


def run(task: Callable[[DictConfig], object], config_name: str, arguments: list[str]) -> None:
    """Compose conf/<config_name>.yaml with the arguments and call `task` with it; see `command`."""
    with command(task, config_name, arguments) as call:
        call()


def show_help(config_name: str, arguments: list[str]) -> None:
    """Shows a command's help and ends the process, if the arguments ask for it.

    It is called before what the command needs is imported: torch and Lightning take seconds.
    """
    if {"-h", "--help"} & set(arguments):
        run(lambda config: None, config_name, arguments)


class _Guard(ContextDecorator):
    """Around a task itself: Hydra would tell of its errors in its own words first. It is pickled with the task."""

    begun = False

    def __enter__(self) -> None:
        self.begun = True

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UserError):
            _leave(error)
        if isinstance(error, OSError):
            _leave(UserError(f"{error.filename or 'a file'}: {error.strerror or error}. What was saved before is kept"))


@contextmanager
def command(
    task: Callable[[DictConfig], object], config_name: str, arguments: list[str]
) -> Iterator[Callable[[], None]]:
    """Hydra around a command's task: what is yielded calls it with the composed configuration, once for each job.

    Within the block a UserError, and what Hydra refuses, becomes one message on stderr and exit code 2; Ctrl-C, SIGTERM
    and SIGHUP end it with 130, 143 and 129.
    """
    guard = _Guard()
    sys.stdout, sys.stderr = _Reader(sys.stdout), _Reader(sys.stderr)
    process.raise_when_told()
    _prepare_hydra()
    try:
        overrides, flags = parted(to_overrides(arguments))
        parser = get_args_parser()
        parsed = parser.parse_args([*overrides, *flags])  # overrides in one piece only
        setbase("1.3")
        # What hydra.main comes to; that itself reads sys.argv, where the arguments stand as they were typed.
        with _hydra_raises():
            yield partial(_run_hydra, parsed, parser, guard(task), str(conf_dir()), config_name)
    except UserError as error:
        _leave(error)
    except (HydraException, ValueError) as error:
        with _composing():
            if not guard.begun and (refusal := diagnostics.refused(error, config_name, overrides)):
                _leave(refusal)
        raise  # the task's own, or a sweeper's
    except KeyboardInterrupt:
        print(process.words(), file=sys.stderr)
        sys.exit(process.exit_code())


@contextmanager
def _hydra_raises() -> Iterator[None]:
    """Within the block Hydra raises what it refuses, where else it would print it in its own words and exit."""
    key = "HYDRA_FULL_ERROR"
    before = os.environ.get(key, "")
    os.environ[key] = "1"
    try:
        yield
    finally:
        os.environ[key] = before


class _Reader:
    """Output whose reader may leave (`| head`, a closed terminal) or know few letters; a training goes on."""

    def __init__(self, stream):
        self._stream = stream
        if hasattr(stream, "reconfigure") and stream.errors != "backslashreplace":
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        return self._guarded(lambda: self._stream.write(text)) or len(text)

    def flush(self) -> None:
        self._guarded(self._stream.flush)

    def _guarded(self, act: Callable[[], object]) -> object:
        try:
            return act()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # the latter of a terminal that is gone
                raise
            # Python's own advice: whatever comes later, at exit too, goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            return None

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _leave(error: UserError) -> NoReturn:
    report(error)
    sys.exit(EXIT_USER_ERROR)


def home_of(overrides: list[str]) -> str | Path:
    """`paths.home` as the overrides or the environment have it."""
    home = value_of(overrides, "paths.home")
    return default_home() if home is None else str(home)


def check(config_name: str, overrides: list[str]) -> None:
    """Raises UserError if a setting or a choice, any of a sweep's values, is none of conf/<config_name>.yaml's."""
    with _composing():
        if words := diagnostics.mistake(config_name, overrides):
            raise UserError(words)


def composed(config_name: str, overrides: list[str]) -> DictConfig:
    """conf/<config_name>.yaml under the overrides, without a command line. Raises UserError if Hydra refuses."""
    with _composing():
        try:
            return hydra.compose(config_name, overrides)
        except (HydraException, ValueError) as error:
            if refusal := diagnostics.refused(error, config_name, overrides):
                raise refusal from error
            raise


@contextmanager
def _composing() -> Iterator[None]:
    """Hydra on conf/. Its state, one for the whole process, is set aside for the block: an entry that runs has one."""
    with _COMPOSING:
        state = GlobalHydra.instance()
        around, state.hydra = state.hydra, None
        try:
            _prepare_hydra()
            with hydra.initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
                yield
        finally:
            GlobalHydra.instance().hydra = around
