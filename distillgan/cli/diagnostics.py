"""What Hydra refuses, in words: which setting is wrong, which is near it, and what would make it right."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distillgan.errors import UserError

_NEAR, _AS_NEAR = 0.72, 0.12  # of 1, the same; and how far under the nearest
_SUGGESTIONS = 3
_SWEEPS = {f"hydra/launcher/{name}" for name in ("joblib", "submitit_local", "submitit_slurm")} | {
    "hydra/sweeper/optuna"
}  # what the extra brings


def refused(error: Exception, config_name: str, overrides: Sequence[str]) -> UserError | None:
    """One line for what Hydra refused of `overrides` to conf/<config_name>.yaml; None if it refused nothing.

    Call it, and `mistake`, while Hydra is initialized with that folder.
    """
    words = mistake(config_name, overrides) or (_line(error) if isinstance(error, HydraException) else None)
    return None if words is None else UserError(words)


def mistake(config_name: str, overrides: Sequence[str]) -> str | None:
    """The first that is wrong with the overrides, a sweep's every value looked at; None if nothing is found."""
    loader = GlobalHydra.instance().config_loader()
    parser, parsed = OverridesParser.create(config_loader=loader), []
    for item in overrides:
        try:
            parsed += parser.parse_overrides([item])
        except HydraException as error:
            return f"{item} cannot be read ({_line(error)}): text with signs of its own wants quotes within quotes"
    try:
        return next(_mistakes(config_name, parsed, loader), None)
    except MissingConfigException as error:
        missing = error.missing_cfg_file
        return _wants_extra(missing) if missing in _SWEEPS else _line(error)
    except HydraException as error:
        return _line(error)


def _mistakes(config_name: str, overrides: list[Override], loader: ConfigLoader) -> Iterator[str]:
    """What is wrong: first the choices of groups, then the settings within them."""
    bare = hydra.compose(config_name, return_hydra_config=True).hydra.runtime.choices
    choices = [item for item in overrides if _is_choice(loader, item, bare)]
    for item in choices:
        yield from _no_options(loader, item)
        if item.is_add() and item.key_or_group in bare:
            yield f"{item.input_line}: {item.key_or_group} is there already, leave out the +"
    chosen = [
        f"{item.get_key_element()}={_values(item)[0]}" if item.is_sweep_override() else item.input_line
        for item in choices
    ]
    config = hydra.compose(config_name, chosen, return_hydra_config=True)
    for item in overrides:
        key = item.key_or_group
        if item in choices or item.is_force_add():
            continue
        if item.is_add() and _has(config, key):
            yield f"{item.input_line}: {key} is there already, leave out the +"
        elif not item.is_add() and not _has(config, key):
            yield _no_such(key, config_name, config, chosen, loader)


def _no_options(loader: ConfigLoader, item: Override) -> Iterator[str]:
    """For each value of the override that the group has no file of."""
    group, options = item.key_or_group, _options(loader, item.key_or_group)
    for value in _values(item):
        if f"{group}/{value}" in _SWEEPS and value not in options:
            yield _wants_extra(f"{group}={value}")
        elif value not in options:
            near = _nearest(value, options)
            hint = f"did you mean {near[0]}? T" if near else "t"
            yield f"there is no {group}={value}: {hint}here are {', '.join(options)}"


def _no_such(key: str, config_name: str, config: DictConfig, chosen: list[str], loader: ConfigLoader) -> str:
    group = key.partition(".")[0]
    now = None if group == "hydra" else config.hydra.runtime.choices.get(group)
    known = dict.fromkeys(_keys(config.hydra, "hydra.") if group == "hydra" else _keys(config, ""), "")
    # Groups of which nothing is chosen leave no setting behind.
    known |= dict.fromkeys((name for name in config.hydra.runtime.choices if "/" not in name), "")
    elsewhere: dict[str, list[str]] = {}
    for option in _options(loader, group) if now else []:
        try:
            other = hydra.compose(
                config_name, [*(c for c in chosen if c.partition("=")[0] != group), f"{group}={option}"]
            )
        except HydraException:  # an option for other entries
            continue
        for found in _keys(other, ""):
            if found not in known:
                elsewhere.setdefault(found, []).append(f"{group}={option}")
    if key in elsewhere:
        return (
            f"{key} is a setting of {' and '.join(elsewhere[key])}, and here is {group}={now}: add {elsewhere[key][0]}"
        )
    verb = config_name.replace("_", "-")
    near = [
        found + (f" (with {' or '.join(elsewhere[found])})" if found in elsewhere else "")
        for found in _nearest(key, [*known, *elsewhere])
    ]
    return (
        f"{verb} has no setting {key}" + (f": did you mean {' or '.join(near)}?" if near else ".") + " --help lists all"
    )


def _nearest(word: str, known: Sequence[str]) -> list[str]:
    """Those that look like it, the nearest first: as a whole, or in their last part, where the place is not known."""
    last = word.rpartition(".")[2]
    weight = 0.75 if "." in word else 0.95
    scores = {key: max(_like(word, key), weight * _like(last, key.rpartition(".")[2])) for key in known}
    least = max(_NEAR, max(scores.values(), default=0.0) - _AS_NEAR)
    near = [key for key in known if scores[key] >= least]
    return sorted(near, key=lambda key: (-scores[key], key.count("."), key))[:_SUGGESTIONS]


def _like(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _keys(node: DictConfig, prefix: str) -> Iterator[str]:
    """Every key under the node that is there to be set, nodes of nodes included."""
    for key in node:
        if key == "_target_" or (not prefix and key == "hydra"):
            continue
        raw = OmegaConf.to_container(node, resolve=False)[key] if OmegaConf.is_interpolation(node, key) else None
        if isinstance(raw, str) and ":" not in raw:
            continue  # it follows another
        yield f"{prefix}{key}"
        if not OmegaConf.is_missing(node, key) and raw is None and isinstance(node[key], DictConfig):
            yield from _keys(node[key], f"{prefix}{key}.")


def _has(config: DictConfig, key: str) -> bool:
    try:
        node = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else config
    except OmegaConfBaseException:  # what it follows is not there
        return False
    return isinstance(node, DictConfig) and key.rpartition(".")[2] in node


def _is_choice(loader: ConfigLoader, item: Override, defaults: Mapping[str, str]) -> bool:
    """Does it choose an option of a group: one that the entry has, or, with a +, any?"""
    group = item.key_or_group
    if isinstance(item.value(), dict) or item.is_delete() or not (group in defaults or item.is_add()):
        return False
    return group.rpartition("/")[2] in loader.list_groups(group.rpartition("/")[0])


def _options(loader: ConfigLoader, group: str) -> list[str]:
    found = loader.get_group_options(group, ObjectType.CONFIG)
    return sorted(option for option in found if not option.startswith("_"))


def _values(item: Override) -> list[str]:
    """The value, or each of a list's or a sweep's."""
    if item.is_discrete_sweep():
        return [value.strip("'\"") for value in item.sweep_string_iterator()]
    value = item.value()
    return [str(one) for one in value] if isinstance(value, list) else [item.get_value_element_as_str().strip("'\"")]


def _wants_extra(what: str) -> str:
    return f"{what} wants more than plain sweeps do: pip install 'distillgan[sweeps]'"


def _line(error: BaseException) -> str:
    """What an exception says, and what it says is the cause, in one line."""
    causes = [str(cause) for cause in (error, error.__cause__) if cause is not None]
    return re.sub(r" (See http|expecting \{).*", "", " ".join(" ".join(causes).split()))
