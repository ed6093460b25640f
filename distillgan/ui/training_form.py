"""What is filled in on the Train tab, as the overrides that `distillgan train` understands."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from distillgan.cli import hydra_app
from distillgan.cli.overrides import quote
from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.models.plugins import VAE, VOCODERS, kinds
from distillgan.paths import CONFIG, Home
from distillgan.ui.data_tab import Corpora

DEMO = "the built-in demo"
ITS_OWN = "those it was trained on"
VOCODER = "harmonic"  # the kind that is offered first

# Measured on one core: 0.08, 0.22 and 0.44 s for a step's 16 segments.
SIZES = {
    "small": ["model.latent_dim=16", "model.module.network.channels=192", "model.module.network.fine_channels=96"],
    "medium": [],
    "large": ["model.latent_dim=48", "model.module.network.channels=576", "model.module.network.fine_channels=288"],
}
SIZE_WORDS = (
    "small: 1.7 M parameters, a third of the time, for a few minutes of alike sounds. medium: 6.4 M, the usual one. "
    "large: 14 M, twice the time, for an hour or more of many kinds."
)


@dataclass(frozen=True)
class Field:
    """A setting by its key, and how it is called on the page; left empty it is what the configuration says.

    `null`: what that is, in words, where the configuration has no value.
    """

    key: str
    label: str
    info: str
    null: str = ""


MODEL_FIELDS = [
    Field("model.latent_dim", "Latent dimensions", "Numbers in a latent frame; 10.8 frames a second."),
    Field("data.channels", "Channels", "Of files with several: mix, first, left, right, a number, or each."),
    Field("data.batch_size", "Batch size", "Segments a step. Less needs less memory.", "by the device"),
    Field("model.module.lr", "Learning rate", "Half of it where the loss became NaN."),
    Field("data.augment.pitch_semitones", "Pitch shifts", "Semitones up and down; 0 keeps every pitch."),
    Field("data.augment.noise_probability", "Added noise", "Share of segments that get some."),
    Field("callbacks.patience.time", "Patience", "Stop when no better for so long: DD:HH:MM:SS.", "none"),
    Field("analysis.seconds", "Measuring the sliders", "Seconds rendered for each position."),
    Field("seed", "Seed", "The same seed, the same model."),
    Field("licence", "Licence", "Of the recordings, and so of the model."),
    Field("note", "Note", "Kept in the model's file."),
]
VOCODER_FIELDS = [
    Field("vocoder.init", "Starts from", "universal, scratch, or a model's name.", "universal, if there is one"),
    Field("vocoder.own_mels", "Share of its own mels", "How much of it is heard through the model."),
    Field("vocoder.discriminators.width", "Discriminators' width", "1 is the paper's size, for a GPU."),
    Field("vocoder.adversarial_from_step", "Adversarial from step", "Before it the mel losses alone.", "by the device"),
    Field("callbacks.patience.time", "Patience", "Stop when no better for so long: DD:HH:MM:SS.", "none"),
    Field("seed", "Seed", "The same seed, the same vocoder."),
]

# What the page says by itself, and what a visitor of it has no business with.
_NOT_HERE = re.compile(
    r"[+~]|[^=]*@|(hydra|paths|logger)[./=]|(name|stages|extend|resume|data|data\.dir|device|trainer)="
)
# Names of classes, interpolations, and configurations from elsewhere, such as an upload.
_CODE = re.compile(r"_target_|\$\{|\.\.")


def vocoders() -> list[str]:
    """The kinds that can be trained, those of installed packages too. Raises UserError if two have one name."""
    return [VOCODER, *(kind for kind in kinds(VOCODERS) if kind != VOCODER)]


def devices() -> list[str]:
    """Those of this machine, and `auto`."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return ["auto", *(name for name, available in there.items() if available)]


def defaults(fields: list[Field], overrides: list[str]) -> list[str]:
    """What each field is if it is left empty, as text."""
    config = hydra_app.composed("train", overrides)
    values = [OmegaConf.select(config, field.key) for field in fields]
    return [field.null if value is None else str(value) for field, value in zip(fields, values, strict=True)]


