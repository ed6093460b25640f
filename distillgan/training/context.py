"""What is to be trained: the request, checked at the edge, and what was prepared for it."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from distillgan.audio.mel import MelSpec
from distillgan.configuration import literals
from distillgan.data.cache import AudioClip
from distillgan.data.corpus import folders
from distillgan.data.downmix import chosen
from distillgan.data.manifest import Manifest
from distillgan.errors import UserError, whole
from distillgan.paths import Home, check_name, name_from_path
from distillgan.process import checked
from distillgan.training.distributed import Processes
from distillgan.training.extend import Extension
from distillgan.training.run_status import Run
from distillgan.training.sweep import job_name

VAE, VOCODER = "vae", "vocoder"


@dataclass(frozen=True)
class TrainRequest:
    """A training that was asked for, its values checked; the same in every process that takes part. Can be pickled.

    config: as Hydra composed it, never written to: the parts that `_target_` builds are in it.
    name: of the run and the model. stages: of vae and vocoder those that are to run, in this order.
    folders: absolute paths of the recordings, None for the built-in corpus. channels: the down-mix.
    overrides: what the command said. sweep: the folder of the sweep that this is a job of.
    """

    config: DictConfig
    name: str
    stages: tuple[str, ...]
    folders: tuple[str, ...] | None
    channels: str
    seed: int
    threads: int | None
    spec: MelSpec
    overrides: tuple[str, ...] = ()
    sweep: Path | None = None

    @classmethod
    def from_config(cls, config: DictConfig) -> "TrainRequest":
        """The request that conf/train.yaml describes. Raises UserError if one of its values is refused."""
        OmegaConf.set_readonly(config, True)
        hydra = HydraConfig.get() if HydraConfig.initialized() else None
        overrides = () if hydra is None else tuple(hydra.overrides.task)
        sweep = Path(hydra.sweep.dir) if hydra is not None and hydra.mode is RunMode.MULTIRUN else None
        stages, places, name = _stages(config), _folders(config), given_name(config)
        return cls(
            config,
            # Each job of a sweep has its overrides added, so that no two share a run.
            check_name(name if sweep is None else job_name(sweep, check_name(name), overrides)),
            stages,
            places,
            chosen(config.data.channels),
            whole("seed", config.seed, 0, 2**32 - 1),
            checked(config.threads),
            MelSpec.from_config(config.mel),
            overrides,
            sweep,
        )

    @property
    def home(self) -> Home:
        return Home(self.config.paths.home)

    @property
    def run(self) -> Run:
        return Run(self.home, self.name)


@dataclass(frozen=True)
class TrainContext:
    """What was prepared for a request by the first process, and is the same on each. Can be pickled.

    config: the request's, with what was chosen automatically. clips: by split.
    extension: what the run goes on from, if it is not from nothing.
    """

    request: TrainRequest
    config: DictConfig
    manifest: Manifest
    clips: dict[str, list[AudioClip]]
    processes: Processes
    extension: Extension | None = None

    @property
    def run(self) -> Run:
        return self.request.run

    @property
    def spec(self) -> MelSpec:
        return self.request.spec


def with_values(config: DictConfig, values: Mapping[str, object]) -> DictConfig:
    """A copy of a configuration with other values, {"model.latent_dim": 8, …}; references in it follow them."""
    changed = copy.deepcopy(config)
    OmegaConf.set_readonly(changed, False)
    with open_dict(changed):
        for key, value in values.items():
            OmegaConf.update(changed, key, value, merge=False)
    OmegaConf.set_readonly(changed, True)
    return changed


def folders_as_value(places: tuple[str, ...] | list[str]) -> object:
    """Folders as the value of data.dir: a `${` in a name stays text."""
    return literals(places[0] if len(places) == 1 else list(places))


def given_name(config: DictConfig) -> str:
    """The name that the configuration gives, or its recordings."""
    if config.name is not None:
        return str(config.name)
    places = _folders(config)
    return "demo" if places is None else name_from_path(Path(places[0]))


def _stages(config: DictConfig) -> tuple[str, ...]:
    if config.resume not in ("auto", "never"):
        raise UserError(f"resume={config.resume} must be auto or never")
    if not isinstance(config.extend, bool):
        raise UserError(f"extend={config.extend} must be true or false")
    if config.extend and config.resume == "never":
        raise UserError("extend=true goes on with a model, resume=never begins anew: leave one of them out")
    trainable = "module" in config.vocoder
    if config.stages is None:
        return (VAE, VOCODER) if trainable else (VAE,)
    wanted = [config.stages] if isinstance(config.stages, str) else list(config.stages)
    if not wanted or not set(wanted) <= {VAE, VOCODER}:
        raise UserError(f"stages={wanted} must be one or both of {VAE}, {VOCODER}")
    if VOCODER in wanted and not trainable:
        given = config.vocoder.name or "none"
        raise UserError(f"stages has vocoder, but with vocoder={given} there is none to train: use vocoder=hifigan")
    return tuple(stage for stage in (VAE, VOCODER) if stage in wanted)


def _folders(config: DictConfig) -> tuple[str, ...] | None:
    if OmegaConf.is_missing(config.data, "dir"):
        raise UserError("data=folder wants the folder of your recordings: add data.dir=PATH")
    found = folders(config.data.dir)
    # Absolute, for the run may be looked at from other folders.
    return None if found is None else tuple(os.path.abspath(os.path.expanduser(folder)) for folder in found)
