"""Every sound that was generated: what made it, where it lies, and a small picture of its wave; searched and listed."""

import json
import os
import re
import sqlite3
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from distillgan.errors import UserError, printable
from distillgan.paths import Home
from distillgan.store.database import Database


def model_names(metadata: Mapping) -> list[str]:
    return [str(model["name"]) for model in metadata.get("models") or [] if model.get("name")]


def title(metadata: Mapping) -> str:
    """The models that play, as one name: that of the only one, or `rain + wind` for a blend."""
    return " + ".join(model_names(metadata))


def fingerprint(metadata: Mapping) -> str:
    """The models', in the order of `title`."""
    return " + ".join(str(model.get("fingerprint", "")) for model in metadata.get("models") or [])


def flat(values: object, key: str = "") -> dict[str, object]:
    """Nested settings → dotted key: value; lists stay values, and what is None is left out."""
    if isinstance(values, Mapping):
        found = {}
        for name, value in values.items():
            found |= flat(value, f"{key}.{name}" if key else str(name))
        return found
    return {} if values is None else {key: values}


def in_words(value: object) -> str:
    """A value for people: 5.0 is 5."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value))
    return printable(str(value))


def search_text(metadata: Mapping, path: Path) -> str:
    """What a search looks through: a line for each model, setting (`controls.brightness=5`) and the file."""
    return "".join(f"{_folded(line)}\n" for line in _lines(metadata, path))


def search_word(word: str) -> str:
    """A word as it stands in a search text; `name=value` ends its line, so that seed=3 is not seed=31."""
    name, equals, value = word.partition("=")
    if not equals:
        return _folded(word)
    if re.fullmatch(r"[+-]?\d{1,15}(\.\d{0,15})?", value):
        value = in_words(float(value)) if "." in value else str(int(value))
    return f"{_folded(f'{name}={value}')}\n"


def _lines(metadata: Mapping, path: Path) -> Iterator[str]:
    yield printable(path)
    for name in model_names(metadata):
        yield f"model={name}"
    for name in ("vocoder", "seed"):
        if metadata.get(name) is not None:
            yield f"{name}={in_words(metadata[name])}"
    for key, value in flat(metadata.get("settings")).items():
        yield f"{key}={in_words(value)}"


def _folded(text: str) -> str:
    """Upper and lower case, and the ways to write an accent, are one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


