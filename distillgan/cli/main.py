"""The `distillgan` command: each verb calls the same entry as `python -m distillgan.<verb>`."""

import sys
from importlib import import_module

from distillgan import __version__
from distillgan.cli.commands.arguments import EXIT_USER_ERROR, report
from distillgan.errors import UserError
from distillgan.paths import CONFIG, Home, current_kind
from distillgan.process import leave_while_importing

# Verb → module in cli/commands (None: distillgan.<verb> itself) and words. No verb imports another's module.
_VERBS = {
    "train": ("train_command", "train a model on your recordings: distillgan train data.dir=~/rain name=rain"),
    "generate": (None, "new sound from a model: distillgan generate --model rain --duration 20"),
    "evaluate": (None, "how well a model reconstructs: distillgan evaluate --model rain --data.dir ~/rain"),
    "ui": (None, "the page in your browser: train, play and keep models with hands on it: distillgan ui"),
    "controls": (
        "engine_commands",
        "a model's sliders, what each was measured to do, and a map: distillgan controls rain",
    ),
    "weights": ("engine_commands", "the universal vocoder's weights: distillgan weights --where | --fetch | --verify"),
    "train-vocoder": ("train_command", "train a finished model's own vocoder: distillgan train-vocoder rain"),
    "export-vocoder": (
        "engine_commands",
        "a model's own vocoder for other programs: distillgan export-vocoder rain --format onnx",
    ),
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
    "runs": ("tensorboard_command", "what every run does or has come to: distillgan runs | distillgan runs rain"),
    "board": ("tensorboard_command", "TensorBoard over all runs, or one: distillgan board rain"),
    "card": ("model_commands", "a model card in Markdown, with sounds to be heard: distillgan card rain"),
    "push": ("hub_commands", "a model and its card to the hub, private: distillgan push rain --repo user/rain"),
    "pull": ("hub_commands", "a model from the hub: distillgan pull user/rain"),
    "again": ("sound_commands", "a generation of the history made again: distillgan again 12"),
}
_VOCODER = "harmonic"  # the kind that a model gets if nothing else is said


def main() -> None:
    leave_while_importing()
    try:
        _call(sys.argv[1:])
    except UserError as error:
        report(error)
        sys.exit(EXIT_USER_ERROR)


def _call(arguments: list[str]) -> None:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help", "help"):
        print(_usage())
        return
    if verb == "--version":
        print(f"distillgan {__version__}")
        return
    if verb not in _VERBS:
        raise UserError(f"there is no verb {verb!r}\n{_usage()}")
    if verb == "train-vocoder":
        verb, rest = "train", rest if {"-h", "--help"} & set(rest) else _vocoder_overrides(rest)
    elif verb == "export-vocoder" and (not rest or rest[0] not in ("-h", "--help")):
        rest = [f"--model={_name(rest, 'export-vocoder', 'rain --format onnx')}", *rest[1:]]
    elif verb == "controls" and _is_name(rest):
        rest = [f"--model={rest[0]}", *rest[1:]]
    module = _VERBS[verb][0]
    if module == "engine_commands" and {"-h", "--help"} & set(rest):  # it imports torch, which takes seconds
        from distillgan.cli.hydra_app import show_help
        from distillgan.cli.overrides import model_by_name

        show_help(verb.replace("-", "_"), model_by_name(rest))
    if module is None:
        import_module(f"distillgan.{verb}").main(rest)
    else:
        getattr(import_module(f"distillgan.cli.commands.{module}"), f"{verb.replace('-', '_')}_main")(rest)


def _is_name(arguments: list[str]) -> bool:
    """Whether a model's name comes first by itself."""
    return bool(arguments) and not arguments[0].startswith("-") and "=" not in arguments[0]


def _name(arguments: list[str], verb: str, example: str) -> str:
    if not _is_name(arguments):
        raise UserError(f"{verb} wants the model's name first: distillgan {verb} {example}")
    return arguments[0]


def _usage() -> str:
    lines = [f"  {verb:<14} {words}" for verb, (_, words) in _VERBS.items()]
    setting = "A setting may be written key=value or --key value; `distillgan VERB --help` shows them all."
    return "\n".join(["usage: distillgan VERB …", *lines, setting])


def _vocoder_overrides(arguments: list[str]) -> list[str]:
    """Overrides of `NAME …`: a training of the vocoder alone, of the kind and on the recordings of the run NAME."""
    from omegaconf import OmegaConf

    from distillgan.cli import hydra_app
    from distillgan.cli.overrides import quote

    name = _name(arguments, "train-vocoder", "rain")
    rest = hydra_app.to_overrides(arguments[1:])
    given = {item.partition("=")[0] for item in rest}
    overrides = [f"name={name}", "stages=[vocoder]"]
    path = Home(hydra_app.home_of(rest)).run(name) / CONFIG
    run = OmegaConf.load(path) if path.exists() else None
    if "vocoder" not in given:
        trained = run is not None and OmegaConf.select(run, "vocoder.module") is not None  # bigvgan and none are not
        overrides.append(f"vocoder={current_kind(run.vocoder.name) if trained else _VOCODER}")
    if not given & {"data.dir", "data"}:
        if run is None:
            missing = f"there is no run {name} in {path.parents[1]}"
            raise UserError(f"{missing}: give the recordings that it was trained on, data.dir=PATH")
        folders = run.data.dir
        if isinstance(folders, str):
            overrides.append(f"data.dir={quote(folders)}")
        elif folders is not None:
            overrides.append(f"data.dir=[{','.join(map(quote, folders))}]")
        channels = OmegaConf.select(run, "data.channels")
        if channels is not None and "data.channels" not in given:
            overrides.append(f"data.channels={channels}")
    return overrides + rest


if __name__ == "__main__":
    main()
