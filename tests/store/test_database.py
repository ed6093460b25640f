"""library.sqlite: brought up to date, refused by name, whole after kills and on a full disk, shared by processes."""

import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing

import pytest
from limits import file_size_limit, without_root
from recorded import account

from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.store import database
from distillgan.store.database import Database
from distillgan.store.history import History
from distillgan.store.presets import Presets

# Writes entries until it is killed, or so many; says the number of each once `record` has returned.
WRITER = """
import sys
from pathlib import Path
from distillgan.store.history import History
from distillgan.paths import Home
home = Home(sys.argv[1])
history = History(home)
for number in range(int(sys.argv[3])):
    account = {"models": [{"name": sys.argv[2]}], "seed": number, "padding": "x" * 3000}
    print(history.record(account, home.audio / f"{number}.wav", bytes(800)), flush=True)
"""


def writer(home, name, count=1_000_000):
    command = [sys.executable, "-c", WRITER, str(home.root), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_write_at_once_lose_nothing(home):
    """They also make the file at once."""
    processes = [writer(home, name, 200) for name in ("a", "b", "c")]
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    ids = [int(line) for out, _ in told for line in out.split()]
    assert len(ids) == len(set(ids)) == 600
    history = History(home)
    assert {entry.id for entry in history.find()} == set(ids)
    for name in "abc":
        assert sorted(entry.metadata["seed"] for entry in history.find(model=name)) == list(range(200))


def test_what_was_recorded_survives_a_kill(home):
    """At worst the last is missing that had not been said to be done; or there is one more."""
    done = 0
    for wait in (0.0, 0.013, 0.05, 0.11, 0.2):
        process = writer(home, "a")
        ids = [int(process.stdout.readline())]
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        ids += map(int, process.communicate(timeout=60)[0].split())
        assert process.returncode == -signal.SIGKILL
        with closing(sqlite3.connect(home.root / "library.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        done += len(ids)
        there = [entry.id for entry in History(home).find()]
        assert set(ids) <= set(there) and len(there) - done in (0, 1)
        done = len(there)


def test_a_transaction_is_synced_before_it_is_done(home):
    with Database(home).reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_exception_undoes_the_whole_write(home):
    library = Database(home)
    with pytest.raises(KeyboardInterrupt), library.writing() as connection:
        connection.execute("INSERT INTO presets VALUES ('m', 'k', 'n', '', '', '{}')")
        raise KeyboardInterrupt
    assert Presets(home).all() == []


def test_an_older_file_is_brought_up_to_date_in_order(home, monkeypatch):
    id = History(home).record(account(seed=7), home.audio / "a.wav", b"")
    steps = (
        ("ALTER TABLE generations ADD COLUMN rating INTEGER NOT NULL DEFAULT 3",),
        ("UPDATE generations SET rating = rating + 1", "CREATE INDEX by_rating ON generations (rating)"),
    )
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, *steps))
        assert History(home).get(id).metadata["seed"] == 7
        for _ in range(2):  # once and for all
            with Database(home).reading() as connection:
                assert connection.execute("PRAGMA user_version").fetchone() == (len(database.MIGRATIONS),)
                assert connection.execute("SELECT rating FROM generations").fetchall() == [(4,)]
    known = len(database.MIGRATIONS)
    words = rf"library\.sqlite was written by a newer distillgan \(.* {known + 2}, .* {known}\): update distillgan"
    with pytest.raises(UserError, match=words):
        History(home)


def test_a_step_that_fails_leaves_the_old_schema(home, monkeypatch):
    id = History(home).record(account(), home.audio / "a.wav", b"")
    broken = ("ALTER TABLE generations ADD COLUMN rating INTEGER", "INSERT INTO nowhere VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, broken))
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            History(home)
    assert History(home).get(id).id == id
    with Database(home).reading() as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(generations)")]
    assert "rating" not in columns


@pytest.mark.parametrize("data", [b"no database at all" * 500, b"x" * 600, bytes(4096)])
def test_a_file_that_is_no_database_is_refused_by_name_and_kept(home, data):
    path = home.root / "library.sqlite"
    path.write_bytes(data)
    with pytest.raises(UserError, match=re.escape(str(path)) + " is damaged, or no library at all .*move it away"):
        History(home)
    assert path.read_bytes() == data


def test_a_damaged_file_is_refused_by_name_and_kept(home):
    history, path = History(home), home.root / "library.sqlite"
    for seed in range(50):
        history.record(account(seed=seed), home.audio / "a.wav", bytes(800))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(UserError, match="is damaged"):
        history.find()
    with pytest.raises(UserError, match="is damaged"):
        history.record(account(), home.audio / "a.wav", b"")
    assert path.read_bytes() == data


def test_another_programs_database_is_left_alone(home):
    path = home.root / "library.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="another program's database: move it away"):
        Presets(home)
    assert path.read_bytes() == before


def test_an_empty_file_is_a_new_library(home):
    (home.root / "library.sqlite").touch()
    assert History(home).find() == []


@pytest.mark.parametrize("limit", [1000, 40_000, 70_000, 150_000])
def test_on_a_full_disk_the_old_data_stay_whole(home, limit):
    """Whichever file cannot grow: the log, its index or the library itself."""
    history = History(home)
    ids = [history.record(account(seed=seed), home.audio / "a.wav", bytes(800)) for seed in range(3)]
    with file_size_limit(limit), pytest.raises(UserError, match=r"library\.sqlite.*full"):
        for _ in range(200):
            ids.append(history.record({"padding": "x" * 20_000}, home.audio / "a.wav", bytes(800)))
    assert sorted(entry.id for entry in history.find()) == ids
    with closing(sqlite3.connect(home.root / "library.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert history.record(account(), home.audio / "a.wav", b"") > ids[-1]


def test_a_lock_for_too_long_is_told(home, monkeypatch):
    history = History(home)
    monkeypatch.setattr(database, "_PATIENCE", 0.1)
    with closing(sqlite3.connect(home.root / "library.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match=r"library\.sqlite has been locked by another program for 0 s: end it"):
            history.record(account(), home.audio / "a.wav", b"")
        assert history.find() == []  # readers need not wait
    assert history.record(account(), home.audio / "a.wav", b"") == 1


def test_a_closed_folder_is_told():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others as a whole
        home = Home(folder)
        home.root.chmod(0o555)
        words = re.escape(str(home.root)) + r"/library\.sqlite could not be written: no permission: allow writing"
        with without_root(), pytest.raises(UserError, match=words):
            History(home)
        history = History(home)
        history.record(account(), home.audio / "a.wav", b"")
        with without_root(), pytest.raises(UserError, match=words):
            history.record(account(), home.audio / "a.wav", b"")
        assert len(history.find()) == 1


def test_a_folder_in_its_place_is_told(home):
    (home.root / "library.sqlite").mkdir()
    with pytest.raises(UserError, match=r"library\.sqlite could not be written: a folder of that name is there"):
        History(home)
