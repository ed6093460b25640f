"""The positions of a model's sliders over time, as the user sets them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from distillgan.errors import UserError
from distillgan.latent.curves import Curve
from distillgan.latent.descriptors import NAMES
from distillgan.latent.sliders import Analysis, Slider

_AXIS = "axis"


@dataclass(frozen=True)
class Controls:
    """Sliders that are set: name → its position over time, -12…12; all others are at 0, where they change nothing."""

    curves: Mapping[str, Curve] = field(default_factory=dict)

    def descriptors(self, seconds: np.ndarray) -> np.ndarray:
        """The eight descriptors' positions at `seconds` [T], [8, T]."""
        return np.stack([self.position(name, seconds) for name in NAMES])

    def position(self, name: str, seconds: np.ndarray) -> np.ndarray:
        """One slider's position at `seconds` [T], [T]."""
        return self.curves[name].at(seconds) if name in self.curves else np.zeros(len(seconds))

    def axes(self) -> dict[int, Curve]:
        """Numbers (from 0) of the axes that are set, and their positions."""
        return {
            int(name.removeprefix(_AXIS)) - 1: curve for name, curve in self.curves.items() if name.startswith(_AXIS)
        }

    def to_dict(self) -> dict[str, float | str]:
        """As `parse` takes them."""
        return {name: curve.to_value() for name, curve in self.curves.items()}

    @classmethod
    def parse(cls, settings: Mapping, analysis: Analysis | None, model: str) -> tuple["Controls", list[str]]:
        """The node `controls` of a configuration, for one model; and warnings, of values that were clamped.

        Raises:
            UserError: a value is neither number nor breakpoints; the model has no such slider, or it is inactive: lists
                those there are, and why.
        """
        curves, warnings = {}, []
        for name, value in settings.items():
            if value is None:
                continue
            curve = Curve.parse(f"controls.{name}", value)
            still = curve.extremes == (0.0, 0.0)  # nothing is asked of the slider, active or not
            slider = _slider(str(name), analysis, model, still)
            if still:
                continue
            low, high = curve.extremes
            if low < slider.least or high > slider.most:
                ends = f"{slider.least:g} … {slider.most:g}"
                warnings.append(f"controls.{name}={value} is clamped to {ends}: {model} goes no further")
            curves[str(name)] = curve.clamped(slider.least, slider.most)
        return cls(curves), warnings


def _slider(name: str, analysis: Analysis | None, model: str, still: bool) -> Slider:
    if analysis is None:
        raise UserError(
            f"controls.{name}: model {model} was packed without an analysis, so it has no sliders. The command that "
            "trained it, once more, analyses it"
        )
    sliders = {slider.name: slider for slider in analysis.sliders()}
    active = ", ".join(name for name, slider in sliders.items() if slider.reason is None) or "none"
    if name not in sliders:
        raise UserError(f"controls.{name}: model {model} has no such slider. Its active ones are {active}")
    if sliders[name].reason is not None and not still:
        raise UserError(
            f"controls.{name}: inactive in model {model}: {sliders[name].reason}. Its active ones are {active}"
        )
    return sliders[name]
