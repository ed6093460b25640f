"""The one place where a command line becomes overrides of Hydra's grammar: flags, short names, quotes around texts."""

import os
import re
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from distillgan.configuration import FREE, NAMES, as_read, is_text, literal
from distillgan.errors import UserError
from distillgan.models.plugins import conf_folders

_FLAGS = {flag: action for action in get_args_parser()._actions for flag in action.option_strings}  # Hydra's own
del _FLAGS["--experimental-rerun"]  # it unpickles a file, and loading runs no code
_SHORT = {"model": "model.name", "blend": "blend.models", "blend.models": "blend.models"}
_MODEL = re.compile(r"(--)?(model)(=.*)?", re.DOTALL)
_STEERED = re.compile(r"(--)?(model|blend(?:\.models)?|controls(?:\.[\w-]+)?)(=.*)?", re.DOTALL)
# Not a path: a key may have slashes inside (hydra/launcher=joblib), but starts with none.
_OVERRIDE = r"(?!~/)[\w+~][\w.@/+~-]*="
_SPECIAL = re.compile(r"[^\w./:+-]", re.ASCII)
_PATH_START = ("/", "./", "../", "~")
# What Hydra's grammar reads as a text without a look at it, the words for numbers and truth values aside.
_EVIDENT = re.compile(r"(?!(?:true|false|null|nan|inf)\Z)(?:[a-z_/]|\.\.?/)[\w./:+-]*", re.ASCII | re.IGNORECASE)
_FUNCTION = re.compile(r"(choice)\((.*)\)|(?:bool|float|glob|int|interval|range|shuffle|sort|str|tag)\(.*\)", re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"


def parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Overrides, and Hydra's own flags with their values."""
    overrides, flags, waiting = [], [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags += [argument, *_value_of_flag(argument, waiting)]
    return overrides, flags


def to_overrides(arguments: list[str]) -> list[str]:
    """Flags as Hydra overrides: `--vocoder bigvgan` and `--vocoder=bigvgan` are `vocoder=bigvgan`.

    Dashes inside a flag's name are underscores. A flag followed by no value is true. Hydra's own flags pass through.
    A value that is a path is quoted, so that its spaces, commas, brackets and letters beyond ASCII are taken as they
    are; so is text with such letters, and whatever looks like a number or a truth value where a setting is a text. Of
    such words `null` alone keeps its meaning.

    Raises:
        UserError: an argument is neither a flag nor an override.
    """
    overrides, waiting, folders = [], list(arguments), (*conf_folders(), *_config_folders(arguments))
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if name in _FLAGS:
            overrides += [argument, *_value_of_flag(argument, waiting)]
        elif name.startswith("--") and name != "--":
            name = name[2:].replace("-", "_")
            if not equals:
                if not _value_follows(waiting) and is_text(name, folders):
                    raise UserError(f"{argument} wants a value: {argument} VALUE")
                value = waiting.pop(0) if _value_follows(waiting) else "true"
            overrides.append(f"{name}={_quoted(name, value, folders)}")
        elif equals:
            overrides.append(f"{name}={_quoted(name, value, folders)}")
        elif name.startswith(("-", "~")):
            overrides.append(argument)
        else:
            raise UserError(f"{argument!r} is neither a flag (--duration 5) nor an override (duration=5)")
    return overrides


def _value_of_flag(flag: str, waiting: list[str]) -> list[str]:
    """The value of one of Hydra's own flags, taken from the arguments that wait; [] if it has none there."""
    action = _FLAGS.get(flag)
    if action is None or action.nargs == 0 or not waiting or (action.nargs == "?" and waiting[0] not in action.choices):
        return []
    return [waiting.pop(0)]


def model_by_name(arguments: list[str]) -> list[str]:
    """`model=NAME` as `model.name=NAME`: conf/ has a group called model, and Hydra would look for NAME in it."""
    return [_node(_MODEL, argument) for argument in arguments]


def steered(arguments: list[str]) -> list[str]:
    """As `model_by_name`, and `blend=[…]` as `blend.models=[…]`, `controls.NAME=…` as `++controls.NAME=…`.

    For only the model knows which sliders there are.
    """
    waiting, joined = list(arguments), []
    while waiting:
        argument = waiting.pop(0)
        joined.append(f"--blend={waiting.pop(0)}" if argument == "--blend" and waiting else argument)
    return [_node(_STEERED, argument) for argument in joined]


def _node(words: re.Pattern, argument: str) -> str:
    found = words.fullmatch(argument)
    if found is None or not (found[1] or found[3]):  # a word alone is another flag's value
        return argument
    flag, node, value = found.groups(default="")
    if node.startswith("blend") and value:
        value = f"={_listed(value[1:])}"
    return f"{flag}{_SHORT.get(node, f'++{node}')}{value}"


def value_of(overrides: list[str], key: str) -> object | None:
    """What the overrides set `key` to, None if nothing. Raises UserError if Hydra cannot read it."""
    mine = [item for item in overrides if item.partition("=")[0].lstrip("+") == key]
    try:
        value = OverridesParser.create().parse_overrides(mine[-1:])[0].value() if mine else None
        return as_read(value) if isinstance(value, str) else value
    except HydraException as error:
        raise UserError(f"{mine[-1]} cannot be read: {error}") from error


def _listed(value: str) -> str:
    """`[rain:60,wind:40]`, with the brackets or without, as a list of texts; what the user quoted stays."""
    if not value or re.search(r"['\"{]", value) or value == "null":
        return value
    parts = value.strip().removeprefix("[").removesuffix("]").split(",")
    return f"[{','.join(quote(part.strip()) for part in parts if part.strip())}]"


def quote(value: str) -> str:
    """The value in Hydra's quotes, taken letter by letter."""
    # Within Hydra's quotes a backslash is a backslash, except before a quote.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), literal(value)) + "'"


def _config_folders(arguments: list[str]) -> tuple[Path, ...]:
    """Folders of configurations that the arguments name."""
    found = []
    for at, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            found += [Path(value)] if equals else map(Path, arguments[at + 1 : at + 2])
    return tuple(folder for folder in found if folder.is_dir())


def _value_follows(waiting: list[str]) -> bool:
    """Whether the next argument is a flag's value: no flag (a negative number is none), and no override."""
    return bool(waiting) and not re.match(rf"--|-[A-Za-z]|{_OVERRIDE}", waiting[0])


def _quoted(name: str, value: str, folders: tuple[Path, ...]) -> str:
    """The value as Hydra's grammar takes it for what it is; what the user quoted stays."""
    if _is_path(value):
        return quote(value)
    if name in FREE and value not in ("", "null") and not value.startswith(("'", '"')):
        return quote(value)
    # With commas it is a sweep: each value for itself.
    if is_text(name, folders):
        return ",".join(_text(part, name in NAMES, name == "data.dir") for part in _split(value))
    if value.startswith(("'", '"', "[")):
        return value
    return ",".join(quote(part) if _is_text(part) else part for part in value.split(","))


def _text(value: str, always: bool, in_lists: bool) -> str:
    """One value of a setting that is a text, quoted where it must be or `always`; a list's each for itself."""
    if value in ("", "null") or value.startswith(("'", '"', "{")):
        return value
    if value.startswith("[") and value.endswith("]"):
        parts = (part.strip() for part in _split(value[1:-1]))
        return f"[{','.join(_text(part, in_lists, in_lists) for part in parts if part)}]"
    function = _FUNCTION.fullmatch(value)
    if function is not None and not _is_path(value):
        if function[1] is None:
            return value
        parts = [_text(part.strip(), always, in_lists) for part in _split(function[2])]
        # Hydra's `choice` takes quotes away, and then reads each job's value as a number again; plain commas do not.
        quoted = any(part.startswith("'") for part in parts)
        return ",".join(parts) if quoted and len(parts) > 1 else value
    if "${" in value and not _is_path(value):
        return value  # a reference to another setting
    return quote(value) if always or _is_text(value) or not _stays(value) else value


def _stays(value: str) -> bool:
    """Whether Hydra's grammar reads it as the same text."""
    if _EVIDENT.fullmatch(value):
        return True
    try:
        return OverridesParser.create().parse_overrides([f"key={value}"])[0].value() == value
    except HydraException:
        return False


def _split(value: str) -> list[str]:
    """The parts between commas that are in no brackets and no quotes."""
    parts, depth, quoted, begun = [], 0, "", 0
    for at, sign in enumerate(value):
        if quoted:
            quoted = "" if sign == quoted and value[at - 1] != "\\" else quoted
        elif sign in "'\"" and not value[begun:at].strip(" [("):
            quoted = sign
        elif sign in _OPENING + _CLOSING:
            depth = max(0, depth + (1 if sign in _OPENING else -1))
        elif sign == "," and not depth:
            parts.append(value[begun:at])
            begun = at + 1
    return [*parts, value[begun:]]


def _is_path(value: str) -> bool:
    return bool(_SPECIAL.search(value)) and os.path.exists(os.path.expanduser(value))


def _is_text(value: str) -> bool:
    """Whether it can be nothing but text, yet Hydra's grammar refuses it without quotes."""
    return not value.isascii() or _is_path(value) or bool(_SPECIAL.search(value) and value.startswith(_PATH_START))
