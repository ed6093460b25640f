"""A request as the overrides of a command line, so that others given there go before it."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from distillgan.cli import hydra_app
from distillgan.cli.overrides import quote
from distillgan.synthesis.request import RenderRequest

_LEVEL = ("loudness", "peak")  # of `export`: the same for every format


def with_overrides(request: RenderRequest, overrides: Sequence[str]) -> RenderRequest:
    """The request, but for what the overrides of `generate` say. Raises UserError if Hydra refuses one."""
    given = [f"paths.home={quote(str(request.home))}", *overrides]
    return RenderRequest.from_config(hydra_app.composed("generate", arguments_of(request.to_dict(), given) + given))


def arguments_of(settings: Mapping[str, Any], given: Sequence[str] = ()) -> list[str]:
    """Overrides of `generate` that say what kept settings say, as far as those `given` say nothing of it.

    Every text is quoted, so that nothing in it is read as more than a text. Raises UserError as
    `RenderRequest.from_dict`.
    """
    known = RenderRequest.from_dict(settings).to_dict()
    said = {argument.partition("=")[0].lstrip("-+~") for argument in given}
    found: dict[str, Any] = {}
    for key in dict.fromkeys([*settings, "export"]):  # what says nothing of a file is of a build without loudness
        value = known[key]
        if not isinstance(value, Mapping):
            found[key] = value
            continue
        is_group = key in ("spatial", "export")
        own = not is_group or key not in said  # else another option is chosen, which has values of its own
        if is_group and own:
            found[key] = value["name"]
        kept = [name for name in value if not (is_group and name == "name") and (own or name in _LEVEL)]
        found |= {f"{'++' if key == 'controls' else ''}{key}.{name}": value[name] for name in kept}
    if said & {"model.name", "blend.models"}:  # of the two that exclude each other the given one holds
        found.pop("model.name", None)
        found.pop("blend.models", None)
    return [f"{key}={written(value)}" for key, value in found.items() if key.lstrip("+") not in said]


def written(value: Any) -> str:
    """A Python value as the command line has it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(written(item) for item in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, int | float) else quote(os.fspath(value))
