"""Two entries of the history side by side: what was set differently, and how differently they came out."""

from collections.abc import Mapping
from dataclasses import dataclass

from distillgan.latent.descriptors import DESCRIPTORS
from distillgan.library.account import flat

_RESULTS = ("settings", "models", "check", "sound")
_LEVELS = {"peak_db": "dBFS", "rms_db": "dBFS"}


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
    rows = [Measured(name, unit, mine.get(name), other.get(name)) for name, unit in _LEVELS.items()]
    mine, other = mine.get("descriptors") or {}, other.get("descriptors") or {}
    rows += [Measured(item.name, item.unit, mine.get(item.name), other.get(item.name)) for item in DESCRIPTORS]
    return [row for row in rows if (row.first, row.second) != (None, None)]


def _parameters(account: Mapping) -> dict[str, object]:
    found = flat(account.get("settings"))
    for number, model in enumerate(account.get("models") or [], 1):
        # Its controls are those of the settings.
        found |= flat({key: value for key, value in model.items() if key != "controls"}, f"models.{number}")
    return found | flat({key: value for key, value in account.items() if key not in _RESULTS})
