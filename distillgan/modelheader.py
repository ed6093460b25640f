"""The JSON header of a `.distillgan` file: what is in it, and the checks that it passes in both directions."""

import hashlib
import json
import math
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import distillgan
from distillgan.audio.spec import MelSpec
from distillgan.errors import UserError
from distillgan.paths import check_name

SCHEMA = 2
BAND_LIMIT = "band_limit_hz"  # of the corpus; files from before there was one, and of sound without a limit, have none
PENDING, MEASURED = "pending", "measured"  # training.vae.sliders; files from before have neither

_SEAL_LENGTH = len(',"sha256":""}') + 64
_NUMBER = (int, float)
_OPTIONAL = (dict, type(None))
_STAGE = {"steps": int, "seconds": _NUMBER, "date": str}
_WORDS = {
    int: "a whole number",
    str: "a text",
    dict: "a JSON object",
    list: "a list",
    _NUMBER: "a number",
    _OPTIONAL: "a JSON object or null",
}


def utc_now() -> str:
    """The time now, ISO 8601 in UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def package_versions() -> dict[str, str]:
    """The versions that shape a model: of distillgan, torch and safetensors."""
    import safetensors
    import torch  # here, not above: who reads headers need not wait a second for it

    packages = (distillgan, torch, safetensors)
    return {package.__name__: str(package.__version__) for package in packages}


@dataclass(frozen=True)
class Header:
    """All that is known of a model without its tensors.

    mel: the only mel its VAE and vocoder understand.
    vae: arguments of the VAE network.
    vocoder: None, or {"name": "hifigan" or "vocos", "generator": {arguments of the generator}}.
    corpus: {"fingerprint": text, "minutes": number, "files": whole number, …, "source_lufs": number or None}; where no
        recording goes all the way up BAND_LIMIT, Hz.
    training: {"vae": {"steps", "seconds", "date", "sliders", losses …}, "vocoder": the same or None}.
    tags: short words that the owner finds it by; files from before there were tags have none.
    checksums: tensor name → SHA-256; `write_model` fills it in.
    extra: fields of the same schema that this version does not know. They are kept and written back: a schema number
        rises when an old program could no longer read a file rightly, so an unknown field is an addition, and whoever
        adds a vocoder with an older program should lose nothing.
    """

    name: str
    mel: MelSpec
    vae: dict[str, Any]
    corpus: dict[str, Any]
    training: dict[str, Any]
    vocoder: dict[str, Any] | None = None
    licence: str = ""
    note: str = ""
    tags: list[str] = field(default_factory=list)
    created: str = field(default_factory=utc_now)
    versions: dict[str, str] = field(default_factory=package_versions)
    checksums: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def band_limit_hz(self) -> float:
        """Above it none of the recordings holds anything, nor does new sound; 0 if there is no such limit."""
        return float(self.corpus.get(BAND_LIMIT, 0.0))

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name the weights: equal for equal tensors, whatever the name, note or dates."""
        return _sha256(_dump(sorted(self.checksums.items())))[:16]

    @property
    def source_lufs(self) -> float | None:
        """How loud the recordings are together: integrated LUFS, heard from two loudspeakers (a mono one from both).

        None in files from before this was kept, and where there was no telling.
        """
        return self.corpus.get("source_lufs")

    @property
    def sliders_pending(self) -> bool:
        """Was it packed before its sliders were measured, and is it to be measured yet?"""
        return self.training["vae"].get("sliders") == PENDING

    @property
    def no_sliders(self) -> str:
        """Why a model without an analysis has no sliders, and what to do."""
        if self.sliders_pending:
            return "sliders pending: its training was ended before they were measured; the same command measures them"
        return "packed without an analysis, so it has no sliders; the command that trained it, once more, makes one"

    def to_dict(self) -> dict[str, Any]:
        """The header's fields as JSON can hold them. Numbers that JSON lacks (NaN, infinity) become None."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return _plain({**self.extra, **values, "mel": self.mel.to_dict()})

    def to_json(self) -> str:
        """`to_dict` as compact JSON with its own checksum.

        Raises:
            TypeError: a value is no plain text, number, bool, list, dict or None.
        """
        return _sealed(_dump(self.to_dict()))

    @classmethod
    def from_json(cls, text: str) -> "Header":
        """Raises UserError, which says what is wrong but not in which file: a newer schema, a field missing or of the
        wrong type, a checksum that does not match."""
        values = parse_object(text, "its distillgan header")
        if type(values.get("schema")) is int and values["schema"] > SCHEMA:
            raise UserError(
                f"made by a newer distillgan: its schema is {show(values['schema'])}, this one reads {SCHEMA}. "
                "Update distillgan"
            )
        _check(values, {"schema": int, "sha256": str}, "")
        if values["schema"] != SCHEMA:
            raise UserError(f"its schema is {show(values['schema'])}, this distillgan reads {SCHEMA}: retrain")
        if _sealed(text[:-_SEAL_LENGTH] + "}") != text:
            raise UserError("damaged or edited: its header does not match its checksum. Copy it again, or retrain")
        del values["sha256"]
        values.setdefault("tags", [])
        _check_fields(values)
        known = {item.name for item in fields(cls)} - {"extra"}
        extra = {key: value for key, value in values.items() if key not in known}
        return cls(**{key: values[key] for key in known - {"mel"}}, mel=_mel(values["mel"]), extra=extra)


def parse_object(text: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object from text or UTF-8 bytes. Raises UserError if it is none; `what` names it."""
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        values = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise UserError(f"damaged: {what} is not UTF-8 text ({error.reason}). Copy it again, or retrain") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"damaged: {what} is not JSON ({show(error)}). Copy it again, or retrain") from None
    if not isinstance(values, dict):
        raise UserError(f"damaged: {what} is not a JSON object but {show(values)}. Copy it again, or retrain")
    return values


