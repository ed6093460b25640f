"""`python -m distillgan.controls`: a model's sliders, what each was measured to do, and a map of its recordings."""

import sys

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from distillgan import entry
from distillgan.audio.plots import save_figure
from distillgan.errors import UserError
from distillgan.latent.descriptors import readable
from distillgan.latent.picture import draw_map
from distillgan.latent.sliders import Slider
from distillgan.library.catalog import find_model
from distillgan.parallel import computing
from distillgan.paths import Home
from distillgan.render.engine import Model
from distillgan.threads import checked


def controls(config: DictConfig) -> list[Slider]:
    """Print the table and write the map to `paths.home`/evaluations/<model>_map.png; the sliders.

    Raises:
        UserError: there is no such model, or its sliders were not measured.
    """
    with computing(checked(config.threads)):
        return _controls(config)


def _controls(config: DictConfig) -> list[Slider]:
    home = Home(config.paths.home)
    path = find_model(home, config.model.name)
    model = Model.load(path, torch.device("cpu"))
    if model.analysis is None:
        raise UserError(f"{path}: {model.header.no_sliders}")
    sliders = model.analysis.sliders()
    console = Console(highlight=False)
    console.print(_table(model.header.name, sliders))
    axes = len(model.analysis.axes.spread)
    console.print(
        "As measured on rendered sound; -10 and 10 aim at the 2nd and 98th percentile of the recordings, ±12 at the "
        "0.5th and 99.5th. rank: of position and descriptor; cross: what the other descriptors move, over its own. "
        f"Principal axes, not measured: {f'axis1 … axis{axes}' if axes else 'none'}."
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
        if slider.rank is None:
            continue
        shown = [readable(slider.shown[place]) for place in (0, len(slider.shown) // 2, -1)]
        ends = f"{max(slider.least, -10):g} … {min(slider.most, 10):g}" if slider.reason is None else "inactive"
        fidelity = [f"{slider.rank:.2f}", f"{slider.crosstalk:.2f}"]
        table.add_row(slider.name, ends, *shown, slider.unit, *fidelity, style=None if slider.reason is None else "dim")
    return table


def main(arguments: list[str] | None = None) -> None:
    entry.run(controls, "controls", entry.model_by_name(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
