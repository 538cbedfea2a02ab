"""Writes are whole, come one after the other, and are undone by an exception; on both kinds of store."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text, update

from reflex.errors import SetupError
from reflex_control.store import database as database_module
from reflex_control.store.database import Database, sqlite_url
from reflex_control.store.migrating import open_store
from reflex_control.store.tables import organisation

THREADS, ROUNDS = 8, 10


def add(database: Database, identity: str) -> None:
    with database.writing() as connection:
        connection.execute(insert(organisation).values(id=identity, name="0", created_at=0))


def add_and_fail(database: Database, identity: str) -> None:
    with database.writing() as connection:
        connection.execute(insert(organisation).values(id=identity, name="0", created_at=0))
        raise ZeroDivisionError


def test_what_was_written_is_there_and_what_failed_is_not(database: Database) -> None:
    add(database, "org_1")
    with pytest.raises(ZeroDivisionError):
        add_and_fail(database, "org_2")

    with database.reading() as connection:
        assert connection.scalars(select(organisation.c.id)).all() == ["org_1"]


@pytest.mark.slow
def test_what_is_read_within_a_write_is_still_true_when_it_commits(database: Database) -> None:
    add(database, "org_1")

    def count_up() -> None:
        for _ in range(ROUNDS):
            with database.writing("org_1") as connection:
                found = int(connection.scalar(select(organisation.c.name)) or 0)
                connection.execute(update(organisation).values(name=str(found + 1)))

    threads = [threading.Thread(target=count_up) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.reading() as connection:
        assert connection.scalar(select(organisation.c.name)) == str(THREADS * ROUNDS)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_sqlite_syncs_every_commit_to_a_write_ahead_log(database: Database) -> None:
    with database.reading() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


@pytest.mark.parametrize("url", ["no url", "mysql+pymysql://host/x", "oracle://host/x", ""])
def test_a_url_that_is_no_store_is_refused_with_one_that_is(url: str) -> None:
    with pytest.raises(SetupError, match="--db"):
        Database(url)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a?b", "a#b", "a b", "a%20b", "a&mode=memory"])
def test_a_folder_of_any_name_holds_a_store(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    opened = open_store(sqlite_url(folder / "control.db"))
    add(opened, "org_1")
    opened.close()

    assert (folder / "control.db").is_file()


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_database_that_hangs_is_not_waited_for_without_end(database: Database) -> None:
    with database.reading() as connection:
        bounds = [connection.scalar(text(f"SHOW {name}")) for name in ("lock_timeout", "statement_timeout")]
    assert bounds == ["10s", "30s"]


def test_a_read_sees_one_moment(database: Database) -> None:
    add(database, "org_1")
    with database.reading() as connection:
        before = connection.scalar(select(func.count()).select_from(organisation))
    assert before == 1


def test_what_is_read_first_fits_what_is_read_last(database: Database) -> None:
    count = select(func.count()).select_from(organisation)
    with database.reading() as connection:
        before = connection.scalar(count)
        with database.writing() as other:
            other.execute(insert(organisation).values(id="org_new", name="new", created_at=0))
        assert connection.scalar(count) == before
    with database.reading() as connection:
        assert connection.scalar(count) == (before or 0) + 1


class Refusing(sqlite3.Connection):
    """Says twice that the file is locked, as SQLite does at once to some of those that open a new one together."""

    refusals = 2
    code = sqlite3.SQLITE_BUSY

    def execute(self, statement: str, *more: object) -> sqlite3.Cursor:
        if "journal_mode" in statement and self.refusals:
            self.refusals -= 1
            refusal = sqlite3.OperationalError("database is locked")
            refusal.sqlite_errorcode = self.code
            raise refusal
        return super().execute(statement, *more)  # type: ignore[arg-type]


def test_a_file_that_others_open_at_the_same_time_is_tried_again(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "new.db", factory=Refusing)
    database_module._set_up_sqlite(connection, None)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_any_other_refusal_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "new.db", factory=Refusing)
    connection.code = sqlite3.SQLITE_READONLY
    with pytest.raises(sqlite3.OperationalError):
        database_module._set_up_sqlite(connection, None)
    assert connection.refusals == 1
    connection.close()
