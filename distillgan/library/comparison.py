"""Two entries of the history side by side: what was set differently, and how differently they came out."""

from collections.abc import Mapping
from dataclasses import dataclass

from distillgan.audio.io import printable
from distillgan.audio.matching import Matched, match
from distillgan.errors import UserError
from distillgan.latent.descriptors import DESCRIPTORS
from distillgan.library import sounds
from distillgan.library.account import flat
from distillgan.library.history import Generation
from distillgan.paths import Home

_RESULTS = ("settings", "models", "check", "sound", "gain_db", "level")
_LEVELS = {"peak_db": "dBFS", "rms_db": "dBFS", "lufs": "LUFS", "true_peak_db": "dBTP"}


@dataclass(frozen=True)
class Difference:
    """A parameter that two sounds do not share; None where one has none."""

    key: str
    first: object
    second: object


@dataclass(frozen=True)
class Measured:
    """What was measured of two sounds, as people read it; None where there was nothing to measure."""

    name: str
    unit: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first


def differences(first: Mapping, second: Mapping) -> list[Difference]:
    """All that two accounts say differently of what made the sounds: settings, models, vocoder, versions."""
    mine, other = _parameters(first), _parameters(second)
    keys = dict.fromkeys([*mine, *other])
    return [Difference(key, mine.get(key), other.get(key)) for key in keys if mine.get(key) != other.get(key)]


def measurements(first: Mapping, second: Mapping) -> list[Measured]:
    """Levels and descriptors of two accounts, whether they differ or not; what neither has is left out."""
    mine, other = first.get("check") or {}, second.get("check") or {}
    levels = [{**found, **(account.get("level") or {})} for account, found in ((first, mine), (second, other))]
    rows = [Measured(name, unit, *(found.get(name) for found in levels)) for name, unit in _LEVELS.items()]
    mine, other = mine.get("descriptors") or {}, other.get("descriptors") or {}
    rows += [Measured(item.name, item.unit, mine.get(item.name), other.get(item.name)) for item in DESCRIPTORS]
    return [row for row in rows if (row.first, row.second) != (None, None)]


def copies(home: Home, first: Generation, second: Generation) -> tuple[Matched | None, str]:
    """Copies of both to listen to, equally loud, in `paths.home`/audio/compare; or None, and why there are none."""
    for entry in (first, second):
        fault = sounds.fault(entry)
        if fault:
            return None, f"{printable(entry.path)} of entry {entry.id}: {fault}"
    folder = home.audio / "compare"
    names = [f"{first.id}-{second.id}_{side}_{e.path.stem}.wav" for side, e in (("A", first), ("B", second))]
    try:
        return match((first.path, second.path), (folder / names[0], folder / names[1])), ""
    except UserError as error:
        return None, str(error)


def _parameters(account: Mapping) -> dict[str, object]:
    found = flat(account.get("settings"))
    for number, model in enumerate(account.get("models") or [], 1):
        # Its controls are those of the settings.
        found |= flat({key: value for key, value in model.items() if key != "controls"}, f"models.{number}")
    return found | flat({key: value for key, value in account.items() if key not in _RESULTS})
