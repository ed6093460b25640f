"""What every tab of the page is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from distillgan.paths import Home

if TYPE_CHECKING:
    from distillgan.ui.renderings import Renderings
    from distillgan.ui.trainings import Trainings


@dataclass(frozen=True)
class Page:
    """One server: its home, its settings (conf/ui.yaml), the trainings it can start, and the queue of its device.

    Nothing in it belongs to one visitor: what a visitor has half set is in the session's `gr.State`.
    """

    home: Home
    settings: DictConfig
    trainings: Trainings
    renderings: Renderings


@dataclass(frozen=True)
class Shown:
    """What brings a tab up to date when it is shown: a function of no arguments, and the components it fills."""

    refresh: Callable[[], Any]
    outputs: list[Any]
