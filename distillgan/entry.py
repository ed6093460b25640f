"""What the commands share: Hydra around a function, flags for overrides, and messages instead of tracebacks."""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from distillgan import misspelt
from distillgan.errors import UserError, message
from distillgan.paths import conf_dir, default_home

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
_HYDRA_FLAGS = {
    "help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion",
    "config-path", "config-name", "config-dir", "experimental-rerun", "info",
}  # fmt: skip
_HYDRA_FLAGS_WITH_VALUE = {
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun",
}  # fmt: skip
_HYDRA_INFO = {"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"}
# Not a path: a key may have slashes inside (hydra/launcher=joblib), but starts with none.
_OVERRIDE = r"(?!~/)[\w+~][\w.@/+~-]*="
_SPECIAL = re.compile(r"[^\w./:+-]", re.ASCII)
_FREE_TEXT = {"note", "licence", "output", "preset", "export.file", "export.title", "export.artist", "export.album"}
_SHORT = {"model": "model.name", "blend": "blend.models", "blend.models": "blend.models"}
_MODEL = re.compile(r"(--)?(model)(=.*)?", re.DOTALL)
_STEERED = re.compile(r"(--)?(model|blend(?:\.models)?|controls(?:\.[\w-]+)?)(=.*)?", re.DOTALL)
_NAMES = {"name", "model.name"}
_FOLDERS = {"data.dir", "paths.home", "spatial.sofa"}
_PATH_START = ("/", "./", "../", "~")
_COMPOSING = threading.Lock()


def run(task: Callable[[DictConfig], object], config_name: str, arguments: list[str]) -> None:
    """Compose conf/<config_name>.yaml with the arguments and call `task` with it (once a job of a sweep).

    A UserError, and what Hydra refuses, becomes one message on stderr and exit code 2, Ctrl-C exit code 130.
    """
    begun = []

    def guarded(config: DictConfig) -> object:
        begun.append(True)
        try:
            return task(config)
        except UserError as error:
            _leave(error)
        except OSError as error:
            _leave(UserError(f"{error.filename or 'a file'}: {error.strerror or error}. What was saved before is kept"))

    sys.stdout = _Reader(sys.stdout)
    # So that what is half done is cleared away, as after Ctrl-C; a training takes the signal over while it runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        overrides, flags = parted(to_overrides(arguments))
        sys.argv = [sys.argv[0], *overrides, *flags]  # Hydra takes overrides in one piece only
        with _hydra_raises():
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(guarded)()
    except UserError as error:
        _leave(error)
    except (HydraException, ValueError) as error:
        with _composing():
            if not begun and (refusal := misspelt.refused(error, config_name, overrides)):
                _leave(refusal)
        raise  # the task's own, or a sweeper's
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


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


def parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Overrides, and Hydra's own flags with their values."""
    overrides, flags, waiting = [], [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        if waiting and (argument in _HYDRA_FLAGS_WITH_VALUE or (argument == "--info" and waiting[0] in _HYDRA_INFO)):
            flags.append(waiting.pop(0))
    return overrides, flags


class _Reader:
    """Standard output whose reader may leave (`| head`) or know few letters: no reason for a training to die."""

    def __init__(self, stream):
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        return self._guarded(lambda: self._stream.write(text)) or len(text)

    def flush(self) -> None:
        self._guarded(self._stream.flush)

    def _guarded(self, act: Callable[[], object]) -> object:
        try:
            return act()
        except BrokenPipeError:
            # Python's own advice: whatever comes later, at exit too, goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            return None

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _leave(error: UserError) -> NoReturn:
    report(error)
    sys.exit(EXIT_USER_ERROR)


def report(error: UserError) -> None:
    console = Console(stderr=True, soft_wrap=True)
    console.print(Text("error: ", style="bold red") + Text(message(error)))


def to_overrides(arguments: list[str]) -> list[str]:
    """Flags as Hydra overrides: `--vocoder bigvgan` and `--vocoder=bigvgan` are `vocoder=bigvgan`.

    Dashes inside a flag's name are underscores. A flag followed by no value is true. Hydra's own flags pass through.
    A value that is a path is quoted, so that its spaces, commas, brackets and letters beyond ASCII are taken as they
    are; so is text with such letters.

    Raises:
        UserError: an argument is neither a flag nor an override.
    """
    overrides, waiting = [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument.startswith("--") and len(argument) > 2:
            name, equals, value = argument[2:].partition("=")
            if name in _HYDRA_FLAGS:
                overrides.append(argument)
                if waiting and (argument in _HYDRA_FLAGS_WITH_VALUE or (name == "info" and waiting[0] in _HYDRA_INFO)):
                    overrides.append(waiting.pop(0))
                continue
            if not equals:
                if not _value_follows(waiting) and name.replace("-", "_") in _NAMES | _FREE_TEXT | _FOLDERS:
                    raise UserError(f"{argument} wants a value: {argument} VALUE")
                value = waiting.pop(0) if _value_follows(waiting) else "true"
            name = name.replace("-", "_")
            overrides.append(f"{name}={_quoted(name, value)}")
        elif argument in _HYDRA_FLAGS_WITH_VALUE and waiting:
            overrides += [argument, waiting.pop(0)]
        elif argument.startswith("-") or "=" in argument or argument.startswith("~"):
            name, equals, value = argument.partition("=")
            overrides.append(f"{name}={_quoted(name, value)}" if equals else argument)
        else:
            raise UserError(f"{argument!r} is neither a flag (--duration 5) nor an override (duration=5)")
    return overrides


def value_of(overrides: list[str], key: str) -> object | None:
    """What the overrides set `key` to, None if nothing. Raises UserError if Hydra cannot read it."""
    mine = [item for item in overrides if item.partition("=")[0].lstrip("+") == key]
    try:
        value = OverridesParser.create().parse_overrides(mine[-1:])[0].value() if mine else None
        return value.replace("\\${", "${") if isinstance(value, str) else value  # as `quote` writes it
    except HydraException as error:
        raise UserError(f"{mine[-1]} cannot be read: {error}") from error


def home_of(overrides: list[str]) -> str | Path:
    """`paths.home` as the overrides or the environment have it."""
    home = value_of(overrides, "paths.home")
    return default_home() if home is None else str(home)


def check(config_name: str, overrides: list[str]) -> None:
    """Raises UserError if a setting or a choice, any of a sweep's values, is none of conf/<config_name>.yaml's."""
    with _composing():
        if words := misspelt.mistake(config_name, overrides):
            raise UserError(words)


def composed(config_name: str, overrides: list[str]) -> DictConfig:
    """conf/<config_name>.yaml under the overrides, without a command line. Raises UserError if Hydra refuses."""
    with _composing():
        try:
            return hydra.compose(config_name, overrides)
        except (HydraException, ValueError) as error:
            if refusal := misspelt.refused(error, config_name, overrides):
                raise refusal from error
            raise


@contextmanager
def _composing() -> Iterator[None]:
    """Hydra on conf/. Its state, one for the whole process, is set aside for the block: an entry that runs has one."""
    with _COMPOSING:
        state = GlobalHydra.instance()
        around, state.hydra = state.hydra, None
        try:
            with hydra.initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
                yield
        finally:
            GlobalHydra.instance().hydra = around


def model_by_name(arguments: list[str]) -> list[str]:
    """`model=NAME` as `model.name=NAME`: conf/ has a group called model, and Hydra would look for NAME in it."""
    return [_node(_MODEL, argument) for argument in arguments]


def steered(arguments: list[str]) -> list[str]:
    """As `model_by_name`, and `blend=[…]` as `blend.models=[…]`, `controls.NAME=…` as `++controls.NAME=…`: which

    sliders there are is known only by the model.
    """
    waiting, joined = list(arguments), []
    while waiting:
        argument = waiting.pop(0)
        joined.append(f"--blend={waiting.pop(0)}" if argument == "--blend" and waiting else argument)
    return [_node(_STEERED, argument) for argument in joined]


def _list(value: str) -> str:
    """`[rain:60,wind:40]`, with the brackets or without, as a list of texts; what the user quoted stays."""
    if not value or re.search(r"['\"{]", value) or value == "null":
        return value
    parts = value.strip().removeprefix("[").removesuffix("]").split(",")
    return f"[{','.join(quote(part.strip()) for part in parts if part.strip())}]"


def _node(words: re.Pattern, argument: str) -> str:
    found = words.fullmatch(argument)
    if found is None or not (found[1] or found[3]):  # a word alone is another flag's value
        return argument
    flag, node, value = found.groups(default="")
    if node.startswith("blend") and value:
        value = f"={_list(value[1:])}"
    return f"{flag}{_SHORT.get(node, f'++{node}')}{value}"


def _value_follows(waiting: list[str]) -> bool:
    """Is the next argument a flag's value: no flag (a negative number is none), and no override?"""
    return bool(waiting) and not re.match(rf"--|-[A-Za-z]|{_OVERRIDE}", waiting[0])


def _quoted(name: str, value: str) -> str:
    """The value as Hydra's grammar takes it for what it is; what the user quoted stays."""
    if _is_path(value):
        return quote(value)
    if value.startswith(("'", '"')):
        return value
    if value.startswith("["):
        return _list(value) if name in _FOLDERS else value
    if name in _FREE_TEXT and value not in ("", "null"):
        return quote(value)
    if name in _NAMES and value != "null":
        # Names, though they may look like numbers or truth values.
        return ",".join(quote(part) for part in value.split(","))
    # With commas it is a sweep: each value for itself.
    return ",".join(quote(part) if _is_text(part) else part for part in value.split(","))


def _is_path(value: str) -> bool:
    return bool(_SPECIAL.search(value)) and os.path.exists(os.path.expanduser(value))


def _is_text(value: str) -> bool:
    """Can it be nothing but text, yet Hydra's grammar refuses it without quotes?"""
    return not value.isascii() or _is_path(value) or bool(_SPECIAL.search(value) and value.startswith(_PATH_START))


def quote(value: str) -> str:
    """The value in Hydra's quotes, taken letter by letter."""
    value = value.replace("${", "\\${")
    # Within Hydra's quotes a backslash is a backslash, except before a quote.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), value) + "'"