def model_overrides(
    corpora: Corpora, corpus: str, kind: str, size: str, grow: bool, anew: bool, *common: Any
) -> list[str]:
    """For a model of the kind; `common` are the arguments of `_common` from `steps` on.

    Raises:
        UserError: no recordings are chosen, the size is none of the kind's, or a line is none or sets what the page
            sets itself.
    """
    if not corpus:
        raise UserError("choose the recordings to learn from, or add some on the Data tab")
    if grow and anew:
        raise UserError("a model that grows goes on: take one of the two ticks away")
    if grow and corpus == DEMO:
        raise UserError("a model grows with recordings of yours: choose some on the Data tab")
    recordings = [] if corpus == DEMO else [f"data.dir={quote(str(corpora.folder(corpus)))}"]
    if kind != VAE and SIZES[size]:
        raise UserError(f"{size} is a size of the {VAE}: take medium, and a {kind}'s own settings as lines below")
    chosen = [f"model={kind}"] * (kind != VAE) + SIZES[size] + ["extend=true"] * grow
    return [*recordings, *chosen, *_common("model", MODEL_FIELDS, anew, *common)]


def vocoder_overrides(
    home: Home, corpora: Corpora, model: str, corpus: str, kind: str, anew: bool, *common: Any
) -> list[str]:
    """For the vocoder of a finished model; `corpus` may be ITS_OWN.

    Raises:
        UserError: as `model_overrides`, or there is no such model, or nobody knows its recordings.
    """
    if not model:
        raise UserError("choose the model that is to get a vocoder")
    read_header(home.model(model))
    recordings = _recordings_of(home, model) if corpus == ITS_OWN else _listed([str(corpora.folder(corpus))])
    return [*recordings, "stages=[vocoder]", f"vocoder={kind}", *_common("vocoder", VOCODER_FIELDS, anew, *common)]


def _common(
    stage: str,
    fields: list[Field],
    anew: bool,
    steps: int | None,
    minutes: float | None,
    device: str,
    more: str,
    *values: str,
) -> list[str]:
    """What both forms have. `more` are lines of key=value, `values` those of the fields."""
    chosen = [f"device={device}"] + [f"{stage}.max_steps={steps}"] * bool(steps) + ["resume=never"] * anew
    if minutes:
        seconds = round(60 * minutes)
        if seconds < 1:
            raise UserError(f"a time limit of {minutes:g} minutes is none: give more, or leave it empty")
        days, hours = seconds // 86400, seconds // 3600 % 24
        chosen.append(f"trainer.max_time={days:02}:{hours:02}:{seconds // 60 % 60:02}:{seconds % 60:02}")
    filled = [f"{field.key}={value.strip()}" for field, value in zip(fields, values, strict=True) if value.strip()]
    for item in filled:
        _refuse(item, own=True)
    return [*chosen, *filled, *lines(more)]


def lines(text: str) -> list[str]:
    """The overrides in it, one a line. Raises UserError for what is none, or is not to be set here."""
    found = [line.strip() for line in text.splitlines() if line.strip()]
    for line in found:
        if "=" not in line:
            raise UserError(f"{line!r} is no setting: write key=value, one a line")
        _refuse(line)
    return found


def vocoder_of(home: Home, model: str) -> tuple[str, float | None] | None:
    """Kind and held-out error of a model's own vocoder; None if it has none. Raises UserError as `read_header`."""
    header = read_header(home.model(model))
    return None if header.vocoder is None else (header.vocoder["name"], header.training["vocoder"].get("mel_error"))


def _refuse(line: str, own: bool = False) -> None:
    if _CODE.search(line) or (not own and _NOT_HERE.match(line)):
        raise UserError(f"{line} cannot be set here: use the fields of the page, or the command line")


def _listed(folders: list[str]) -> list[str]:
    return [f"data.dir=[{','.join(map(quote, folders))}]"]


def _recordings_of(home: Home, model: str) -> list[str]:
    """The overrides that name what its run was trained on; none for the demo corpus."""
    path: Path = home.run(model) / CONFIG
    if not path.exists():
        raise UserError(f"nobody knows here what {model} was trained on: choose its recordings")
    run = OmegaConf.load(path)
    noted, channels = run.data.dir, OmegaConf.select(run, "data.channels")
    folders = [] if noted is None else _listed([noted] if isinstance(noted, str) else list(noted))
    return [*folders, *([] if channels is None else [f"data.channels={channels}"])]
