"""Errors that say that the store cannot be used now, whatever was asked of it: full, locked, gone, damaged."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    InternalError,
    OperationalError,
    TimeoutError,  # noqa: A004 - of SQLAlchemy's pool
)

__all__ = ["STORE_ERRORS", "store_problem"]

STORE_ERRORS: Final = (DBAPIError, DisconnectionError, TimeoutError, sqlite3.Error)
"""Among these are those that are the fault of what was asked, too; `store_problem` tells."""
UNUSABLE: Final = (OperationalError, InterfaceError, InternalError, DisconnectionError, TimeoutError, sqlite3.Error)
LONGEST: Final = 200


def store_problem(error: BaseException) -> str | None:
    """What is the matter with the store, in the database's words; None for an error of another kind.

    Never the statement or its parameters, which stand in SQLAlchemy's own words.
    """
    is_damage = type(error) is DatabaseError  # SQLite's word for pages that make no sense
    if not is_damage and not isinstance(error, UNUSABLE):
        return None
    said = error.orig if isinstance(error, DBAPIError) else error
    first_line = str(said).strip().partition("\n")[0]
    return first_line[:LONGEST] or type(error).__name__
