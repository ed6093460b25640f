"""Evaluations of a model: of its reconstruction, vocoders or sliders, printed and written as reports."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console

from distillgan import compute
from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.audio.picture import draw_mels, save_picture
from distillgan.audio.plots import save_figure
from distillgan.compute import limited, memory_in_words
from distillgan.data.cache import AudioClip
from distillgan.data.corpus import folders, prepare_corpus
from distillgan.data.downmix import MIX, chosen
from distillgan.errors import UserError, number
from distillgan.evaluation import reconstruction, report, slider_fidelity
from distillgan.evaluation.vocoders import evaluate_vocoders, vocoder_adapters, vocoder_names
from distillgan.models.vocoders.registry import select
from distillgan.paths import CONFIG, Home, default_home
from distillgan.process import checked
from distillgan.progress import progress_bar, transfer_bar
from distillgan.store.library import find_model
from distillgan.synthesis.renderer import Model
from distillgan.synthesis.request import VocoderRequest

KINDS = ("reconstruction", "vocoder", "controls")


@dataclass(frozen=True)
class EvaluateRequest:
    """What is to be evaluated, its values checked.

    model: a name or a file, None for the latest. folders, channels: of the recordings, None for those of the model's
    run. what: of KINDS. vocoders: several beside each other, by name or module:callable, () for `vocoder` alone.
    floor_db: both mels are floored so far under each clip's peak. threads: sounds that are computed at once.
    Raises UserError for a wrong value.
    """

    model: str | None = None
    what: str = "reconstruction"
    folders: tuple[str, ...] | None = None
    channels: str | None = None
    vocoder: VocoderRequest = field(default_factory=VocoderRequest)
    vocoders: tuple[str, ...] = ()
    floor_db: float = 60.0
    device: str = "auto"
    threads: int | None = None
    home: str | os.PathLike = field(default_factory=default_home)
    mel: MelSpec = field(default_factory=MelSpec)

    def __post_init__(self):
        if self.what not in KINDS:
            raise UserError(f"what={self.what} is nothing to evaluate: choose one of {', '.join(KINDS)}")
        number("floor_db", self.floor_db, 1, 200)
        checked(self.threads)
        if self.channels is not None:
            chosen(self.channels)

    @classmethod
    def from_config(cls, config: DictConfig) -> "EvaluateRequest":
        """From conf/evaluate.yaml as Hydra composed it. Raises UserError for a wrong value."""
        places, vocoder, several = folders(config.data.dir), config.vocoder, config.vocoders
        if isinstance(several, ListConfig):
            several = list(several)
        return cls(
            model=config.model.name,
            what=config.what,
            folders=None if places is None else tuple(places),
            channels=config.data.channels,
            vocoder=VocoderRequest(vocoder.name, vocoder.get("weights_dir"), vocoder.get("pin")),
            vocoders=() if several is None else vocoder_names(several),
            floor_db=config.floor_db,
            device=config.device.name,
            threads=config.threads,
            home=config.paths.home,
            mel=MelSpec.from_config(config.mel),
        )


@memory_in_words("evaluating", "Close what else uses it, or take device=cpu")
def evaluate(request: EvaluateRequest) -> dict:
    """The evaluation `what` of a model, printed as a table and written to the folder evaluations of its home.

        reconstruction    the error of the VAE's mels, file by file (<model>.json)
        vocoder           each vocoder on the clips that are held out (<model>_vocoder.json, .md, .png)
        controls          the effect of each slider on rendered sound (<model>_controls.json, .md, .png)

    The content hashes in the model's header say which files it was trained on. Raises UserError if the model or a
    recording is refused.
    """
    console = Console(soft_wrap=True, highlight=False)
    home, device = Home(request.home), compute.resolve(request.device)
    path = find_model(home, request.model)
    model = Model.load(path, device)
    request.mel.require(model.spec, "the configuration", f"model {model.header.name}")
    task = {"reconstruction": _reconstruction, "vocoder": _vocoder, "controls": _controls}[request.what]
    with limited(request.threads):
        return task(request, console, home, device, model, home.root / "evaluations" / path.stem)


def _reconstruction(
    request: EvaluateRequest, console: Console, home: Home, device: torch.device, model: Model, stem: Path
) -> dict:
    clips, known = _clips(request, console, home, model)
    result = reconstruction.reconstruction(model, clips, known, request.floor_db, device)
    console.print(reconstruction.table(result))
    levels = result["drawn_levels"]
    console.print(
        f"drawn latents within the corpus's range of levels ({levels['low_db']:.0f} to {levels['high_db']:.0f} dB): "
        f"{levels['walked']:.0%} of those that generate draws, {levels['normal']:.0%} of independent normal ones"
    )
    _write(Path(f"{stem}.json"), json.dumps(result, indent=1), console)
    return result


def _vocoder(
    request: EvaluateRequest, console: Console, home: Home, device: torch.device, model: Model, stem: Path
) -> dict:
    names = request.vocoders or (request.vocoder.name,)
    adapters = vocoder_adapters(names, request.vocoder, model, home, device, console)
    clips, known = _clips(request, console, home, model)
    held_out = [clip for clip, trained in zip(clips, known, strict=True) if not trained]
    with progress_bar(console, "judging") as progress:
        found = evaluate_vocoders(model, held_out or clips, adapters, device, progress)
    result = {"what": "vocoder", "part": "held out" if held_out else "training", "device": device.type, **found.result}
    console.print(report.table(result), soft_wrap=False)
    for note in report.notes(result):
        console.print(note, markup=False)
    _write(Path(f"{stem}_vocoder.json"), json.dumps(result, indent=1, allow_nan=False), console)
    _write(Path(f"{stem}_vocoder.md"), report.markdown(result), console)
    picture = Path(f"{stem}_vocoder.png")
    save_picture(draw_mels(found.pictures, report.heading(result), model.spec), picture)
    console.print(f"written to {picture}")
    return result


def _controls(
    request: EvaluateRequest, console: Console, home: Home, device: torch.device, model: Model, stem: Path
) -> dict:
    with transfer_bar(console) as fetching:
        selected = select(asdict(request.vocoder), model.header.name, model.vocoder, model.spec, home, device, fetching)
    console.print(f"vocoder {selected.name}: {selected.reason}")
    with progress_bar(console, "rendering") as progress:
        found = slider_fidelity.evaluate_sliders(model, selected.vocoder, progress)
    result = {**found.result, "vocoder": selected.name}
    console.print(slider_fidelity.table(result))
    console.print(f"{result['active']} of {len(result['sliders'])} sliders are active, {result['passed']} passed")
    _write(Path(f"{stem}_controls.json"), json.dumps(result, indent=1), console)
    _write(Path(f"{stem}_controls.md"), slider_fidelity.markdown(result), console)
    picture = Path(f"{stem}_controls.png")
    save_figure(slider_fidelity.draw(found), picture)
    console.print(f"written to {picture}")
    return result


def _clips(request: EvaluateRequest, console: Console, home: Home, model: Model) -> tuple[list[AudioClip], list[bool]]:
    """The recordings, and of each whether the model was trained on it.

    Folders and channels that are not set are those of the model's run.
    """
    noted = home.run(model.header.name) / CONFIG
    run = OmegaConf.load(noted) if noted.exists() else None
    places, channels = request.folders, request.channels
    if channels is None:
        channels = MIX if run is None else OmegaConf.select(run, "data.channels", default=MIX)
    if places is None:
        if run is None:
            raise UserError(
                f"there is no run of model {model.header.name} in {home.runs}: give the recordings, data.dir=PATH"
            )
        places = folders(run.data.dir)  # None: the demo corpus
    manifest = prepare_corpus(None if places is None else list(places), home, model.spec, console, chosen(channels))
    trained = set(model.header.corpus["train"])
    return manifest.clips(home.decoded), [file.audio_hash in trained for file in manifest.used]


def _write(path: Path, text: str, console: Console) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    console.print(f"written to {path}")
