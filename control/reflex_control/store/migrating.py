"""The store's schema and the program's: made, compared, brought up to date.

Alembic is loaded for a store that is not up to date: that takes a tenth of a second, at every start of a server.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from reflex.errors import SetupError
from reflex_control.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["MIGRATIONS", "StoreState", "newest_revision", "open_store", "require_current", "state_of"]

MIGRATIONS: Final = Path(__file__).parent / "migrations"


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
                _upgrade(connection)
    except OperationalError as exc:
        database.close()
        raise SetupError(f"the store cannot be opened ({exc.orig}); look at --data, or at --db") from exc
    except SetupError:
        database.close()
        raise
    return database


def require_current(database: Database) -> None:
    """`SetupError` unless the store is there, and of this program's schema."""
    try:
        state = state_of(database)
    except OperationalError as exc:
        raise SetupError(f"the store cannot be opened ({exc.orig}); look at --data, or at --db") from exc
    if state is not StoreState.CURRENT:
        raise SetupError(f"the store is {state.value}, not as this Reflex makes it; run: reflex control migrate")


def state_of(database: Database) -> StoreState:
    """Without changing anything."""
    with database.reading() as connection:
        return _state(connection)


def _state(connection: Connection) -> StoreState:
    tables = inspect(connection).get_table_names()
    if not tables:
        return StoreState.EMPTY
    found = connection.scalar(text("SELECT version_num FROM alembic_version")) if "alembic_version" in tables else None
    if found is None:
        raise SetupError("the store holds other tables than Reflex's; give it a database of its own")
    if found == newest_revision():
        return StoreState.CURRENT
    return StoreState.OLDER if found in _revisions() else StoreState.NEWER


def newest_revision() -> str:
    """The program's own; the files of the steps are numbered."""
    return max(_revisions())


def _revisions() -> set[str]:
    return {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _upgrade(connection: Connection) -> None:
    from alembic import command

    command.upgrade(_config(connection), "head")


def _refuse(state: StoreState, *, migrating: bool) -> None:
    if state is StoreState.OLDER and not migrating:
        raise SetupError(
            "the store was made by an older Reflex; back it up (reflex control backup FILE), then run: "
            "reflex control migrate"
        )
    if state is StoreState.NEWER:
        raise SetupError("the store was made by a newer Reflex, which this one would damage; install that one")


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
