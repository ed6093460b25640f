"""What plays the mels that are judged: vocoders by name, chosen as in rendering, and any from outside."""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from omegaconf import DictConfig, ListConfig
from rich.console import Console
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.progress import transfer_bar
from distillgan.render.engine import Model
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.select import NAMES, select

_OUTSIDE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_LEFT = {"griffinlim": "experiments.yardsticks:griffin_lim"}  # what was once a name → what to say instead


@dataclass(frozen=True)
class Player:
    """A vocoder's name and how it plays: log-clamp mel [1, n_mels, T] → wave [T * hop_length] on the CPU."""

    name: str
    play: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, name: str, vocoder: Vocoder) -> "Player":
        return cls(name, lambda mel: vocoder.render(mel)[0, 0].float().cpu())


def players(config: DictConfig, model: Model, home: Home, device: torch.device, console: Console) -> list[Player]:
    """Those that `vocoders` lists, else the one that `vocoder` asks for; each once, and each ready before any plays.

    Raises:
        UserError: one is unknown, or cannot be had for this model.
    """
    names = _names(config)
    # The nodes of trained vocoders have nothing that select needs but the name; the others' keys may be set on any.
    shared = {key: config.vocoder.get(key) for key in ("pin", "weights_dir")}
    found: dict[str, Player] = {}
    for name in names:
        if name is not None and ":" in name:
            found[name] = external(name, model.spec, device)
            source = getattr(sys.modules[name.partition(":")[0]], "__file__", "built in")
            console.print(f"vocoder {name}: from outside the package, {source}", markup=False)
            continue
        with transfer_bar(console) as fetching:
            settings = {**shared, "name": name}
            selected = select(settings, model.header.name, model.vocoder, model.spec, home, device, fetching)
        model.spec.require(selected.vocoder.spec, f"model {model.header.name}", "the vocoder")
        console.print(f"vocoder {selected.name}: {selected.reason}")
        found[selected.name] = Player.of(selected.name, selected.vocoder)
    return list(found.values())


def external(name: str, spec: MelSpec, device: torch.device) -> Player:
    """A vocoder from outside the package, by "module:callable".

    The callable is called with `spec`, the model's mel, and gives a `Vocoder`, which plays on `device`, or a function:
    log-clamp mel [1, n_mels, T] on the CPU → wave of T * hop_length samples. This imports the module, so that its code
    runs: `name` comes from whoever asks for the judgement, never out of a model, a preset or a tag. The current folder
    is looked in, too, after all others.

    Raises:
        UserError: there is no such module or callable, it gives something else, or its own code fails.
    """
    if not _OUTSIDE.fullmatch(name):
        raise UserError(f"vocoders: {name!r} is no module:callable, such as mine:make")
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    with _theirs(name, "cannot be imported"):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not f"{module_name}.".startswith(f"{error.name}."):
                raise  # it is there, and misses another
            places = f"the current folder ({os.getcwd()}), PYTHONPATH and what is installed"
            raise UserError(f"vocoders: {name}: there is no module {error.name} in {places}") from error
    try:
        make = getattr(module, attribute)
    except AttributeError as error:
        known = ", ".join(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        raise UserError(f"vocoders: {name}: {module_name} has no {attribute}; it has {known or 'nothing'}") from error
    if not callable(make):
        raise UserError(f"vocoders: {name} is a {type(make).__name__}, not something to call with the mel's spec")
    with _theirs(name, "failed when called with the mel's spec"):
        made = make(spec)
    if isinstance(made, Vocoder):
        spec.require(made.spec, "the model", f"vocoder {name}")
        return Player.of(name, made.eval().to(device))
    if not callable(made):
        kind = type(made).__name__
        raise UserError(f"vocoders: {name} gave a {kind}, neither a Vocoder nor a function from mel to wave")
    return Player(name, lambda mel: _played(name, made, mel.cpu(), spec))


def _played(name: str, play: Callable[[Tensor], object], mel: Tensor, spec: MelSpec) -> Tensor:
    """The wave [T * hop_length] that a function from outside makes of a mel [1, n_mels, T]."""
    samples = mel.shape[-1] * spec.hop_length
    with _theirs(name, "failed when it played"):
        wave = torch.as_tensor(play(mel)).detach().float().cpu()
    if wave.numel() != samples:
        raise UserError(
            f"vocoders: {name} made a wave of shape {list(wave.shape)} of a mel of {mel.shape[-1]} frames: "
            f"it must have {samples} samples, {spec.hop_length} a frame"
        )
    return wave.reshape(samples)


@contextmanager
def _theirs(name: str, what: str) -> Iterator[None]:
    """Within the block code runs that is not ours: what it raises is told with its place."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
        raise UserError(f"vocoders: {name} {what}: {said}") from error


def _names(config: DictConfig) -> list[str | None]:
    if config.vocoders is None:
        return [config.vocoder.name]
    names = list(config.vocoders) if isinstance(config.vocoders, ListConfig) else [config.vocoders]
    known = f"{', '.join(NAMES)}, or module:callable for one from outside"
    for name in names:
        if isinstance(name, str) and name in _LEFT:
            raise UserError(
                f"vocoders={names}: {name} is no vocoder of the package any more. In the folder of a clone of the "
                f"repository the yardstick is {_LEFT[name]}: vocoders=[auto,{_LEFT[name]}]"
            )
    if not names or any(name not in NAMES and not (isinstance(name, str) and ":" in name) for name in names):
        raise UserError(f"vocoders={names}: list one or more of {known}")
    return names
