"""Transactions on the store, the same on SQLite and on PostgreSQL.

A write is whole or not at all, and durable when `writing` ends: SQLite syncs its log at every commit. Writes of one
organisation come one after the other, so what was read within a write is still true when it commits.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as WaitedTooLongError

from reflex.errors import SetupError
from reflex_control.moments import now_ms
from reflex_control.store.failures import STORE_ERRORS, store_problem
from reflex_control.store.tables import organisation

__all__ = ["Database", "sqlite_url"]

BUSY_S: Final = 10.0
"""So long a write waits for another process' write, a backup's for example."""
WAL_AGAIN_S: Final = 0.02
WELL_AGAIN_S: Final = 3.0
"""So long nothing may fail before a write that went well says that the store is well: where a disk is nearly full, a
small write still finds its room beside larger ones that do not.
"""
WRITES: Final = "reflex_writes"
POOL: Final = {"pool_size": 40, "max_overflow": 0, "pool_timeout": BUSY_S}
"""As many as the server has worker threads (anyio's default)."""
POSTGRES_BOUNDS: Final = {
    "connect_timeout": 5,
    "options": f"-c lock_timeout={int(BUSY_S * 1000)} -c statement_timeout=30000",
}
"""Nothing waits for a database for ever: seconds, and milliseconds (PostgreSQL's manual, 20.11)."""
ONE_VIEW: Final = "REPEATABLE READ"
"""PostgreSQL's own default sees in each statement what others committed before that one; SQLite never does."""
MAKING_LOCK: Final = int.from_bytes(b"reflex", "big")
"""The advisory lock of who makes a store; its number is nobody else's in a database of Reflex's own."""
MAKING_BOUNDS: Final = {"lock_timeout": "60s", "statement_timeout": "600s"}
"""A migration takes longer than a request, and whoever starts beside it waits for its end."""


def sqlite_url(file: Path) -> str:
    """The store in this file. Its folder must be there."""
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


class Database:
    """Connections to one store; `close` it at the end. May be shared by threads."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._reads = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level=ONE_VIEW)
        # Within a process a lock is fair, where SQLite's own waiting is a lottery.
        self._lock = threading.Lock()
        self.write_problem: str | None = None
        """Why a write failed lately, where that was the store's fault: full, locked, gone."""
        self._write_failed_at_s = -WELL_AGAIN_S
        self.failed_at_ms = 0
        """When the store last failed at anything."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of the store: what is read first fits what is read last."""
        with self._noting_failures(), self._reads.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, organisation_id: str | None = None) -> Iterator[Connection]:
        """One transaction, committed at the end and undone by an exception; alone in its organisation."""
        with self._noting_problems(), self._alone(), self.engine.connect() as plain:
            connection = plain.execution_options(**{WRITES: True})
            with connection.begin():
                if organisation_id is not None and not self.is_sqlite:
                    lock = select(organisation.c.id).where(organisation.c.id == organisation_id)
                    connection.execute(lock.with_for_update())
                yield connection

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._lock.acquire(timeout=BUSY_S):
            raise WaitedTooLongError(f"other writes took {BUSY_S:g} s")
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _noting_problems(self) -> Iterator[None]:
        try:
            with self._noting_failures():
                yield
        except STORE_ERRORS as exc:
            self.write_problem = store_problem(exc)
            self._write_failed_at_s = time.monotonic()
            raise
        if time.monotonic() - self._write_failed_at_s >= WELL_AGAIN_S:
            self.write_problem = None

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        try:
            yield
        except STORE_ERRORS as exc:
            if store_problem(exc) is not None:
                self.failed_at_ms = now_ms()
            raise

    @contextmanager
    def making(self) -> Iterator[Connection]:
        """A write that no other server of this store does meanwhile: its tables, and what is first in them."""
        with self.writing() as connection:
            if not self.is_sqlite:
                for name, value in MAKING_BOUNDS.items():
                    connection.execute(select(func.set_config(name, value, text("true"))))
                connection.execute(select(func.pg_advisory_xact_lock(MAKING_LOCK)))
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        bounds = POSTGRES_BOUNDS if parsed.get_backend_name() == "postgresql" else {}
        # The URL's own settings win.
        given = {name: value for name, value in bounds.items() if name not in parsed.query}
        engine = create_engine(parsed, connect_args=given, pool_pre_ping=bool(bounds), hide_parameters=True, **POOL)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as exc:
        raise SetupError(
            "--db takes the URL of a store, like postgresql+psycopg://user@host/reflex; leave it out for SQLite"
        ) from exc
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name != "postgresql":
        raise SetupError(f"--db names a store on {engine.dialect.name}; Reflex knows SQLite and PostgreSQL")
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # `begin` is said below: Python's own would read before it locks
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_S * 1000)}")
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Of several that open a new file at once, SQLite tells some at once that it is locked, whatever its time-out."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(WAL_AGAIN_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    is_write = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
