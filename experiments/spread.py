"""A sweep's runs over their seeds.

    python experiments/spread.py SWEEP [SWEEP …] [--sliders]

SWEEP is a folder that `python -m distillgan.train -m … seed=1,2,3` wrote, with its table.json. For each setting a line:
mean ± standard deviation of what differs by nothing but the seed. --sliders reads the models, too (paths.home, or
DISTILLGAN_HOME): how many of the eight sliders are active, and how steadily those with a range move what they say.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch

from distillgan.features.descriptors import NAMES
from distillgan.paths import Home, default_home
from distillgan.synthesis.renderer import Model

MEASURES = ("error", "vocoder_error", "kl_nats", "active_dimensions", "seconds")
OTHERS = {"model", "reason", "steps", "peak_mb", "seed", *MEASURES}


def sliders(name: str) -> dict[str, float]:
    """Of a model: its active sliders, and over those that the recordings have a range in, rank and crosstalk."""
    analysis = Model.load(Home(default_home()).model(name), torch.device("cpu")).analysis
    eight = [slider for slider in analysis.sliders() if slider.name in NAMES]
    ranged = [slider for slider in eight if slider.reason is None or "range" not in slider.reason]
    return {
        "active sliders": sum(slider.reason is None for slider in eight),
        "rank": statistics.mean(slider.rank for slider in ranged),
        "crosstalk": statistics.median(slider.crosstalk for slider in ranged),
    }


def table(rows: list[dict], measures: list[str]) -> str:
    """Markdown: the rows of a sweep, those that differ by the seed alone as one."""
    settings = [key for key in rows[0] if key not in OTHERS and key not in measures]
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in settings), []).append(row)
    lines = ["| " + " | ".join([*(key.rpartition(".")[2] for key in settings), "seeds", *measures]) + " |"]
    lines.append("|" + "---|" * (len(settings) + 1 + len(measures)))
    for values, group in sorted(groups.items(), key=lambda item: [_order(value) for value in item[0]]):
        lines.append(
            "| " + " | ".join([*values, str(len(group)), *(_spread(group, measure) for measure in measures)]) + " |"
        )
    return "\n".join(lines)


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return 0.0, value


def _spread(group: list[dict], measure: str) -> str:
    values = [row[measure] for row in group]
    if len(values) < 2:
        return f"{values[0]:.3g}"
    return f"{statistics.mean(values):.3g} ± {statistics.stdev(values):.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="SWEEP")
    parser.add_argument("--sliders", action="store_true")
    chosen = parser.parse_args()
    for folder in chosen.sweeps:
        rows = [row for row in json.loads((folder / "table.json").read_text()) if row["reason"] is None]
        if chosen.sliders:
            rows = [row | sliders(row["model"]) for row in rows]
        extra = ["active sliders", "rank", "crosstalk"] if chosen.sliders else []
        print(table(rows, [measure for measure in MEASURES if rows[0][measure] is not None] + extra), end="\n\n")


if __name__ == "__main__":
    main()