def show(value: Any) -> str:
    """A value from a file as one short line: no control characters, at most 60 characters."""
    text = ascii(value) if not isinstance(value, Exception) else ascii(str(value))[1:-1]
    return text if len(text) <= 60 else text[:57] + "..."


def _check_fields(values: dict[str, Any]) -> None:
    top = {"name": str, "created": str, "mel": dict, "vae": dict, "vocoder": _OPTIONAL, "corpus": dict}
    top |= {"training": dict, "licence": str, "note": str, "tags": list, "versions": dict, "checksums": dict}
    _check(values, top, "")
    # The name ends up in paths: "../../x" in a file from a stranger must not
    values["name"] = check_name(values["name"])
    _check(values["corpus"], {"fingerprint": str, "minutes": _NUMBER, "files": int}, "corpus.")
    limit = values["corpus"].get(BAND_LIMIT, 0)
    if isinstance(limit, bool) or not isinstance(limit, _NUMBER) or not 0 <= limit <= values["mel"].get("f_max", 0):
        raise UserError(f"its header field corpus.{BAND_LIMIT}={show(limit)} is no frequency of its mel")
    if values["corpus"].get("source_lufs") is not None:
        _check(values["corpus"], {"source_lufs": _NUMBER}, "corpus.")
    _check(values["training"], {"vae": dict, "vocoder": _OPTIONAL}, "training.")
    _check(values["training"]["vae"], _STAGE, "training.vae.")
    if values["training"]["vocoder"] is not None:
        _check(values["training"]["vocoder"], _STAGE, "training.vocoder.")
    if values["vocoder"] is not None:
        _check(values["vocoder"], {"name": str, "generator": dict}, "vocoder.")
    for table in ("versions", "checksums"):
        # The types at once: a field after the other takes as long as parsing them
        if not set(map(type, values[table].values())) <= {str}:
            raise UserError(f"its header field {table} must hold texts alone")
    if not set(map(type, values["tags"])) <= {str}:
        raise UserError("its header field tags must hold texts alone")
    try:
        offset = datetime.fromisoformat(values["created"]).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise UserError(f"its header field created={show(values['created'])} is not an ISO 8601 time in UTC")


def _check(values: dict[str, Any], table: dict[str, Any], where: str) -> None:
    """`table` maps a field to its type; `where` is the path of `values` in the header."""
    for key, kind in table.items():
        if key not in values:
            raise UserError(f"its header lacks the field {where}{key}: not a header of distillgan, retrain")
        value = values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"its header field {where}{key} must be {_WORDS[kind]}, not {show(value)}")


def _mel(values: dict[str, Any]) -> MelSpec:
    try:
        spec = MelSpec.from_dict(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"its header field mel holds a value that is no number ({show(error)})") from None
    # MelSpec converts its fields: 2048.5 would become 2048, and "2048" a number
    changed = [key for key, value in spec.to_dict().items() if value != values[key] or isinstance(values[key], bool)]
    if changed:
        raise UserError(f"its header field mel.{changed[0]}={show(values[changed[0]])} is not a number of its kind")
    return spec


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _plain(value: Any) -> Any:
    """Tuples as lists, keys as text, NaN and infinity as None: what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _sha256(text: str) -> str:
    # Text from a stranger's file may hold lone surrogates
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _sealed(text: str) -> str:
    """A JSON object with the checksum of its text as one more, last field."""
    return f'{text[:-1]},"sha256":"{_sha256(text)}"}}'
