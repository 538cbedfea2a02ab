"""A PostgreSQL of the tests' own: Debian's, on a socket of its own, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psycopg
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from reflex_control.store.migrating import open_store
from support.skips import skip_for_want_of
from support.waiting import wait_until

__all__ = ["Clusters", "Postgres", "postgres_programs", "postgres_running"]

DEBIAN: Final = "/usr/lib/postgresql/*/bin"
UNPRIVILEGED: Final = "nobody"
"""PostgreSQL refuses to be run by root."""
COPIES_FILES: Final = (15,)
"""From this version on a database may be made by copying files: half the time for one as small as a test's."""
EMPTY: Final = """
SET LOCAL lock_timeout = '10s'; SET LOCAL session_replication_role = replica;
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
    IF one.relname <> 'alembic_version' THEN EXECUTE format('DELETE FROM %I', one.relname); END IF;
  END LOOP;
  FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' LOOP
    PERFORM setval(one.relname::regclass, 1, false);
  END LOOP;
END $$"""
"""No rows, whatever refers to whatever; what was counted begins at 1 again."""
SHAPE: Final = """
SELECT md5(string_agg(concat_ws(' ', relname, attname, atttypid, attnotnull), ',' ORDER BY relname, attnum))
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid WHERE relnamespace = 'public'::regnamespace"""
FAST: Final = ("-c", "fsync=off", "-c", "max_connections=400", "-c", "listen_addresses=")


class Postgres:
    """One cluster, which can be stopped and started again."""

    def __init__(self, socket_folder: Path, command: Sequence[str]) -> None:
        self._folder = socket_folder
        self._command = command
        self._server: subprocess.Popen[bytes] | None = None
        self._asking: Connection | None = None

    def start(self) -> None:
        self._server = subprocess.Popen(self._command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, "PostgreSQL answers")

    def stop(self) -> None:
        """At once: SIGQUIT, and the clients that are still there lose their connection."""
        if self._asking is not None:
            self._asking.close()
            self._asking.engine.dispose()
            self._asking = None
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(3)
            self._server.wait(timeout=30)

    @property
    def data_folder(self) -> Path:
        """Where everything that is stored lies."""
        return self._folder / "data"

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://reflex@/{database}?host={self._folder}"

    def new_database(self, template: str = "template1") -> str:
        """The URL of a new one, empty or as the template is, which nobody may be connected to."""
        name = f"test_{uuid.uuid4().hex}"
        if self._asking is None:
            self._asking = create_engine(self.url_of("postgres"), isolation_level="AUTOCOMMIT").connect()
        how = " STRATEGY FILE_COPY" if (self._asking.dialect.server_version_info or ()) >= COPIES_FILES else ""
        self._asking.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}{how}"))
        return self.url_of(name)

    def answers(self) -> bool:
        engine = create_engine(self.url_of("postgres"))
        try:
            with engine.connect():
                return True
        except OperationalError:
            return False
        finally:
            engine.dispose()


class Clusters:
    """One PostgreSQL for all tests of this process, started when the first of them wants it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: Postgres | None = None
        self._template: str | None = None
        self._spare: list[_Spare] = []

    def get(self) -> Postgres:
        if self._running is None:
            programs = postgres_programs()
            if programs is None:
                skip_for_want_of("PostgreSQL")
            self._running = self._stack.enter_context(postgres_running(programs))
        return self._running

    def made_store(self) -> str:
        """The URL of a store that is ready for use: a copy of one that was made once."""
        if self._template is None:
            url = self.get().new_database()
            open_store(url).close()
            self._template = make_url(url).database
        return self.get().new_database(str(self._template))

    @contextmanager
    def lent_store(self) -> Iterator[str]:
        """The URL of a store that is ready for use, and goes to the next test: emptying one costs less than making one.

        A store that cannot be emptied, or has other tables or columns by then, goes to nobody.
        """
        spare = self._spare.pop() if self._spare else self._made_spare()
        try:
            yield spare.url
        finally:
            if spare.is_as_before():
                self._spare.append(spare)

    def _made_spare(self) -> _Spare:
        spare = _Spare.of(self.made_store())
        self._stack.callback(spare.connection.close)
        return spare


@dataclass(frozen=True)
class _Spare:
    """A store and the connection that empties it."""

    url: str
    connection: psycopg.Connection[tuple[str]]
    shape: str
    """Its tables and their columns."""

    @classmethod
    def of(cls, url: str) -> Self:
        parts = make_url(url)
        connection = psycopg.connect(dbname=parts.database, user=parts.username, host=str(parts.query["host"]))
        return cls(url, connection, _shape(connection))

    def is_as_before(self) -> bool:
        """Whether it is empty now, and as it was made."""
        try:
            self.connection.execute(EMPTY)
            self.connection.commit()
            if _shape(self.connection) == self.shape:
                return True
        except psycopg.Error:
            pass
        self.connection.close()
        return False


def _shape(connection: psycopg.Connection[tuple[str]]) -> str:
    (found,) = connection.execute(SHAPE).fetchone() or ("",)
    connection.rollback()
    return found


def postgres_programs() -> Path | None:
    """Where `initdb` and `postgres` lie; None when they are not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/").glob(DEBIAN[1:]))
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@contextmanager
def postgres_running(programs: Path) -> Iterator[Postgres]:
    """A cluster without any safety against a power cut, which no test needs, and with no TCP port."""
    # Short: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="reflex-pg-") as name:
        folder = Path(name)
        as_user = _as_unprivileged(folder)
        data = folder / "data"
        arguments = ["-D", str(data), "-U", "reflex", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([*as_user, str(programs / "initdb"), *arguments], check=True, capture_output=True, cwd="/")
        command = [*as_user, str(programs / "postgres"), "-D", str(data), "-k", str(folder), *FAST]
        postgres = Postgres(folder, command)
        try:
            postgres.start()
            yield postgres
        finally:
            postgres.stop()


def _as_unprivileged(folder: Path) -> list[str]:
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(UNPRIVILEGED)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