_SECONDS = {"min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(key: str, text: str) -> float:
    """Raises UserError if it is no such span."""
    parts = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(min|h|d|w)", text, re.ASCII)
    if parts is None:
        raise UserError(f"{key}={text} must be a number with its unit: 30min, 12h, 2d or 3w")
    return float(parts[1]) * _SECONDS[parts[2]]


LATEST = "latest"
MOST_COLUMNS = 400
_COLUMNS = "id, made, path, starred, account, thumbnail"
_LARGEST = 2**63 - 1  # that SQLite counts to
_DIGITS = 100  # of a number that is typed


@dataclass(frozen=True)
class Generation:
    """An entry of the history.

    made: seconds since 1970; path: the sound's file as it was written; metadata: the JSON beside it; thumbnail: int8
    pairs (lowest, highest) of each column, full scale 127.
    """

    id: int
    made: float
    path: Path
    starred: bool
    metadata: dict
    thumbnail: bytes

    @property
    def title(self) -> str:
        return title(self.metadata)

    def to_dict(self) -> dict:
        """As JSON takes it; the thumbnail as numbers."""
        return {
            "id": self.id,
            "made": datetime.fromtimestamp(self.made, UTC).isoformat(timespec="seconds"),
            "path": os.fspath(self.path),
            "starred": self.starred,
            "account": self.metadata,
            "thumbnail": [byte - 256 if byte > 127 else byte for byte in self.thumbnail],
        }


class History:
    """The history of a home. What a method has written is on the disk when it returns, see `Database`.

    Raises:
        UserError: as `Database`, here and in every method.
    """

    def __init__(self, home: Home):
        self._database, self._root = Database(home), home.root

    def record(self, metadata: Mapping, path: Path, thumbnail: bytes) -> int:
        """A new entry → its number. Numbers are never given twice.

        Raises:
            ValueError: the metadata is no JSON (NaN, too), or the thumbnail is no pairs for 400 columns at most.
        """
        if len(thumbnail) % 2 or len(thumbnail) > 2 * MOST_COLUMNS:
            raise ValueError(f"a thumbnail of {len(thumbnail)} bytes is no pairs for up to {MOST_COLUMNS} columns")
        stored = json.dumps(metadata, allow_nan=False)
        words = search_text(metadata, path)
        with self._database.writing() as connection:
            id = connection.execute(
                "INSERT INTO generations (made, path, words, account, thumbnail) VALUES (?, ?, ?, ?, ?)",
                (time.time(), self._stored(path), words, stored, bytes(thumbnail)),
            ).lastrowid
            models = {(name, id) for name in model_names(metadata)}
            connection.executemany("INSERT INTO played (model, generation) VALUES (?, ?)", models)
        return id

    def get(self, id: int) -> Generation:
        """Raises UserError if there is none."""
        with self._database.reading() as connection:
            return self._one(connection, id)

    def latest(self) -> Generation:
        """Raises UserError if there is none yet."""
        with self._database.reading() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM generations ORDER BY id DESC LIMIT 1").fetchone()
        if row is None:
            raise UserError("the history is empty: distillgan generate makes sound, and the history keeps what made it")
        return self._generation(row)

    def named(self, words: Iterable[str]) -> list[Generation]:
        """Numbers as they are typed, or `latest` → entries, each once. Raises UserError if one is none."""
        found = {}
        for word in map(str, words):
            if word == LATEST:
                entry = self.latest()
            elif word.isascii() and word.isdecimal() and len(word) <= _DIGITS:
                entry = self.get(int(word))
            else:
                raise UserError(f"{word!r} is no entry of the history: give its number, as in its list, or {LATEST}")
            found[entry.id] = entry
        return list(found.values())

    def find(
        self,
        words: Iterable[str] = (),
        model: str | None = None,
        starred: bool = False,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[Generation]:
        """The entries that hold all of `words` and meet the conditions, latest first, `limit` of them at most.

        words: anywhere in models, settings and file name, whatever their case; `seed=3`, `brightness=5` are exact.
        since: seconds since 1970.
        """
        conditions, values = ["1"], []
        for word in words:
            conditions.append("instr(words, ?) > 0")
            values.append(search_word(word))
        if model is not None:
            conditions.append("id IN (SELECT generation FROM played WHERE model = ?)")
            values.append(model)
        if starred:
            conditions.append("starred")
        if since is not None:
            conditions.append("made >= ?")
            values.append(since)
        query = f"SELECT {_COLUMNS} FROM generations WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
        with self._database.reading() as connection:
            rows = connection.execute(query, [*values, -1 if limit is None else limit]).fetchall()
        return [self._generation(row) for row in rows]

    def prunable(self, before: float | None = None, keep: int | None = None) -> list[int]:
        """Numbers of what a clean-up would take, oldest first: never what is starred.

        before: what was made earlier, in seconds since 1970; keep: all but so many of the latest that are not starred.
        """
        with self._database.reading() as connection:
            rows = connection.execute("SELECT id, made FROM generations WHERE NOT starred ORDER BY id").fetchall()
        ids = [id for id, made in rows if before is None or made < before]
        return ids if keep is None else ids[: max(0, len(rows) - keep)]

    def star(self, ids: Iterable[int], starred: bool = True) -> None:
        """All of them or, with a UserError, none."""
        with self._database.writing() as connection:
            for id in ids:
                self._one(connection, id)
                connection.execute("UPDATE generations SET starred = ? WHERE id = ?", (starred, id))

    def delete(self, ids: Iterable[int], spare_starred: bool = False) -> list[Generation]:
        """Take entries out, and return them; their files stay. All of them or, with a UserError, none.

        spare_starred: those that are starred by now stay.
        """
        with self._database.writing() as connection:
            entries = [self._one(connection, id) for id in dict.fromkeys(ids)]
            gone = [entry for entry in entries if not (spare_starred and entry.starred)]
            connection.executemany("DELETE FROM generations WHERE id = ?", [(entry.id,) for entry in gone])
        return gone

    def owner(self, path: Path) -> int | None:
        """The number of the last entry whose sound was written to `path`, None if there is none."""
        with self._database.reading() as connection:
            query = "SELECT max(id) FROM generations WHERE path = ?"
            return connection.execute(query, (self._stored(path),)).fetchone()[0]

    def _one(self, connection: sqlite3.Connection, id: int) -> Generation:
        query = f"SELECT {_COLUMNS} FROM generations WHERE id = ?"
        row = connection.execute(query, (min(id, _LARGEST),)).fetchone()
        if row is None:
            raise UserError(f"there is no entry {id} in the history: `distillgan history list` shows those there are")
        return self._generation(row)

    def _generation(self, row: tuple) -> Generation:
        id, made, path, starred, metadata, thumbnail = row
        try:
            values = json.loads(metadata)
        except ValueError as error:
            raise UserError(
                f"entry {id} of {self._database.path} is damaged ({error}): put back a copy that is whole"
            ) from error
        return Generation(id, made, self._root / os.fsdecode(path), bool(starred), values, thumbnail)

    def _stored(self, path: Path) -> bytes:
        whole = Path(os.path.abspath(path))
        return os.fsencode(whole.relative_to(self._root) if whole.is_relative_to(self._root) else whole)
