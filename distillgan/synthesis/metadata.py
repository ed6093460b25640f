"""What made a sound and what it is like: checked while it is rendered, and kept in its tags and in the history."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from distillgan import __version__
from distillgan.control.sliders import Analysis
from distillgan.data.decode import MARK
from distillgan.features.descriptors import DESCRIPTORS, describe, readable, windows_of
from distillgan.synthesis.blend import Reconstruction, Rendering
from distillgan.synthesis.export import Exported, Level, Target

_BLOCK_SECONDS = 15.0  # described at once
_SILENT_DB, _DC_DB = -60.0, -50.0  # of full scale
_FULL = 0.999


@dataclass(frozen=True)
class Report:
    """peak_db, rms_db, dc_db: of the file, in dBFS; clipped: samples at full scale before any gain; finite: no NaN.

    descriptors: name → mean over the sound, as people read it; outside: those beyond the recordings' 0.5th to 99.5th
    percentile, with both. warnings: what is wrong, in words.
    """

    peak_db: float
    rms_db: float
    dc_db: float
    clipped: int
    finite: bool
    descriptors: dict[str, float]
    outside: dict[str, str]
    warnings: list[str]


@dataclass
class _Levels:
    """Of blocks [C, n]: the peak, the power and the sum, of a channel in the mean."""

    samples: int = 0
    sum: float = 0.0
    power: float = 0.0
    peak: float = 0.0

    def add(self, block: np.ndarray) -> None:
        self.samples += block.shape[1]
        self.sum += float(block.mean(0).sum(dtype=np.float64))
        self.power += float(np.square(block, dtype=np.float64).mean(0).sum())
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))


@dataclass
class Inspector:
    """Lets blocks float32 [C, n] through and keeps count; memory is that of a quarter of a minute.

    full_scale: the level at which what made them clips.
    """

    rate: int
    analysis: Analysis | None
    full_scale: float = 1.0
    _rendered: _Levels = field(default_factory=_Levels)
    _placed: _Levels = field(default_factory=_Levels)
    _clipped: int = 0
    _finite: bool = True
    _waiting: list[np.ndarray] = field(default_factory=list)
    _described: list[np.ndarray] = field(default_factory=list)

    def watch(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks, and meanwhile whether they are sound, and like the recordings."""
        for block in blocks:
            self._add(block)
            yield block

    def placed(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """What becomes of it in space: how loud will the file be? Without it, as loud as what was rendered."""
        for block in blocks:
            self._placed.add(block)
            yield block

    def _add(self, block: np.ndarray) -> None:
        mono = block.mean(0)
        self._rendered.add(block)
        self._clipped += int((np.abs(block) >= _FULL * self.full_scale).sum())
        self._finite &= bool(np.isfinite(block).all())
        self._waiting.append(mono)
        if sum(map(len, self._waiting)) >= _BLOCK_SECONDS * self.rate:
            self._describe()

    def _describe(self) -> None:
        wave = np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.float32)
        self._waiting = []
        if self._finite and len(wave) >= 0.1 * self.rate:
            self._described.append(describe(wave, self.rate, windows_of(len(wave), self.rate)))

    def report(self, gain_db: float = 0.0) -> Report:
        """gain_db: what the whole is turned by in the file."""
        self._describe()
        levels = self._placed if self._placed.samples else self._rendered
        count, gain = max(1, levels.samples), 10 ** (gain_db / 20)
        peak_db, rms_db = _db(gain * levels.peak), _db(gain * np.sqrt(levels.power / count))
        dc_db = _db(gain * abs(levels.sum) / count)
        described, outside = {}, {}
        values = np.concatenate(self._described) if self._described else np.zeros((0, len(DESCRIPTORS)))
        for number, item in enumerate(DESCRIPTORS):
            column = values[:, number][np.isfinite(values[:, number])]
            if not len(column):
                continue
            mean = float(column.mean())
            described[item.name] = round(float(item.shown(mean)), 4)
            if self.analysis is not None:
                low, high = self.analysis.percentiles[number, [0, -1]]
                if not low <= mean <= high:
                    ends = sorted((item.shown(low), item.shown(high)))
                    mine, ends = readable(item.shown(mean)), f"{readable(ends[0])} to {readable(ends[1])}"
                    outside[item.name] = f"{mine} {item.unit}, the recordings {ends}"
        warnings = []
        if not self._finite:
            warnings.append("it has NaN or infinite samples")
        rendered_db = rms_db - gain_db  # what is turned up is no less silent for it
        if rendered_db < _SILENT_DB:
            where = "as it is rendered " if gain_db > 0 else ""
            warnings.append(f"{where}it is all but silent ({rendered_db:.0f} dBFS)")
        if dc_db > _DC_DB:
            warnings.append(f"it has a constant part of {dc_db:.0f} dBFS")
        if self._clipped:
            warnings.append(f"{self._clipped} samples are at full scale: the vocoder clips them")
        return Report(peak_db, rms_db, dc_db, self._clipped, self._finite, described, outside, warnings)


def _db(value: float) -> float:
    return round(float(20 * np.log10(max(value, 1e-9))), 2)


_WITHIN = ("settings", "models", "vocoder", "device", "seed", "versions")


def provenance_of(rendering: Rendering | Reconstruction, target: Target | None = None) -> dict[str, Any]:
    """What a sound comes from, as plain values. target: the loudness that its file is brought to, where there is one.

    The request must be settled: with the vocoder and the device that play.
    """
    request = rendering.request
    if target is not None:
        request = replace(request, export=replace(request.export, loudness=target.setting))
    if isinstance(rendering, Rendering):
        request = replace(request, duration=rendering.samples / rendering.spec.sample_rate)
    return {
        "settings": request.to_dict(),
        **rendering.parameters(),
        "vocoder": request.vocoder.name,
        "device": request.device,
        "seed": request.seed if isinstance(rendering, Rendering) else None,
        "versions": {"distillgan": __version__, "torch": str(torch.__version__)},
    }


def metadata_of(
    provenance: Mapping[str, Any], rendering: Rendering | Reconstruction, exported: Exported, report: Report
) -> dict[str, Any]:
    """The provenance, and how it went."""
    return {
        **provenance,
        "sample_rate": provenance["settings"]["export"]["sample_rate"],
        "duration": rendering.samples / rendering.spec.sample_rate,  # what is broken off is not a shorter sound
        "seconds": exported.seconds,
        "interrupted": exported.interrupted,
        "gain_db": exported.gain_db,
        "level": exported.level.to_dict(),
        "sound": exported.digest,
        "check": vars(report),
    }


def comment_of(provenance: Mapping[str, Any], digest: str, interrupted: bool, level: Level) -> str:
    """What a file says of itself in its tags: enough to make it again. Of paths only the names."""
    settings = dict(provenance["settings"])
    settings["recording"] = _name(settings.get("recording"))
    settings["spatial"] = {key: _name(value) for key, value in settings["spatial"].items()}
    within = {**{key: provenance[key] for key in _WITHIN}, "settings": settings}
    went = {"sound": digest, "interrupted": interrupted, "gain_db": level.gain_db, "level": level.to_dict()}
    return json.dumps({MARK: __version__, **within, **went}, separators=(",", ":"), default=str)


def _name(value: Any) -> Any:
    return value.replace("\\", "/").rpartition("/")[2] if isinstance(value, str) else value
