"""What plays the mels that are judged: vocoders by name, through the same choice as in rendering, and a yardstick."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from omegaconf import DictConfig, ListConfig
from rich.console import Console
from torch import Tensor

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.render.engine import Model
from distillgan.scores.griffinlim import GriffinLim
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.download_bar import download_bar
from distillgan.vocoder.select import NAMES, select

GRIFFIN_LIM = "griffinlim"


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
        if name == GRIFFIN_LIM:
            found[name] = Player(name, GriffinLim(model.spec))
            continue
        with download_bar(console) as fetching:
            settings = {**shared, "name": name}
            selected = select(settings, model.header.name, model.vocoder, model.spec, home, device, fetching)
        model.spec.require(selected.vocoder.spec, f"model {model.header.name}", "the vocoder")
        console.print(f"vocoder {selected.name}: {selected.reason}")
        found[selected.name] = Player.of(selected.name, selected.vocoder)
    return list(found.values())


def _names(config: DictConfig) -> list[str | None]:
    if config.vocoders is None:
        return [config.vocoder.name]
    names = list(config.vocoders) if isinstance(config.vocoders, ListConfig) else [config.vocoders]
    known = (*NAMES, GRIFFIN_LIM)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise UserError(f"vocoders={names}: list one or more of {', '.join(known)}")
    return names
