"""What the controls of the page say, as the settings of `generate`, and back."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from distillgan import entry
from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.overrides import quote
from distillgan.paths import Home, name_from_path
from distillgan.recipe import arguments_of, recorded
from distillgan.ui.page import Page

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
BLENDED = 4  # models at most
START: dict[str, Any] = {
    "model": None,
    "vocoder": "auto",
    "path": "crossfade",
    "recording": None,
    "source": "corpus",
    "duration": 10.0,
    "evolution": 0.5,
    "seed": 1,
    "count": 1,
    **{f"blend_model{number}": None for number in range(1, BLENDED + 1)},
    **{f"blend_weight{number}": "50" for number in range(1, BLENDED + 1)},
    "blend_mode": "mel",
    "moving": "",
    "spatial": "mono",
    "stereo_width": 1.0,
    "azimuth": 30,
    "elevation": 0,
    "distance": 1.5,
    "binaural_width": 0,
    "reflections": 0.4,
    "sofa": "",
    "export": "wav",
    "sample_rate": 44100,
    "depth": "24",
    "loudness": "source",
    "peak": -1.0,
    "ogg_quality": 8,
    "mp3_mode": "cbr",
    "mp3_quality": 0,
    "artist": "",
    "album": "",
    "file": "",
}
_SPATIAL = {
    "mono": {},
    "stereo": {"width": "stereo_width"},
    "binaural": {
        "azimuth": "azimuth",
        "elevation": "elevation",
        "distance": "distance",
        "width": "binaural_width",
        "reflections": "reflections",
        "sofa": "sofa",
    },
}
_EXPORT = {
    "wav": {"depth": "depth"},
    "flac": {"depth": "depth"},
    "ogg": {"quality": "ogg_quality"},
    "mp3": {"mode": "mp3_mode", "quality": "mp3_quality"},
}
_OF_EVERY_FORMAT = ("sample_rate", "loudness", "peak", "artist", "album", "file")
_NONE_IS_A_VALUE = ("peak",)
_WITH_WEIGHTS = ("auto", "bigvgan")  # vocoders whose settings say where BigVGAN's are


def settings_of(values: Mapping[str, Any], sliders: Mapping[str, float]) -> dict[str, Any]:
    """Values by the names in START, and the positions of the sliders there are → settings as `recipe` has them.

    Raises:
        UserError: a line of moving sliders is none.
    """
    controls: dict[str, Any] = {name: value for name, value in sliders.items() if value}
    settings: dict[str, Any] = {
        "vocoder": values["vocoder"],
        "path": values["path"],
        "seed": values["seed"],
        "controls": controls | _moving(values["moving"]),
        "spatial": {"name": values["spatial"], **_picked(values, _SPATIAL[values["spatial"]])},
        "export": {
            "name": values["export"],
            **_picked(values, _EXPORT[values["export"]]),
            **_picked(values, dict(zip(_OF_EVERY_FORMAT, _OF_EVERY_FORMAT, strict=True))),
        },
    }
    blended = blend_of(values)
    if blended:
        settings["blend"] = {"models": blended, "mode": values["blend_mode"]}
    else:
        settings["model"] = {"name": values["model"]}
    if values["path"] == "reconstruct":
        return settings | {"recording": values["recording"]}
    return settings | {key: values[key] for key in ("source", "evolution", "duration")}


def values_of(settings: Mapping[str, Any], model: str | None) -> tuple[dict[str, Any], dict[str, float]]:
    """Settings of a sound → the controls' values, START where they say nothing; and sliders that stand still."""
    settings = recorded(settings)
    values = START | {"model": (settings.get("model") or {}).get("name") or model}
    for key in ("vocoder", "path", "seed", "source", "evolution", "duration", "recording"):
        if settings.get(key) is not None:
            values[key] = settings[key]
    for group, named in (("spatial", _SPATIAL), ("export", _EXPORT)):
        found = settings.get(group) or {}
        if found.get("name") in named:
            values[group] = found["name"]
            keys = named[found["name"]] | ({key: key for key in _OF_EVERY_FORMAT} if group == "export" else {})
            known = {key for key, value in found.items() if value is not None or key in _NONE_IS_A_VALUE}
            values |= {mine: found[key] for key, mine in keys.items() if key in known}
    values["depth"] = str(values["depth"])
    if not isinstance(values["loudness"], str):
        values["loudness"] = f"{values['loudness']:g}"
    blend = settings.get("blend") or {}
    for number, word in enumerate((blend.get("models") or [])[:BLENDED], 1):
        values[f"blend_model{number}"], _, values[f"blend_weight{number}"] = str(word).partition(":")
    values["blend_mode"] = blend.get("mode") or START["blend_mode"]
    controls = settings.get("controls") or {}
    moving = {name: value for name, value in controls.items() if isinstance(value, str)}
    values["moving"] = "\n".join(f"{name} {value}" for name, value in moving.items())
    return values, {name: float(value) for name, value in controls.items() if name not in moving and value is not None}


