"""The store's schema and the program's: made, compared, brought up to date."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from reflex.errors import SetupError
from reflex_control.store.database import Database

__all__ = ["StoreState", "open_store", "state_of"]


class StoreState(Enum):
    """How a store's schema stands to the program's."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def open_store(url: str, *, migrating: bool = False) -> Database:
    """The store, ready for use: an empty one is made, an older one is migrated only when told so.

    Of several that do so at the same time one makes or migrates, and the others find it done. Raises `SetupError` for a
    store that cannot be opened, is newer than this program, or is older and was left so.
    """
    database = Database(url)
    try:
        with database.making() as connection:
            state = _state(connection)
            _refuse(state, migrating=migrating)
            if state is not StoreState.CURRENT:
                command.upgrade(_config(connection), "head")
    except OperationalError as exc:
        database.close()
        raise SetupError(f"the store cannot be opened ({exc.orig}); look at --data, or at --db") from exc
    except SetupError:
        database.close()
        raise
    return database


def state_of(database: Database) -> StoreState:
    """Without changing anything."""
    with database.reading() as connection:
        return _state(connection)


def _state(connection: Connection) -> StoreState:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        if not inspect(connection).get_table_names():
            return StoreState.EMPTY
        raise SetupError("the store holds other tables than Reflex's; give it a database of its own")
    scripts = ScriptDirectory.from_config(_config(None))
    if found == scripts.get_current_head():
        return StoreState.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return StoreState.OLDER if found in known else StoreState.NEWER


def _refuse(state: StoreState, *, migrating: bool) -> None:
    if state is StoreState.OLDER and not migrating:
        raise SetupError(
            "the store was made by an older Reflex; back it up (reflex control backup FILE), then run: "
            "reflex control migrate"
        )
    if state is StoreState.NEWER:
        raise SetupError("the store was made by a newer Reflex, which this one would damage; install that one")


def _config(connection: Connection | None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
