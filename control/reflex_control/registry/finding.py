"""One row of one organisation, or the refusal that says nothing about other organisations."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from reflex.errors import service_error

__all__ = ["add", "find", "find_all", "find_named"]


def find(connection: Connection, table: Table, organisation_id: str, identity: str, *, what: str) -> Row[Any]:
    """`ServiceError` 404 when there is none, or when it is another organisation's."""
    row = connection.execute(_wanted(table), {"identity": identity, "owner": organisation_id}).one_or_none()
    if row is None:
        raise service_error("not_found", f"there is no such {what} in this organisation")
    return row


def find_named(connection: Connection, table: Table, organisation_id: str, identity: str, *, field: str) -> Row[Any]:
    """As `find`, for an id that stands in a body: `ServiceError` 422 names the field."""
    row = connection.execute(_wanted(table), {"identity": identity, "owner": organisation_id}).one_or_none()
    if row is None:
        raise service_error("invalid_value", f"{field} names nothing in this organisation", context={"field": field})
    return row


@functools.cache
def _wanted(table: Table) -> Select[Any]:
    """Made once: making a statement takes longer than SQLite needs for it."""
    return select(table).where(table.c.id == bindparam("identity"), table.c.organisation_id == bindparam("owner"))


def find_all(connection: Connection, table: Table, organisation_id: str) -> list[Row[Any]]:
    """All of the organisation's, oldest first."""
    wanted = select(table).where(table.c.organisation_id == organisation_id)
    return list(connection.execute(wanted.order_by(table.c.created_at, table.c.id)).all())


def add(connection: Connection, table: Table, row: dict[str, Any], *, what: str) -> None:
    """`ServiceError` 409 when the organisation has one of this name."""
    same = select(table.c.id).where(table.c.organisation_id == row["organisation_id"], table.c.name == row["name"])
    taken = connection.scalar(same)
    if taken is not None:
        raise service_error(
            "conflict", f"there is a {what} of this name; choose another, or use that one", context={"id": taken}
        )
    try:
        connection.execute(insert(table).values(**row))
    except IntegrityError as exc:
        raise service_error("conflict", f"this {what} was made a moment ago; ask again") from exc
