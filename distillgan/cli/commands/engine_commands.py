"""`distillgan controls`, `weights` and `export-vocoder`."""

import sys
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from distillgan.audio.plots import save_figure
from distillgan.cli import hydra_app
from distillgan.cli.overrides import model_by_name
from distillgan.compute import computing
from distillgan.control.sliders import Slider
from distillgan.errors import UserError
from distillgan.evaluation.slider_fidelity import draw_map
from distillgan.models.modelfile import read_model
from distillgan.models.vocoders.graph_export import SUFFIXES, check_format, export_vocoder
from distillgan.models.vocoders.registry import load_own, open_weights
from distillgan.models.vocoders.weights import cache_folder
from distillgan.paths import Home
from distillgan.process import checked
from distillgan.progress import transfer_bar
from distillgan.store.library import find_model
from distillgan.synthesis.renderer import Model


def controls(config: DictConfig) -> list[Slider]:
    """Print the table and write the map to `paths.home`/evaluations/<model>_map.png; the sliders.

    Raises UserError if there is no such model, or its sliders were not measured.
    """
    home = Home(config.paths.home)
    console = Console(highlight=False)
    with computing(checked(config.threads)):
        path = find_model(home, config.model.name)
        model = Model.load(path, torch.device("cpu"))
        if model.analysis is None:
            raise UserError(f"{path}: {model.header.no_sliders}")
        sliders, axes = model.analysis.sliders(), len(model.analysis.axes.spread)
        console.print(_table(model.header.name, sliders))
        console.print(
            "As measured on rendered sound; -10 and 10 aim at the 2nd and 98th percentile of the recordings, ±12 at "
            "the 0.5th and 99.5th. rank: of position and descriptor; cross: what the other descriptors move, over its "
            f"own. Principal axes, not measured: {f'axis1 … axis{axes}' if axes else 'none'}."
        )
        for slider in sliders:
            if slider.reason is not None:
                console.print(f"{slider.name}: {slider.reason}", markup=False)
        picture = home.root / "evaluations" / f"{path.stem}_map.png"
        save_figure(draw_map(model.header.name, model.material, model.analysis), picture)
    console.print(f"map of the recordings: {picture}", soft_wrap=True)
    return sliders


def _table(name: str, sliders: list[Slider]) -> Table:
    table = Table(title=f"{name}: sliders (controls.NAME=…)", title_justify="left")
    for heading in ("slider", "range", "-10", "0", "10", "unit", "rank", "cross"):
        table.add_column(heading, justify="left" if heading in ("slider", "unit") else "right")
    for slider in sliders:
        if slider.rank is not None:
            ends, style = (slider.range, None) if slider.reason is None else ("inactive", "dim")
            fidelity = f"{slider.rank:.2f}", f"{slider.crosstalk:.2f}"
            table.add_row(slider.name, ends, *slider.readings, slider.unit, *fidelity, style=style)
    return table


def controls_main(arguments: list[str] | None = None) -> None:
    hydra_app.run(controls, "controls", model_by_name(sys.argv[1:] if arguments is None else arguments))


ACTIONS = ("where", "fetch", "verify")


def weights(config: DictConfig) -> None:
    """Print where the files are, fetch what is missing, or hash them anew. Raises UserError if that fails."""
    wanted = [action for action in ACTIONS if config[action]]
    if len(wanted) > 1 or any(not isinstance(config[action], bool) for action in ACTIONS):
        raise UserError("weights wants one of --where, --fetch and --verify, without a value")
    console = Console(soft_wrap=True, highlight=False)
    if "pin" not in config.vocoder:
        raise UserError(f"vocoder={config.vocoder.name} has no weights to fetch: use vocoder=bigvgan")
    found = open_weights(config.vocoder, Home(config.paths.home))
    if wanted == ["fetch"]:
        with transfer_bar(console) as progress:
            paths = found.get(progress)
    elif wanted == ["verify"]:
        paths = found.verify()
    else:
        release, place = found.release, found.folder or cache_folder()
        console.print(f"{release.name}: {release.repo} at {release.revision}, looked for in {place}")
        for file in release.files:
            path = found.find(file)
            note = "" if path is None or found.checked(file) else "  (not checked yet)"
            console.print(f"  {path or f'{file.name}: not here'}{note}")
        return
    for path in paths:
        console.print(f"as pinned: {path}")


def weights_main(arguments: list[str] | None = None) -> None:
    hydra_app.run(weights, "weights", sys.argv[1:] if arguments is None else arguments)


def export(config: DictConfig) -> Path:
    """Write a model's vocoder in another program's format, compared with the vocoder itself; the file's path.

    Raises UserError if the model has no vocoder, or the format or the file is refused.
    """
    check_format(config.format)
    home = Home(config.paths.home)
    path = find_model(home, config.model.name)
    header, tensors = read_model(path, "vocoder.")
    if header.vocoder is None:
        raise UserError(
            f"model {header.name} has no vocoder of its own to export: train one with "
            f"`distillgan train-vocoder {header.name}`"
        )
    try:
        vocoder = load_own(header.vocoder, tensors, header.mel)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    output = home.root / "exports" / f"{header.name}{SUFFIXES[config.format]}"
    if config.output is not None:
        output = Path(str(config.output)).expanduser()
    difference = export_vocoder(vocoder, config.format, output)
    spec = header.mel
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"log(clamp(mel, 1e-5)) [1, {spec.n_mels}, T] → wave [1, 1, T · {spec.hop_length}] at {spec.sample_rate} Hz"
    )
    console.print(f"read again and compared: it differs from the model's vocoder by {difference:.1g} at most")
    console.print(f"  {output}")
    return output


def export_vocoder_main(arguments: list[str] | None = None) -> None:
    hydra_app.run(export, "export_vocoder", model_by_name(sys.argv[1:] if arguments is None else arguments))
