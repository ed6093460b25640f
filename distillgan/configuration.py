"""From texts and nodes of the configuration to values and objects.

Which settings are texts, so that a folder called 2024_01_02 or a model called 1e3 is not read as a number.

Hydra's grammar and YAML both guess the type of a value from its looks. What a setting is, conf/ knows: its default is
a text. Those whose default is null, or taken from the environment, are listed here.

From nodes of the configuration to objects, and to plain values.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException
from hydra.plugins.config_source import ConfigResult
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from distillgan.errors import UserError
from distillgan.paths import conf_dir, current_kind, default_home

OmegaConf.register_new_resolver("distillgan.home", lambda: str(default_home()), replace=True)

# Taken letter by letter, commas and all: no sweep.
FREE = {
    "note",
    "licence",
    "output",
    "preset",
    "export.file",
    "export.title",
    "export.artist",
    "export.album",
    "ui.auth",
}
NAMES = {"name", "model.name"}
# Texts without a text as their default; lists of such among them.
WITHOUT_DEFAULT = {
    *FREE,
    *NAMES,
    "blend.models",
    "callbacks.patience.time",
    "data.channels",
    "data.dir",
    "paths.home",
    "recording",
    "spatial.sofa",
    "stages",
    "trainer.device",
    "trainer.max_time",
    "vocoder.init",
    "vocoder.name",
    "vocoder.pin",
    "vocoder.weights_dir",
    "vocoders",
}
_OF_HYDRA = {"hydra.job.name", "hydra.output_subdir", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"}
_PACKAGE = re.compile(r"#\s*@package\s+(\S+)")
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def is_text(key: str, folders: tuple[Path, ...] = ()) -> bool:
    """Is it a setting that is a text, or a list of texts, or a choice of a group? folders: as of `--config-dir`."""
    key = key.lstrip("+").partition("@")[0]
    return any(key in _texts_of(folder) for folder in (conf_dir(), *folders)) or key in WITHOUT_DEFAULT | _OF_HYDRA


def literal(text: str) -> str:
    """The text as OmegaConf reads it letter by letter, where `${` would else begin an interpolation."""
    return _INTERPOLATION.sub(lambda found: found[1] * 2 + "\\${", text)


def as_read(text: str) -> str:
    """What OmegaConf makes of `literal`'s text."""
    return re.sub(r"(\\*)\\\$\{", lambda found: found[1][: len(found[1]) // 2] + "${", text)


def literals(value: object) -> object:
    """Plain values, nested, with every text in them as `literal` has it."""
    if isinstance(value, Mapping):
        return {key: literals(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [literals(item) for item in value]
    return literal(value) if isinstance(value, str) else value


def keep_texts_of_files() -> None:
    """From now on Hydra reads texts in its files as texts, too: `name: 808_909` in a file of `--config-dir`."""
    Plugins.instance()  # which registers Hydra's own sources, if it has not yet
    SourcesRegistry.instance().types["file"] = FileConfigSource


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's files, with the settings that are texts as they are written.

    Of the same name, for a process of a sweep that gets this one from its parent registers Hydra's own only afterwards.
    """

    def is_config(self, config_path: str) -> bool:
        return super().is_config(_current(config_path))

    def load_config(self, config_path: str) -> ConfigResult:
        config_path = _current(config_path)
        result = super().load_config(config_path)
        if isinstance(result.config, DictConfig):
            path = Path(self.path, self._normalize_file_name(config_path))
            with path.open(encoding="utf-8") as file:
                tree = yaml.compose(file, Loader=_LOADER)
            package = _package(path.parent.relative_to(self.path), result.header.get("package"))
            for key, node in _scalars(tree, ""):
                if node.style or "${" in node.value:  # quoted, or a reference: a text already
                    continue
                value = OmegaConf.select(result.config, key)
                if isinstance(value, bool | int | float) and is_text(f"{package}{key}", (Path(self.path),)):
                    OmegaConf.update(result.config, key, node.value)
        return result


def _current(config_path: str) -> str:
    """The path of a configuration, where it is that of a vocoder by its present name."""
    group, slash, name = config_path.rpartition("/")
    return f"{group}{slash}{current_kind(name)}" if group == "vocoder" else config_path


@cache
def _texts_of(folder: Path) -> frozenset[str]:
    """Keys of the files of a configuration folder whose defaults are texts, and the names of its groups."""
    found = {path.relative_to(folder).as_posix() for path in _groups(folder)}
    for group in (folder, *_groups(folder)):
        for path in group.glob("*.yaml"):
            words = path.read_text(encoding="utf-8", errors="replace")
            try:
                values = yaml.load(words, Loader=_LOADER)
            except yaml.YAMLError:  # Hydra says what is wrong with it, should it be chosen
                continue
            header = _PACKAGE.search(words.partition("\n\n")[0])
            package = _package(group.relative_to(folder), header and header[1])
            found |= {f"{package}{key}" for key, value in _leaves(values, "") if _is_own_text(value)}
    return frozenset(found)


def _groups(folder: Path) -> list[Path]:
    """The folders of conf/'s groups that are in `folder`, which may be any of a person's: it is not searched."""
    return [path for path in map(folder.joinpath, _names_of_groups()) if path.is_dir()]


@cache
def _names_of_groups() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in conf_dir().iterdir() if path.is_dir()))


def _package(group: Path, said: str | None) -> str:
    """What stands before a file's keys: "vocoder." for one in vocoder/, "" for `# @package _global_`."""
    package = ".".join(group.parts) if said in (None, "_group_") else said.removeprefix("_global_").removeprefix(".")
    return f"{package}." if package else ""


def _leaves(values: object, prefix: str) -> Iterator[tuple[str, object]]:
    if not isinstance(values, dict):
        return
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        elif not (prefix == "" and key in ("defaults", "hydra")):
            yield f"{prefix}{key}", value


def _is_own_text(value: object) -> bool:
    """A text that is no reference to another setting; of lists, those of texts."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_own_text, value))
    return isinstance(value, str) and (not value.startswith("${") or value.startswith("${oc.env:")) and value != "???"


def _scalars(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Every value of a YAML tree that is neither a mapping nor in a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{prefix}{key.value}"
            if isinstance(value, yaml.ScalarNode):
                yield name, value
            else:
                yield from _scalars(value, f"{name}.")


def build(node: DictConfig, **arguments: Any) -> Any:
    """The object that a configuration node describes.

    Raises:
        UserError: a value of it is refused; in the constructor's own words, with the node's place in the configuration
            before the name of an argument.
    """
    try:
        # Hydra resolves a node, and then each value of it once more: a text with ${ in it is to outlive both.
        return instantiate(literals(literals(OmegaConf.to_container(node, resolve=True))), **arguments, _convert_="all")
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        named = re.match(r"(\w+)[.=:]", str(cause))
        # A class knows the names of its arguments, and the node knows where in the configuration they stand.
        place = f"{node._get_full_key('')}." if named and named[1] in node else ""
        raise UserError(f"{place}{cause}") from error


def plain(config: DictConfig) -> dict[str, Any]:
    """A node of the configuration as plain Python, every interpolation resolved."""
    return cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
