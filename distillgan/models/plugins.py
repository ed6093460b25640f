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
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
from pathlib import Path

from distillgan.errors import UserError, printable

LATENT_MODELS, VOCODERS = "distillgan.latent_models", "distillgan.vocoders"
VAE = "vae"

# The same as in pyproject.toml, where they are declared for other programs.
BUILT_IN = {
    LATENT_MODELS: {VAE: "distillgan.models.vae.network:VAENetwork"},
    VOCODERS: {
        "hifigan": "distillgan.models.vocoders.hifigan:HiFiGANVocoder",
        "vocos": "distillgan.models.vocoders.harmonic:HarmonicVocoder",
    },
}
# Choices that are no kind, and the stage of a run that a vocoder's stands beside.
_RESERVED = {"auto", "bigvgan", "harmonic", "none", "universal", "vocos", VAE}
_WORDS = {LATENT_MODELS: "latent model", VOCODERS: "vocoder"}


def kinds(group: str) -> list[str]:
    """The names of all kinds of a group, the built-in ones first. Raises UserError as `installed`."""
    return [*BUILT_IN[group], *installed(group)]


def installed(group: str) -> dict[str, EntryPoint]:
    """The kinds that other packages bring, by name.

    Raises UserError, naming the package, if one has a name that is taken or that no file can have.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(_declared(tuple(sys.path)).select(group=group), key=lambda point: point.name):
        if point.dist.name == "distillgan":
            continue
        claim = f"the package {point.dist.name} brings a {_WORDS[group]} {point.name!r}"
        remedy = f"uninstall it (pip uninstall {point.dist.name}), or ask its author for another name"
        if point.name in BUILT_IN[group] or point.name in _RESERVED:
            raise UserError(f"{claim}, a name that distillgan keeps for itself: {remedy}")
        if not re.fullmatch(r"[A-Za-z][\w-]{0,39}", point.name, re.ASCII):
            raise UserError(f"{claim}: a name has at most 40 letters, digits, '_' and '-', a letter first; {remedy}")
        if point.name in found:
            raise UserError(f"{claim}, and so does {found[point.name].dist.name}: uninstall one of them")
        found[point.name] = point
    return found


@functools.lru_cache(maxsize=1)
def _declared(path: tuple[str, ...]) -> EntryPoints:
    """All entry points of the packages on `path`, which is sys.path: read once a process, in some 10 ms."""
    return entry_points()


def describe(group: str, kind: str) -> dict[str, str]:
    """What a file says of a kind: {"name"}, and of one from another package its "distribution" and "version".

    Raises UserError if there is no such kind.
    """
    if kind in BUILT_IN[group]:
        return {"name": kind}
    point = installed(group).get(kind)
    if point is None:
        raise UserError(
            f"there is no {_WORDS[group]} {kind!r} ({', '.join(kinds(group))}): a class of one's own is declared as an "
            f"entry point of the group {group}, and its package installed"
        )
    return {"name": kind, "distribution": point.dist.name, "version": point.dist.version}


def load(group: str, description: Mapping[str, str], contract: type) -> type:
    """The class of a kind, from what `describe` said of it: nothing but an entry point of that name is imported.

    Raises UserError if it is not installed, naming the package that it was written with; if it comes from another
    package now, cannot be imported, or is no subclass of `contract`, the base class of the group.
    """
    kind, wrote = description["name"], description.get("distribution")
    if kind in BUILT_IN[group] and wrote is None:
        return EntryPoint(kind, BUILT_IN[group][kind], group).load()
    point = installed(group).get(kind)
    if point is None and wrote is None:
        raise UserError(f"its {_WORDS[group]} {kind!r} is none that this version knows ({', '.join(kinds(group))})")
    if point is None:
        raise UserError(
            f"its {_WORDS[group]} {kind!r} was written with the package {printable(str(wrote))} "
            f"{printable(str(description.get('version')))}, which is not installed here: install it, if you trust its "
            "author"
        )
    if wrote not in (None, point.dist.name):
        raise UserError(
            f"its {_WORDS[group]} {kind!r} was written with the package {printable(str(wrote))}; the one that is "
            f"installed here comes from {point.dist.name}"
        )
    try:
        found = point.load()
    except Exception as error:  # another's code: anything may be wrong with it
        raise UserError(
            f"the {_WORDS[group]} {kind!r} of the package {point.dist.name} {point.dist.version} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, type) or not issubclass(found, contract) or getattr(found, "name", None) != kind:
        raise UserError(
            f"{point.value} of the package {point.dist.name} is no {_WORDS[group]} of the name {kind!r}: it must be a "
            f"subclass of {contract.__module__}.{contract.__name__} with this `name`"
        )
    return found


def conf_folders() -> tuple[Path, ...]:
    """The folders conf/ in the packages that bring kinds. Nothing of theirs is imported."""
    packages = {point.module.partition(".")[0] for group in BUILT_IN for point in installed(group).values()}
    found = [find_spec(package) for package in sorted(packages)]
    places = [Path(place, "conf") for spec in found if spec for place in spec.submodule_search_locations or ()]
    return tuple(folder for folder in places if folder.is_dir())
