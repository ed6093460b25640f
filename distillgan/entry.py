"""What the commands share: Hydra around a function, flags for overrides, and messages instead of tracebacks."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from distillgan.errors import UserError
from distillgan.paths import conf_dir

EXIT_USER_ERROR = 2
_HYDRA_FLAGS = {
    "help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion",
    "config-path", "config-name", "config-dir", "experimental-rerun", "info",
}  # fmt: skip
_HYDRA_FLAGS_WITH_VALUE = {"cfg", "package", "config-path", "config-name", "config-dir", "experimental-rerun"}


def run(task: Callable[[DictConfig], object], config_name: str, arguments: list[str]) -> None:
    """Compose conf/<config_name>.yaml with the arguments and call `task` with it (once a job of a sweep).

    A UserError becomes one message on stderr and exit code 2.
    """

    def guarded(config: DictConfig) -> object:
        try:
            return task(config)
        except UserError as error:
            report(error)
            sys.exit(EXIT_USER_ERROR)

    sys.argv = [sys.argv[0], *to_overrides(arguments)]
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(guarded)()


def report(error: UserError) -> None:
    console = Console(stderr=True, soft_wrap=True)
    console.print(Text("error: ", style="bold red") + Text(str(error)))


def to_overrides(arguments: list[str]) -> list[str]:
    """Flags as Hydra overrides: `--vocoder bigvgan` and `--vocoder=bigvgan` are `vocoder=bigvgan`.

    Dashes inside a flag's name are underscores. A flag followed by no value is true. Hydra's own flags pass through.
    A value that is an existing path is quoted, so that its spaces, commas and brackets are taken as they are.

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
                if name in _HYDRA_FLAGS_WITH_VALUE and not equals and waiting:
                    overrides.append(waiting.pop(0))
                continue
            if not equals:
                follows = (
                    bool(waiting) and not waiting[0].startswith("--") and not re.match(r"[\w.@/+~-]+=", waiting[0])
                )
                value = waiting.pop(0) if follows else "true"
            overrides.append(f"{name.replace('-', '_')}={_quoted(value)}")
        elif argument.startswith("-") or "=" in argument or argument.startswith("~"):
            name, equals, value = argument.partition("=")
            overrides.append(f"{name}={_quoted(value)}" if equals else argument)
        else:
            raise UserError(f"{argument!r} is neither a flag (--duration 5) nor an override (duration=5)")
    return overrides


def model_by_name(arguments: list[str]) -> list[str]:
    """`model=NAME` as `model.name=NAME`: conf/ has a group called model, and Hydra would look for NAME in it."""
    return [re.sub(r"^(--)?model(=|$)", r"\1model.name\2", argument) for argument in arguments]


def _quoted(value: str) -> str:
    path = Path(os.path.expanduser(value))
    special = re.search(r"[^\w./~:+-]", value)
    if special and os.sep in value and not value.startswith(("'", '"', "[", "{")) and path.exists():
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return value
