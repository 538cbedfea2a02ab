"""The receipts of a training run. A receipt has no column for it: each one's reason begins with the run's id."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from reflex_control.receipting import last_seq
from reflex_control.store.tables import receipt

__all__ = ["receipts_of_run"]

LOOKED_THROUGH: Final = 2_000
"""So many receipts after a run was queued, and so many before it ended: what of a week lies between is not read."""
SHOWN: Final = 50


def receipts_of_run(connection: Connection, run: Row[Any]) -> list[dict[str, Any]]:
    """The last one first."""
    owner, last = run.organisation_id, last_seq(connection, run.organisation_id)
    first = _seq_at(connection, owner, run.created_at, last)
    end = last if run.ended_at is None else min(last, _seq_at(connection, owner, run.ended_at + 1, last))
    near = receipt.c.seq.between(first, first + LOOKED_THROUGH) | receipt.c.seq.between(end - LOOKED_THROUGH, end)
    of_run = receipt.c.body.contains(f'"reason":"{run.id}', autoescape=True)
    wanted = select(receipt.c.body).where(receipt.c.organisation_id == owner, receipt.c.seq >= first, near, of_run)
    return [json.loads(body) for body in connection.scalars(wanted.order_by(receipt.c.seq.desc()).limit(SHOWN))]


def _seq_at(connection: Connection, organisation_id: str, moment_ms: int, last: int) -> int:
    """The number of the first receipt that is not older; found by halves, for moments have no index."""
    low, high = 1, last + 1
    while low < high:
        middle = (low + high) // 2
        found = select(receipt.c.created_at).where(
            receipt.c.organisation_id == organisation_id, receipt.c.seq >= middle
        )
        at = connection.scalar(found.order_by(receipt.c.seq).limit(1))
        low, high = (middle + 1, high) if at is not None and at < moment_ms else (low, middle)
    return low
