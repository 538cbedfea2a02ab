"""Writes are whole, come one after the other, and are undone by an exception; on both kinds of store."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text, update

from reflex.errors import SetupError
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


def test_sqlite_syncs_every_commit_to_a_write_ahead_log(database: Database) -> None:
    if not database.is_sqlite:
        return
    with database.reading() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


@pytest.mark.parametrize("url", ["no url", "mysql+pymysql://host/x", "oracle://host/x", ""])
def test_a_url_that_is_no_store_is_refused_with_one_that_is(url: str) -> None:
    with pytest.raises(SetupError, match="--db"):
        Database(url)


@pytest.mark.parametrize("name", ["a?b", "a#b", "a b", "a%20b", "a&mode=memory"])
def test_a_folder_of_any_name_holds_a_store(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    opened = open_store(sqlite_url(folder / "control.db"))
    add(opened, "org_1")
    opened.close()

    assert (folder / "control.db").is_file()


def test_a_database_that_hangs_is_not_waited_for_without_end(database: Database) -> None:
    if database.is_sqlite:
        return
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
