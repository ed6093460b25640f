"""The `distillgan` command: each verb calls the same entry as `python -m distillgan.<verb>`."""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from distillgan import __version__
from distillgan.cli.commands.arguments import EXIT_USER_ERROR
from distillgan.errors import UserError
from distillgan.paths import CONFIG, Home
from distillgan.process import leave_while_importing

_ENTRIES = {
    "train": "train a model on your recordings: distillgan train data.dir=~/rain name=rain",
    "generate": "new sound from a model: distillgan generate --model rain --duration 20",
    "evaluate": "how well a model reconstructs: distillgan evaluate --model rain --data.dir ~/rain",
    "ui": "the page in your browser: train, play and keep models with hands on it: distillgan ui",
    "controls": "a model's sliders, what each was measured to do, and a map: distillgan controls rain",
    "weights": "the universal vocoder's weights: distillgan weights --where | --fetch | --verify",
}
_NAMED = {"controls"}
# Verbs that need no torch: the module in `distillgan.cli.commands`, and words. They start in a fraction of a second.
_LIGHT = {
    "models": (
        "model_commands",
        "your models: distillgan models list | search | info | rename | tag | note | import | …",
    ),
    "reproduce": ("sound_commands", "a sound made again from its file alone: distillgan reproduce rain_seed1.wav"),
    "history": (
        "history_commands",
        "every sound generated: distillgan history list | search | show | star | delete | …",
    ),
    "presets": (
        "history_commands",
        "settings of a sound under a name: distillgan presets save | list | show | rename | …",
    ),
    "compare": ("sound_commands", "two sounds of the history side by side, and equally loud: distillgan compare 12 13"),
    "adopt": ("sound_commands", "generated sounds into a folder of recordings: distillgan adopt 12 --into ~/rain"),
    "board": ("tensorboard_command", "TensorBoard over all runs, or one: distillgan board rain"),
    "card": ("model_commands", "a model card in Markdown, with sounds to be heard: distillgan card rain"),
    "push": ("hub_commands", "a model and its card to the hub, private: distillgan push rain --repo user/rain"),
    "pull": ("hub_commands", "a model from the hub: distillgan pull user/rain"),
    "again": ("sound_commands", "a generation of the history made again: distillgan again 12"),
}
_VOCODER = "vocos"  # the kind that a model gets if nothing else is said
_EXPORT_VOCODER = "a model's own vocoder for other programs: distillgan export-vocoder rain --format onnx"
_TRAIN_VOCODER = "train a finished model's own vocoder: distillgan train-vocoder rain"


def main() -> None:
    leave_while_importing()
    try:
        _call(sys.argv[1:])
    except UserError as error:
        _entry().report(error)
        sys.exit(EXIT_USER_ERROR)


def _call(arguments: list[str]) -> None:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help", "help"):
        print(_usage())
    elif verb == "--version":
        print(f"distillgan {__version__}")
    elif verb in ("controls", "weights"):
        _command("engine_commands", verb)(_named(rest) if verb in _NAMED else rest)
    elif verb == "train":
        _command("train_command", verb)(rest)
    elif verb in _ENTRIES:
        import_module(f"distillgan.{verb}").main(rest)
    elif verb in _LIGHT:
        _command(_LIGHT[verb][0], verb)(rest)
    elif verb == "train-vocoder":
        _command("train_command", "train")(_vocoder_overrides(rest))
    elif verb == "export-vocoder":
        _command("engine_commands", "export_vocoder")(_export_arguments(rest))
    else:
        raise UserError(f"there is no verb {verb!r}\n{_usage()}")


def _command(module: str, verb: str) -> Callable[[list[str]], None]:
    return getattr(import_module(f"distillgan.cli.commands.{module}"), f"{verb}_main")


def _entry() -> ModuleType:
    """Where Hydra is: imported by the verbs that need it, and by no other."""
    return import_module("distillgan.cli.hydra_app")


def _named(arguments: list[str]) -> list[str]:
    """A model's name may come first by itself."""
    first = arguments[0] if arguments else "-"
    return arguments if first.startswith("-") or "=" in first else [f"--model={first}", *arguments[1:]]


def _usage() -> str:
    light = {verb: words for verb, (_, words) in _LIGHT.items()}
    verbs = {**_ENTRIES, "train-vocoder": _TRAIN_VOCODER, "export-vocoder": _EXPORT_VOCODER, **light}
    lines = [f"  {verb:<14} {words}" for verb, words in verbs.items()]
    return "\n".join(
        [
            "usage: distillgan VERB …",
            *lines,
            "A setting may be written key=value or --key value; `distillgan VERB --help` shows them all.",
        ]
    )


def _export_arguments(arguments: list[str]) -> list[str]:
    """`NAME …` → the arguments of the entry."""
    if arguments and arguments[0] in ("-h", "--help"):
        return arguments
    if not arguments or arguments[0].startswith("-") or "=" in arguments[0]:
        raise UserError("export-vocoder wants the model's name first: distillgan export-vocoder rain --format onnx")
    return [f"--model={arguments[0]}", *arguments[1:]]


def _vocoder_overrides(arguments: list[str]) -> list[str]:
    """`NAME …` → a training of the vocoder stage, of the kind and on the recordings that the run of that name has."""
    from omegaconf import OmegaConf

    if not arguments or arguments[0].startswith("-") or "=" in arguments[0]:
        raise UserError("train-vocoder wants the model's name first: distillgan train-vocoder rain")
    name, rest = arguments[0], _entry().to_overrides(arguments[1:])
    given = {item.partition("=")[0] for item in rest}
    overrides = [f"name={name}", "stages=[vocoder]"]
    path = Home(_entry().home_of(rest)).run(name) / CONFIG
    run = OmegaConf.load(path) if path.exists() else None
    if "vocoder" not in given:
        trained = run is not None and OmegaConf.select(run, "vocoder.module") is not None  # bigvgan and none are not
        overrides.append(f"vocoder={run.vocoder.name if trained else _VOCODER}")
    if not given & {"data.dir", "data"}:
        if run is None:
            missing = f"there is no run {name} in {path.parents[1]}"
            raise UserError(f"{missing}: give the recordings that it was trained on, data.dir=PATH")
        overrides += _folders(run.data.dir)
        channels = OmegaConf.select(run, "data.channels")
        if channels is not None and "data.channels" not in given:
            overrides.append(f"data.channels={channels}")
    return overrides + rest


def _folders(noted: str | list[str] | None) -> list[str]:
    """A run's folder, or folders, as an override."""
    if noted is None:
        return []
    from distillgan.cli.overrides import quote

    return [f"data.dir={quote(noted) if isinstance(noted, str) else '[' + ','.join(map(quote, noted)) + ']'}"]


if __name__ == "__main__":
    main()
