"""A store that cannot be used is told from a request that was wrong, and never in words that hold what was sent."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import SQLAlchemyError

from reflex_control.store import database as module
from reflex_control.store.database import Database, sqlite_url
from reflex_control.store.failures import store_problem
from reflex_control.store.migrating import open_store
from reflex_control.store.tables import organisation

SECRET = "what-was-sent"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    open_store(sqlite_url(tmp_path / "control.db")).close()
    return tmp_path / "control.db"


def write(database: Database, name: str = SECRET) -> None:
    with database.writing() as connection:
        connection.execute(insert(organisation).values(id=name[:60], name=name, created_at=0))


def failure_of(doing: Callable[[], object]) -> str | None:
    with pytest.raises((SQLAlchemyError, sqlite3.Error)) as failed:
        doing()
    problem = store_problem(failed.value)
    assert SECRET not in str(problem)
    return problem


def test_a_store_that_is_full_says_so_until_nothing_has_failed_for_a_while(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(sqlite_url(file))

    def limit(pages: int) -> None:
        event.listen(database.engine, "checkout", lambda raw, *_: raw.execute(f"PRAGMA max_page_count={pages}"))

    limit(1)  # what it has already is the least
    problem = failure_of(lambda: write(database, SECRET * 100_000))
    assert problem == database.write_problem == "database or disk is full"

    limit(1_000_000)
    write(database)
    assert database.write_problem == problem, "a write that is small may find its room where others do not"
    monkeypatch.setattr(module, "WELL_AGAIN_S", 0.0)
    write(database, "another")
    assert database.write_problem is None
    database.close()


def test_a_store_that_another_process_holds_is_not_waited_for_without_end(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.05)
    database, other = Database(sqlite_url(file)), sqlite3.connect(file)
    other.execute("BEGIN IMMEDIATE")

    assert failure_of(lambda: write(database)) == database.write_problem == "database is locked"
    other.rollback()
    other.close()
    write(database)
    database.close()


def test_a_write_behind_one_that_hangs_is_not_waited_for_without_end(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.05)
    database, began, over = Database(sqlite_url(file)), threading.Event(), threading.Event()

    def hang() -> None:
        with database.writing():
            began.set()
            over.wait(60)

    thread = threading.Thread(target=hang)
    thread.start()
    began.wait(60)
    assert failure_of(lambda: write(database)) == "other writes took 0.05 s"
    over.set()
    thread.join()
    write(database)
    database.close()


def test_a_store_that_is_gone_or_no_database_is_told(tmp_path: Path) -> None:
    gone = Database(sqlite_url(tmp_path / "none" / "control.db"))
    assert failure_of(lambda: write(gone)) == "unable to open database file"

    (tmp_path / "torn.db").write_bytes(b"no database, but long enough to be looked at" * 100)
    torn = Database(sqlite_url(tmp_path / "torn.db"))
    assert failure_of(lambda: write(torn)) == "file is not a database"


def test_what_is_wrong_with_a_request_is_no_failure_of_the_store(database: Database) -> None:
    write(database)
    assert failure_of(lambda: write(database)) is None
    assert database.write_problem is None
    assert store_problem(ValueError("x")) is None


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_statement_that_takes_too_long_is_the_stores_fault(database: Database) -> None:
    def sleep() -> None:
        with database.writing() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 10"))
            connection.execute(text("SELECT pg_sleep(60)"))

    assert failure_of(sleep) == "canceling statement due to statement timeout"
