"""The folder of one run: its configuration, its manifest, and a folder a stage with checkpoints and previews."""

import json
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec
from distillgan.building import plain
from distillgan.data.downmix import MIX
from distillgan.data.manifest import Manifest
from distillgan.errors import UserError
from distillgan.paths import CONFIG, MANIFEST, Home
from distillgan.texts import literals

SIGNATURE = "signature.json"
CHANNELS = "data.channels"


class Run:
    """`runs/<name>/` of a home, and the model file that comes of it."""

    def __init__(self, home: Home, name: str):
        self.name = name
        self.folder = home.run(name)
        self.model_path = home.model(name)
        self.home = home

    def lock(self) -> AcquireReturnProxy:
        """A context manager: the name is this process's until it ends, by `kill -9` too.

        Raises:
            UserError: another process is training this name.
        """
        self.home.runs.mkdir(parents=True, exist_ok=True)
        try:
            return FileLock(self.home.lock(self.name)).acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{self.name} is being trained by another process: wait for it, or choose another name="
            ) from None

    def stage(self, stage: str) -> Path:
        return self.folder / stage

    def set_aside_stage(self, stage: str) -> Path | None:
        """Rename one stage's folder to `<stage>.old-N`, the first free N; the new one, or None if there was none."""
        folder, number = self.stage(stage), 1
        if not folder.exists():
            return None
        while (old := self.stage(f"{stage}.old-{number}")).exists():
            number += 1
        return folder.rename(old)

    def set_aside(self) -> str | None:
        """Rename the run and its model to `<name>.old-N`, the first free N; that name, or None if there was neither."""
        if not self.folder.exists() and not self.model_path.exists():
            return None
        old = self.free_name()
        if self.folder.exists():
            self.folder.rename(self.home.run(old))
        if self.model_path.exists():
            self.model_path.rename(self.home.model(old))
        return old

    def free_name(self) -> str:
        """`<name>.old-N`, the first N that no run and no model has."""
        number = 1
        while (
            self.home.run(f"{self.name}.old-{number}").exists() or self.home.model(f"{self.name}.old-{number}").exists()
        ):
            number += 1
        return f"{self.name}.old-{number}"

    def begin(self, stage: str, weights: dict, config: DictConfig, manifest: Manifest, spec: MelSpec) -> None:
        """Note configuration and manifest, and what the stage's weights depend on: `weights`, mel, corpus and seed.

        Call it when the stage's parts are built, so that a value they refuse is not noted.

        Raises:
            UserError: the stage was begun with something else, so that its checkpoints cannot be gone on from; lists
                each difference. Or the disk refuses.
        """
        self._check_signature(
            stage,
            weights
            | {"mel": spec.to_dict(), "corpus": manifest.fingerprint, "seed": config.seed}
            | {CHANNELS: str(config.data.channels)},
        )
        with replace_file(self.folder / CONFIG) as temporary:
            temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(literals(plain(config)))), encoding="utf-8")
        manifest.save(self.folder / MANIFEST)

    def _check_signature(self, stage: str, signature: dict) -> None:
        path = self.stage(stage) / SIGNATURE
        if path.exists():
            try:
                # Before there was a choice, all channels were mixed.
                noted = {CHANNELS: MIX, **_flat(json.loads(path.read_text()))}
            except ValueError as error:
                raise UserError(f"{path} is damaged ({error}): begin anew with resume=never") from error
            asked = _flat(json.loads(json.dumps(signature)))
            differing = [
                f"  {key}: {noted.get(key, 'absent')} in the run, {asked.get(key, 'absent')} now"
                for key in sorted(noted.keys() | asked.keys())
                if noted.get(key) != asked.get(key)
            ]
            if differing:
                raise UserError(
                    f"run {self.name} ({self.folder}) cannot go on, it was begun with other values:\n"
                    + "\n".join(differing)
                    + f"\nChoose another name=, or resume=never to begin anew (the old one stays as {self.name}.old-N)"
                )
            return
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(signature, indent=1))


def _flat(values: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
