"""What Hydra refuses of a command line, in words: which setting is wrong, and which is near it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from distillgan.errors import UserError
from distillgan.paths import current_kind

_NEAR, _AS_NEAR = 0.72, 0.12  # of 1, the same; and how far under the nearest
_OF_EXTRA = {"hydra/launcher": ("joblib", "submitit_local", "submitit_slurm"), "hydra/sweeper": ("optuna",)}
_EXTRA_WANTED = "wants more than plain sweeps do: pip install 'distillgan[sweeps]'"


def refused(error: Exception, config_name: str, overrides: Sequence[str]) -> UserError | None:
    """One line for what Hydra refused of `overrides` to conf/<config_name>.yaml; None if it refused nothing.

    Call it, and `mistake`, while Hydra is initialized with that folder.
    """
    words = mistake(config_name, overrides) or (_line(error) if isinstance(error, HydraException) else None)
    return None if words is None else UserError(words)


def mistake(config_name: str, overrides: Sequence[str]) -> str | None:
    """The first that is wrong with the overrides, a sweep's every choice looked at; None if nothing is found."""
    loader = GlobalHydra.instance().config_loader()
    parser, chosen = OverridesParser.create(config_loader=loader), []
    bare = _composed(config_name)
    groups, settings = bare["hydra"]["runtime"]["choices"], set(_keys(bare))
    for item in overrides:
        try:
            (override,) = parser.parse_overrides([item])
        except HydraException as error:
            return f"{item} cannot be read ({_line(error)}): text with signs of its own wants quotes within quotes"
        group, values, value = override.key_or_group, _values(override), override.value()
        is_choice = (group in groups or override.is_add()) and not override.is_delete() and not isinstance(value, dict)
        options = _options(loader, group) if is_choice else []
        if override.is_add() and not override.is_force_add() and (group in groups or group in settings):
            return f"{item}: {group} is there already, leave out the +"
        for wrong in (value for value in values if options and current_kind(value) not in options):
            if wrong in _OF_EXTRA.get(group, ()):
                return f"{group}={wrong} {_EXTRA_WANTED}"
            near = "".join(f"did you mean {word}? T" for word in _nearest(wrong, options)[:1]) or "t"
            return f"there is no {group}={wrong}: {near}here are {', '.join(options)}"
        if override.is_sweep_override():  # its first value, with its quotes
            first = next(override.sweep_string_iterator()) if override.is_discrete_sweep() else values[0]
            item = f"{override.get_key_element()}={first}"
        chosen.append(item)
    try:
        hydra.compose(config_name, chosen)
    except HydraException as error:
        line = _line(error)
        if any(f"'{group}/{name}'" in line for group, names in _OF_EXTRA.items() for name in names):
            return f"search= {_EXTRA_WANTED}"
        missing = re.search(r"Could not override '([^'=]+)|config\. '([^'=]+)[^']*' does not exist", line)
        return _no_such(missing[1] or missing[2], config_name, chosen, groups, loader) if missing else line
    return None


def _no_such(key: str, config_name: str, chosen: list[str], groups: Mapping[str, str], loader: ConfigLoader) -> str:
    others = [item for item in chosen if item.partition("=")[0].lstrip("+~") in groups]
    config, group = _composed(config_name, others), key.partition(".")[0]
    now = None if group == "hydra" else config["hydra"]["runtime"]["choices"].get(group)
    known = {name for name in groups if "/" not in name}  # those of which nothing is chosen leave no setting behind
    known |= set(_keys(config["hydra"], "hydra.") if group == "hydra" else _keys(config))
    elsewhere: dict[str, list[str]] = {}
    for option in _options(loader, group) if now else []:
        kept = [item for item in others if item.partition("=")[0] != group]
        try:
            found = _keys(_composed(config_name, [*kept, f"{group}={option}"]))
        except HydraException:  # an option for other entries
            continue
        for other in set(found) - known:
            elsewhere.setdefault(other, []).append(f"{group}={option}")
    if key in elsewhere:
        there = " and ".join(elsewhere[key])
        return f"{key} is a setting of {there}, and here is {group}={now}: add {elsewhere[key][0]}"
    near = _nearest(key, [*known, *elsewhere])
    near = [word + (f" (with {' or '.join(elsewhere[word])})" if word in elsewhere else "") for word in near]
    meant = f": did you mean {' or '.join(near)}?" if near else "."
    return f"{config_name.replace('_', '-')} has no setting {key}{meant} --help lists all"


def _nearest(word: str, known: Iterable[str]) -> list[str]:
    """Those that look like it, the nearest first: as a whole, or in their last part, where the place is not known."""

    def like(one: str, other: str) -> float:
        return SequenceMatcher(None, one.lower(), other.lower()).ratio()

    last, weight = word.rpartition(".")[2], 0.75 if "." in word else 0.95
    scores = {key: max(like(word, key), weight * like(last, key.rpartition(".")[2])) for key in known}
    least = max(_NEAR, max(scores.values(), default=0.0) - _AS_NEAR)
    near = [key for key, score in scores.items() if score >= least]
    return sorted(near, key=lambda key: (-scores[key], key.count("."), key))[:3]


def _keys(node: Mapping, prefix: str = "") -> Iterator[str]:
    """Every key that is there to be set: no reference to another, and nothing of Hydra's own."""
    for key, value in node.items():
        follows = isinstance(value, str) and "${" in value and ":" not in value
        if key != "_target_" and not follows and f"{prefix}{key}" != "hydra":
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.") if isinstance(value, dict) else ()


def _composed(config_name: str, overrides: Sequence[str] = ()) -> dict:
    return OmegaConf.to_container(hydra.compose(config_name, list(overrides), return_hydra_config=True), resolve=False)


def _options(loader: ConfigLoader, group: str) -> list[str]:
    return sorted(name for name in loader.get_group_options(group, ObjectType.CONFIG) if not name.startswith("_"))


def _values(override: Override) -> list[str]:
    """The value, or each of a list's or a sweep's."""
    if override.is_discrete_sweep():
        return [value.strip("'\"") for value in override.sweep_string_iterator()]
    value = override.value()
    if override.is_sweep_override():
        return [str(value.start)]  # of an interval
    return (
        [str(one) for one in value] if isinstance(value, list) else [override.get_value_element_as_str().strip("'\"")]
    )


def _line(error: BaseException) -> str:
    """What an exception says, and what it says is the cause, in one line."""
    causes = [str(cause) for cause in (error, error.__cause__) if cause is not None]
    return re.sub(r" (See http|expecting \{).*", "", " ".join(" ".join(causes).split()))