def config_of(page: Page, values: Mapping[str, Any], sliders: Mapping[str, float]) -> DictConfig:
    """The configuration that the command line would compose. Raises UserError."""
    settings = settings_of(values, sliders)
    if "duration" in settings and settings["duration"] is None:  # to `generate` that is a length of its own choice
        raise UserError("duration is empty: give the seconds that are to be rendered")
    if settings.get("recording"):
        settings["recording"] = str(_kept(page.home, Path(settings["recording"])))
    given = [*own(page, settings["vocoder"]), f"count={_text(1 if settings.get('recording') else values['count'])}"]
    return entry.composed("generate", arguments_of(settings, given) + given)


def own(page: Page, vocoder: str) -> list[str]:
    """Overrides that say where this page works, and on what."""
    found = [f"paths.home={quote(str(page.home.root))}", f"device={page.settings.device.name}"]
    places = page.settings.vocoder
    if vocoder in _WITH_WEIGHTS:
        keys = ("weights_dir", "pin")
        found += [f"vocoder.{key}={quote(str(places[key]))}" for key in keys if places[key] is not None]
    return found


def blend_of(values: Mapping[str, Any]) -> list[str]:
    """`rain:60`, … of those that are chosen; [] where none is."""
    rows = ((values[f"blend_model{n}"], values[f"blend_weight{n}"]) for n in range(1, BLENDED + 1))
    return [f"{model}:{weight}" for model, weight in rows if model]


def playing(values: Mapping[str, Any]) -> list[str]:
    """The models that the controls say are to play."""
    blended = [word.partition(":")[0] for word in blend_of(values)]
    return blended or ([values["model"]] if values["model"] else [])


def _picked(values: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Setting → value; an empty text is none, and a number that is chosen from a list a number."""
    return {key: _plain(key, values[mine]) for key, mine in keys.items()}


def _plain(key: str, value: Any) -> Any:
    if key == "depth" and isinstance(value, str) and value.isdecimal():
        return int(value)
    if key == "loudness" and isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None if value == "" else value


def _moving(text: str) -> dict[str, str]:
    """Lines such as `brightness 0:-5 8:7`."""
    found = {}
    for line in filter(str.strip, (text or "").splitlines()):
        name, _, curve = line.strip().partition(" ")
        if not curve.strip():
            raise UserError(
                f"moving sliders: {line.strip()!r} must be a slider and its way, such as brightness 0:-5 8:7"
            )
        found[name.lower()] = curve.strip()
    return found


def _text(value: object) -> str:
    return "null" if value is None else repr(value)


def _kept(home: Home, recording: Path) -> Path:
    """A copy of an uploaded recording in `paths.home`/audio/recordings: uploads go when the page is closed, and a sound
    that is in the history can be made again as long as its recording is there."""
    folder = home.audio / "recordings"
    if recording.parent == folder:
        return recording
    try:
        with recording.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()[:8]
        kept = folder / f"{name_from_path(recording.with_suffix(''))}-{digest}{recording.suffix.lower()}"
        if not kept.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with replace_file(kept) as temporary:
                shutil.copyfile(recording, temporary)
    except OSError as error:
        raise UserError(f"{recording.name} cannot be read: {error.strerror}. Choose it once more") from error
    return kept


def slider_values(names: Iterable[str], positions: Iterable[float | None], there: Iterable[str]) -> dict[str, float]:
    """The positions of those sliders that the models have."""
    known = set(there)
    return {name: float(at or 0) for name, at in zip(names, positions, strict=True) if name in known}
