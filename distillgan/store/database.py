"""The SQLite file `library.sqlite` of presets and history, for several processes at once."""

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from distillgan.atomic import refused
from distillgan.errors import UserError, printable
from distillgan.paths import Home

_APPLICATION = 0x64676C62  # "dglb": tells our files from other programs' (sqlite.org, "Database File Format", 1.3.17)
_PATIENCE = 30.0  # seconds that another process may keep the file locked

# What makes schema n of schema n - 1, statement by statement. What has been released is never changed, only added to.
MIGRATIONS = (
    (
        # `path` is the file system's bytes, relative to the home where it lies in it: a home may be moved.
        """CREATE TABLE generations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            made REAL NOT NULL,
            path BLOB NOT NULL,
            starred INTEGER NOT NULL DEFAULT 0,
            words TEXT NOT NULL,
            account TEXT NOT NULL,
            thumbnail BLOB NOT NULL
        )""",
        "CREATE INDEX generations_by_path ON generations (path)",
        """CREATE TABLE played (
            model TEXT NOT NULL,
            generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
            PRIMARY KEY (model, generation)
        ) WITHOUT ROWID""",
        "CREATE INDEX played_by_generation ON played (generation)",
        # `key` is the name without its case.
        """CREATE TABLE presets (
            model TEXT NOT NULL,
            key TEXT NOT NULL,
            name TEXT NOT NULL,
            folder TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            settings TEXT NOT NULL,
            PRIMARY KEY (model, key)
        ) WITHOUT ROWID""",
    ),
)


class Database:
    """`library.sqlite` of a home, made if it is missing and brought up to date if it is older.

    Each read and each write has a connection of its own, so that threads and forks share nothing. With a write-ahead
    log and `synchronous = FULL` a transaction survives a `kill -9` and a power cut once it counts as done.

    Raises UserError if it cannot be opened or written, is damaged, another program's or a newer distillgan's.
    """

    def __init__(self, home: Home):
        self.path = home.root / "library.sqlite"
        with self.reading():
            pass

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection; one statement reads one state."""
        try:
            with closing(sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)) as connection:
                _prepare(connection, self.path)
                yield connection
        except sqlite3.DatabaseError as error:
            raise _in_words(self.path, error) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in one transaction: all of it is on the disk when the block ends well, else nothing of it."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")  # without it the connection's end undoes everything


def _prepare(connection: sqlite3.Connection, path: os.PathLike) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    version = _version(connection, path)
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _keep_log(connection)
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection, path)  # another process may have been first
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: os.PathLike) -> int:
    """The schema's number, 0 for an empty file. Raises UserError if it is another program's, or a newer one."""
    version, application, tables = connection.execute(
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_user_version, pragma_application_id"
    ).fetchone()
    if application != _APPLICATION and (version or application or tables):
        raise UserError(f"{printable(path)} is another program's database: move it away, and a library is begun")
    if version > len(MIGRATIONS):
        raise UserError(
            f"{printable(path)} was written by a newer distillgan (its schema is {version}, this one knows "
            f"{len(MIGRATIONS)}): update distillgan"
        )
    return version


def _keep_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, waiting for other processes, which SQLite itself does not do here."""
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > limit:
                raise
        time.sleep(0.02)


def _in_words(path: os.PathLike, error: sqlite3.DatabaseError) -> Exception:
    """A UserError for what the person at the keyboard can mend; anything else as it is."""
    code = _code(error)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return UserError(
            f"{printable(path)} is damaged, or no library at all ({error}): put back a copy that is whole, or move it "
            "away with what lies beside it under its name (-wal, -shm), and a new one begins. `sqlite3 FILE .recover` "
            "saves what can still be read"
        )
    if code == sqlite3.SQLITE_BUSY:
        return UserError(
            f"{printable(path)} has been locked by another program for {_PATIENCE:.0f} s: end it, or try again later"
        )
    if code == sqlite3.SQLITE_FULL:
        return refused(path, OSError(errno.ENOSPC, ""))
    if code == sqlite3.SQLITE_IOERR:
        return UserError(f"{printable(path)}: the disk refuses ({error}): is it full? Free some space, and try again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return refused(path, OSError(errno.EISDIR if os.path.isdir(path) else errno.EACCES, ""))
    return error


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code, None for what Python's module finds fault with itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
