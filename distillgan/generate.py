"""`python -m distillgan.generate`: new sound from a trained model or several, or a recording as the model hears it."""

import re
import sys
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from distillgan.cli import hydra_app
from distillgan.cli.commands.arguments import EXIT_USER_ERROR, report
from distillgan.cli.overrides import steered
from distillgan.errors import UserError
from distillgan.paths import Home

if TYPE_CHECKING:
    from distillgan.synthesis.generation import RenderResult


def _check_sliders(arguments: list[str]) -> None:
    """Raises UserError for what Hydra would refuse in words that help nobody."""
    from distillgan.features.descriptors import NAMES

    for argument in arguments:
        name, equals, _ = argument.removeprefix("--").partition("=")
        if not equals and not argument.startswith("--"):
            continue  # another flag's value
        if name in NAMES or re.fullmatch(r"axis\d+", name):
            raise UserError(f"{argument}: sliders are set as controls.{name}=VALUE")
        slider = name.removeprefix("controls.")
        if slider != name and not re.fullmatch(r"\w+", slider, re.ASCII):
            raise UserError(f"{argument}: there is no slider of this name; `distillgan controls` lists a model's")


def with_preset(overrides: list[str]) -> list[str]:
    """`preset=NAME` among the overrides → the preset's settings before them, as far as they say nothing themselves.

    Raises:
        UserError: there is no such preset, or several models have one of that name and none is named.
    """
    name = hydra_app.value_of(overrides, "preset")
    if name is None:
        return overrides
    from distillgan.cli.serialization import arguments_of
    from distillgan.store.presets import Presets

    model = hydra_app.value_of(overrides, "model.name")
    preset = Presets(Home(hydra_app.home_of(overrides))).find(str(name), None if model is None else str(model))
    settings = dict(preset.settings)
    if not (settings.get("blend") or {}).get("models"):
        settings["model"] = {"name": preset.model}
    return arguments_of(settings, overrides) + overrides


def generate(config: DictConfig) -> "list[RenderResult]":
    """What the composed configuration asks for, as files. Raises UserError."""
    # Here, not above: torch takes a second, which --help need not wait.
    from distillgan.synthesis import generation
    from distillgan.synthesis.request import RenderRequest

    return generation.generate(RenderRequest.from_config(config))


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    hydra_app.show_help("generate", steered(arguments))
    try:
        _check_sliders(arguments)
        overrides = with_preset(hydra_app.to_overrides(steered(arguments)))
    except UserError as error:
        report(error)
        sys.exit(EXIT_USER_ERROR)
    hydra_app.run(generate, "generate", overrides)


if __name__ == "__main__":
    main()
