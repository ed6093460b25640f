"""Kinds of latent models and vocoders by name: the built-in ones, and those of installed packages, by entry point.

A package declares a class under `distillgan.latent_models` or `distillgan.vocoders`, and may ship a folder conf/ whose
files Hydra finds as it finds the ones of distillgan itself:

    [project.entry-points."distillgan.vocoders"]
    comb = "distillgan_comb.vocoder:CombVocoder"

The built-in kinds stand in a table here, because a checkout that was never installed has no entry points. There is no
torch in this module, and nothing of a kind is imported before it is asked for.
"""

import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from distillgan.errors import UserError, printable

LATENT_MODELS, VOCODERS = "distillgan.latent_models", "distillgan.vocoders"
VAE = "vae"
Contract = TypeVar("Contract")

# The same as in pyproject.toml, where they are declared for other programs.
BUILT_IN = {
    LATENT_MODELS: {VAE: "distillgan.models.vae.network:VAENetwork"},
    VOCODERS: {
        "hifigan": "distillgan.models.vocoders.hifigan:HiFiGANVocoder",
        "harmonic": "distillgan.models.vocoders.harmonic:HarmonicVocoder",
    },
}
# Choices that are no kind, and the stage of a run that a vocoder's stands beside.
_RESERVED = {"auto", "bigvgan", "harmonic", "none", "universal", "vocos", VAE}
_WORDS = {LATENT_MODELS: "latent model", VOCODERS: "vocoder"}


def kinds(group: str) -> list[str]:
    """The names of all kinds of a group, the built-in ones first. Raises UserError as `installed`."""
    return [*BUILT_IN[group], *installed(group)]


@dataclass(frozen=True)
class Kind:
    """A kind that another package brings: the entry point, and the package's name and version."""

    point: EntryPoint
    package: str
    version: str


def installed(group: str) -> dict[str, Kind]:
    """The kinds that other packages bring, by name.

    Raises UserError, naming the package, if one has a name that is taken or that no file can have.
    """
    found: dict[str, Kind] = {}
    for point in sorted(_declared(group, tuple(sys.path)), key=lambda point: point.name):
        if point.dist is None or point.dist.name == "distillgan":
            continue
        package = point.dist.name
        claim = f"the package {package} brings a {_WORDS[group]} {point.name!r}"
        remedy = f"uninstall it (pip uninstall {package}), or ask its author for another name"
        if point.name in BUILT_IN[group] or point.name in _RESERVED:
            raise UserError(f"{claim}, a name that distillgan keeps for itself: {remedy}")
        if not re.fullmatch(r"[A-Za-z][\w-]{0,39}", point.name, re.ASCII):
            raise UserError(f"{claim}: a name has at most 40 letters, digits, '_' and '-', a letter first; {remedy}")
        if point.name in found:
            raise UserError(f"{claim}, and so does {found[point.name].package}: uninstall one of them")
        found[point.name] = Kind(point, package, point.dist.version)
    return found


@functools.lru_cache(maxsize=2)
def _declared(group: str, path: tuple[str, ...]) -> EntryPoints:
    """The entry points of the packages on `path`, which is sys.path: read once a process, in some 10 ms."""
    return entry_points(group=group)


def describe(group: str, kind: str) -> dict[str, str]:
    """What a file says of a kind: {"name"}, and of one from another package its "distribution" and "version".

    Raises UserError if there is no such kind.
    """
    if kind in BUILT_IN[group]:
        return {"name": kind}
    found = installed(group).get(kind)
    if found is None:
        raise UserError(
            f"there is no {_WORDS[group]} {kind!r} ({', '.join(kinds(group))}): a class of one's own is declared as an "
            f"entry point of the group {group}, and its package installed"
        )
    return {"name": kind, "distribution": found.package, "version": found.version}


def load(group: str, description: Mapping[str, str], contract: type[Contract]) -> type[Contract]:
    """The class of a kind, from what `describe` said of it: nothing but an entry point of that name is imported.

    Raises UserError if it is not installed, naming the package that it was written with; if it comes from another
    package now, cannot be imported, or is no subclass of `contract`, the base class of the group.
    """
    name, wrote = description["name"], description.get("distribution")
    if name in BUILT_IN[group] and wrote is None:
        return EntryPoint(name, BUILT_IN[group][name], group).load()
    kind, called = installed(group).get(name), f"{_WORDS[group]} {name!r}"
    if kind is None and wrote is None:
        raise UserError(f"its {called} is none that this version knows ({', '.join(kinds(group))})")
    if kind is None:
        raise UserError(
            f"its {called} was written with the package {printable(str(wrote))} "
            f"{printable(str(description.get('version')))}, which is not installed here: install it, if you trust its "
            "author"
        )
    if wrote not in (None, kind.package):
        raise UserError(
            f"its {called} was written with the package {printable(str(wrote))}; the one that is installed here comes "
            f"from {kind.package}"
        )
    try:
        found = kind.point.load()
    except Exception as error:  # another's code: anything may be wrong with it
        raise UserError(
            f"the {called} of the package {kind.package} {kind.version} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, type) or not issubclass(found, contract) or getattr(found, "name", None) != name:
        raise UserError(
            f"{kind.point.value} of the package {kind.package} is no {_WORDS[group]} of the name {name!r}: it must be "
            f"a subclass of {contract.__module__}.{contract.__name__} with this `name`"
        )
    return found


def conf_folders() -> tuple[Path, ...]:
    """The folders conf/ in the packages that bring kinds. Nothing of theirs is imported."""
    packages = {kind.point.module.partition(".")[0] for group in BUILT_IN for kind in installed(group).values()}
    found = [find_spec(package) for package in sorted(packages)]
    places = [Path(place, "conf") for spec in found if spec for place in spec.submodule_search_locations or ()]
    return tuple(folder for folder in places if folder.is_dir())
