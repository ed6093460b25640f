"""What a training is about: prepared once, by the first process, and the same on each."""

from dataclasses import dataclass

from omegaconf import DictConfig

from distillgan.audio.mel import MelSpec
from distillgan.data.cache import AudioClip
from distillgan.data.manifest import Manifest
from distillgan.training.extend import Extension
from distillgan.training.run import Run


@dataclass(frozen=True)
class Job:
    """`config` with every null that sizing fills in; `clips` by split; `stages` in their order. Can be pickled.

    `extension`: what the run goes on from, if it is not from nothing.
    """

    config: DictConfig
    stages: list[str]
    run: Run
    manifest: Manifest
    clips: dict[str, list[AudioClip]]
    spec: MelSpec
    extension: Extension | None = None
