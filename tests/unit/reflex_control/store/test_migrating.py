"""A store is made, recognised, migrated only when told so, and never opened by a program older than itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from reflex.errors import SetupError
from reflex_control.store.database import Database
from reflex_control.store.migrating import MIGRATIONS, StoreState, newest_revision, open_store, state_of
from reflex_control.store.tables import METADATA

AT_ONCE = 6


def test_an_empty_store_is_made_and_opened_again(store_url: str) -> None:
    for _ in range(2):
        database = open_store(store_url)
        assert state_of(database) is StoreState.CURRENT
        database.close()


def test_the_files_of_the_steps_are_numbered_by_their_revisions() -> None:
    steps = ScriptDirectory(str(MIGRATIONS))

    assert newest_revision() == steps.get_current_head()
    assert all(Path(step.path).name.startswith(f"{step.revision}_") for step in steps.walk_revisions())


@pytest.mark.slow
@pytest.mark.parametrize("migrating", [False, True])
def test_servers_that_start_at_once_on_an_empty_store_all_open_it(store_url: str, *, migrating: bool) -> None:
    start = Barrier(AT_ONCE)

    def opened() -> StoreState:
        start.wait()
        database = open_store(store_url, migrating=migrating)
        try:
            return state_of(database)
        finally:
            database.close()

    with ThreadPoolExecutor(AT_ONCE) as servers:
        states = [server.result() for server in [servers.submit(opened) for _ in range(AT_ONCE)]]

    assert states == [StoreState.CURRENT] * AT_ONCE


def test_the_migrations_make_the_tables_that_the_program_uses(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


@pytest.mark.slow
@pytest.mark.parametrize(("found", "sentence"), [("9999", "newer Reflex"), ("from elsewhere", "newer Reflex")])
def test_a_store_newer_than_the_program_is_refused(store_url: str, found: str, sentence: str) -> None:
    database = open_store(store_url)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
    database.close()

    with pytest.raises(SetupError, match=sentence):
        open_store(store_url, migrating=True)


def test_somebody_elses_database_is_left_alone(store_url: str) -> None:
    database = Database(store_url)
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))

    with pytest.raises(SetupError, match="a database of its own"):
        open_store(store_url)

    with database.reading() as connection:
        assert connection.execute(text("SELECT * FROM theirs")).all() == []
    database.close()


def test_a_store_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path / 'no folder' / 'control.db'}")
