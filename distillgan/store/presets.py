"""Settings of a sound under a name, for each model: saved from the history, found again by `preset=NAME`."""

import json
import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.store.database import Database
from distillgan.store.history import Generation, fingerprint

SETTINGS = ("controls", "seed", "path", "source", "evolution", "duration", "blend", "spatial", "export")
_OF_ONE_FILE = ("file", "overwrite", "title")  # of `export`: how one sound was called
MOST_LETTERS = 80
_JOINERS = "\u200c\u200d"  # in emoji, and in Persian and Indian scripts
_COLUMNS = "model, fingerprint, name, folder, settings"


@dataclass(frozen=True)
class Preset:
    """A preset of `model` (of a blend: of `rain + wind`), whose `fingerprint` it was when the preset was saved.

    settings: nested as generate's configuration, of the keys SETTINGS; what is missing is not set. folder: "" for none.
    """

    model: str
    fingerprint: str
    name: str
    folder: str
    settings: dict

    def to_dict(self) -> dict:
        return asdict(self)


class Presets:
    """The presets of a home. A model's names are told apart whatever their case: `Soft Rain` is `soft rain`.

    Where `model` is None, a name must be that of one model's preset alone.

    Raises:
        UserError: as `Database`, here and in every method.
    """

    def __init__(self, home: Home):
        self._database = Database(home)

    def save(
        self, model: str, fingerprint: str, name: str, settings: Mapping, folder: str = "", replace: bool = False
    ) -> None:
        """Keep those of the settings that make a preset.

        Raises:
            UserError: the name or the folder is none; there is such a preset, and it is not to be replaced.
        """
        check_text("name", name)
        if folder:
            check_text("folder", folder)
        kept = {key: settings[key] for key in SETTINGS if settings.get(key) is not None}
        if isinstance(kept.get("export"), Mapping):
            kept["export"] = {key: value for key, value in kept["export"].items() if key not in _OF_ONE_FILE}
        with self._database.writing() as connection:
            if not replace:
                self._refuse_taken(connection, model, name)
            connection.execute(
                f"INSERT OR REPLACE INTO presets ({_COLUMNS}, key) VALUES (?, ?, ?, ?, ?, ?)",
                (model, fingerprint, _composed(name), _composed(folder), json.dumps(kept, allow_nan=False), _key(name)),
            )

    def keep(self, generation: Generation, name: str, folder: str = "", replace: bool = False) -> None:
        """Save what made an entry of the history. Raises UserError as `save`, or if the entry does not tell."""
        settings = generation.metadata.get("settings")
        if not generation.title or not isinstance(settings, Mapping):
            raise UserError(f"entry {generation.id} of the history does not say which model and settings made it")
        self.save(generation.title, fingerprint(generation.metadata), name, settings, folder, replace)

    def find(self, name: str, model: str | None = None) -> Preset:
        """Raises UserError if there is none (lists those there are), or one of several models."""
        with self._database.reading() as connection:
            return self._one(connection, name, model)

    def all(self, model: str | None = None, folder: str | None = None) -> list[Preset]:
        """By model, folder and name. `folder` has those inside of it, too: `rain` has `rain/soft`; "" has all."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM presets").fetchall()
        inside = f"{_key(folder)}/" if folder else ""
        found = [_preset(row) for row in rows if model in (None, row[0])]
        found = [preset for preset in found if f"{_key(preset.folder)}/".startswith(inside)]
        return sorted(found, key=lambda preset: (preset.model, _key(preset.folder), _key(preset.name)))

    def rename(self, name: str, new: str, model: str | None = None) -> None:
        """Raises UserError if there is none, or one of the new name already."""
        check_text("name", new)
        with self._database.writing() as connection:
            preset = self._one(connection, name, model)
            if _key(new) != _key(preset.name):
                self._refuse_taken(connection, preset.model, new)
            connection.execute(
                "UPDATE presets SET key = ?, name = ? WHERE model = ? AND key = ?",
                (_key(new), _composed(new), preset.model, _key(preset.name)),
            )

    def move(self, name: str, folder: str, model: str | None = None) -> None:
        """Into another folder, "" for none. Raises UserError if there is no such preset."""
        if folder:
            check_text("folder", folder)
        with self._database.writing() as connection:
            preset = self._one(connection, name, model)
            where = (_composed(folder), preset.model, _key(preset.name))
            connection.execute("UPDATE presets SET folder = ? WHERE model = ? AND key = ?", where)

    def delete(self, name: str, model: str | None = None) -> Preset:
        """Raises UserError if there is none."""
        with self._database.writing() as connection:
            preset = self._one(connection, name, model)
            connection.execute("DELETE FROM presets WHERE model = ? AND key = ?", (preset.model, _key(preset.name)))
        return preset

    @contextmanager
    def renaming_model(self, old: str, new: str) -> Iterator[None]:
        """Rename a model in the block: when it ends well, its presets, blends and history follow.

        Raises:
            UserError: the new name has a preset of the same name already; before the block.
        """
        with self._database.writing() as connection:
            for row in connection.execute(f"SELECT {_COLUMNS} FROM presets").fetchall():
                preset = _preset(row)
                names = preset.model.split(" + ")
                if old not in names:
                    continue
                model = " + ".join(new if name == old else name for name in names)
                self._refuse_taken(connection, model, preset.name)
                connection.execute(
                    "UPDATE presets SET model = ?, settings = ? WHERE model = ? AND key = ?",
                    (model, json.dumps(_renamed(preset.settings, old, new)), preset.model, _key(preset.name)),
                )
            # Found by the new name, too; what an entry tells of itself stays as it was.
            connection.execute("UPDATE OR REPLACE played SET model = ? WHERE model = ?", (new, old))
            yield

    def _one(self, connection: sqlite3.Connection, name: str, model: str | None) -> Preset:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM presets WHERE key = ? ORDER BY model", (_key(name),)
        ).fetchall()
        found = [preset for preset in map(_preset, rows) if model in (None, preset.model)]
        if len(found) > 1:
            models = ", ".join(preset.model for preset in found)
            raise UserError(f"preset {name!r}: there is one of each of these models, {models}: name the model, too")
        if not found:
            condition, values = ("", ()) if model is None else (" WHERE model = ?", (model,))
            listed = connection.execute(f"SELECT name, model FROM presets{condition} ORDER BY model, key", values)
            there = ", ".join(f"{name} ({model})" for name, model in listed) or "none yet"
            whose = f" of model {model}" if model is not None else ""
            raise UserError(f"preset {name!r}: there is none of this name{whose}. There are: {there}")
        return found[0]

    def _refuse_taken(self, connection: sqlite3.Connection, model: str, name: str) -> None:
        query = "SELECT name FROM presets WHERE model = ? AND key = ?"
        taken = connection.execute(query, (model, _key(name))).fetchone()
        if taken:
            raise UserError(
                f"preset {name!r}: model {model} has a preset {taken[0]!r}: choose another name, or replace it"
            )


def check_text(what: str, text: str) -> None:
    """Raises UserError unless `text`, the `what` of a preset, is a line that can be read and typed again."""
    wrong = [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Cf", "Zl", "Zp") and c not in _JOINERS]
    if wrong:
        raise UserError(f"{what}={text!r} has a character that is no text (U+{ord(wrong[0]):04X}): leave it out")
    if text == "null":
        raise UserError(f"{what}=null means none: choose another")
    if text != text.strip():
        raise UserError(f"{what}={text!r} begins or ends with a blank: leave it out")
    if not 1 <= len(_composed(text)) <= MOST_LETTERS:
        raise UserError(f"{what}={text!r} has {len(_composed(text))} letters: give it 1 to {MOST_LETTERS}")


def _composed(text: str) -> str:
    """An accent is part of its letter, however it was typed."""
    return unicodedata.normalize("NFC", text)


def _key(text: str) -> str:
    """What two names have in common that differ in case only. Unlike `lower`, this knows ß and final sigma."""
    return _composed(_composed(text).casefold())


def _preset(row: tuple) -> Preset:
    model, fingerprint, name, folder, settings = row
    return Preset(model, fingerprint, name, folder, json.loads(settings))


def _renamed(settings: dict, old: str, new: str) -> dict:
    """The settings with `new:60` for `old:60` in the blend."""
    words = (settings.get("blend") or {}).get("models")
    if not isinstance(words, list):
        return settings
    parts = [str(word).partition(":") for word in words]
    models = [f"{new if name == old else name}{colon}{weight}" for name, colon, weight in parts]
    return {**settings, "blend": {**settings["blend"], "models": models}}
