"""Where a training stands, from the files that it writes into its run: status, curves, previews."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillgan.paths import Home

STATUS, CURVES, PICTURE = "status.json", "curves.jsonl", "preview.png"
PARTS = ("model", "vocoder")
# What of a stage's losses is drawn: its own one, before everything that only helps.
_LOSS = {"vae": "train/reconstruction"}
_LOSS_OF_VOCODERS = "train/loss_mel"
_POINTS = 400  # of a curve, at most
_OLD = ".old-"  # in the names of what was set aside
_HEARD = ("recording", "reconstruction_heard", "target", "generated")


@dataclass(frozen=True)
class Standing:
    """A stage of a run: its folder, what its status says, and when that was written (seconds since 1970)."""

    folder: Path
    status: dict[str, Any]
    written: float

    @property
    def stage(self) -> str:
        return self.folder.name

    @property
    def ended(self) -> bool:
        return bool(self.status.get("ended"))

    @property
    def picture(self) -> Path | None:
        path = self.folder / PICTURE
        return path if path.is_file() else None

    def curves(self) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Points (step, value) of the loss, and of the error on what is judged."""
        loss, judged = [], []
        wanted = _LOSS.get(self.stage, _LOSS_OF_VOCODERS)
        for values in _lines(self.folder / CURVES):
            for points, key in ((loss, wanted), (judged, self.status["monitor"])):
                if values.get(key) is not None:
                    points.append((values["step"], values[key]))
        return _thinned(loss), _thinned(judged)

    def heard(self) -> list[tuple[str, Path]]:
        """What there is of the first clip, as (name, file): the recording first."""
        files = [(name, self.folder / f"preview_0_{name}.wav") for name in _HEARD]
        return [(name, path) for name, path in files if path.is_file()]


def standings(home: Home, name: str) -> list[Standing]:
    """The stages of a run that have begun, the latest written first; nothing of a run that is not there."""
    found = []
    for path in home.run(name).glob(f"*/{STATUS}"):
        if _OLD in path.parent.name:
            continue
        try:
            status, written = json.loads(path.read_bytes()), path.stat().st_mtime
        except (OSError, ValueError):  # set aside or replaced at this moment
            continue
        found.append(Standing(path.parent, status, written))
    return sorted(found, key=lambda standing: -standing.written)


def part_of(stage: str) -> str:
    """Which of PARTS a stage belongs to: there are several kinds of vocoders."""
    return PARTS[stage != "vae"]


def trained(home: Home) -> Iterator[tuple[str, str, float]]:
    """Name, part, and when it was written to (seconds since 1970), of all stages of all runs but those set aside."""
    for path in home.runs.glob(f"*/*/{STATUS}"):
        run, stage = path.parts[-3:-1]
        if _OLD not in run and _OLD not in stage:
            with suppress(FileNotFoundError):  # set aside at this moment
                yield run, part_of(stage), path.stat().st_mtime


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text()
    except OSError:
        return []
    # What follows the last line's end is being written.
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Every so many of them, the last one always."""
    stride = -(-len(points) // _POINTS)
    return points[::-1][:: max(1, stride)][::-1]
