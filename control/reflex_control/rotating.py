"""The key that signs is followed by a new one, and every organisation has a receipt of that."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from reflex_control.moments import Clock, now_ms
from reflex_control.receipting import Facts, write_receipt
from reflex_control.sessions.life import system_of
from reflex_control.signing_keys import rotate_signing_key
from reflex_control.store.database import Database
from reflex_control.store.tables import organisation

__all__ = ["Rotated", "rotate"]


@dataclass(frozen=True, slots=True)
class Rotated:
    """The key that signs, and until when the one before is trusted: in ten minutes, but for a clock that went back."""

    kid: str
    before_until_ms: int


def rotate(database: Database, clock: Clock = now_ms) -> Rotated:
    """Make a key that signs from now on, whether a server of the store runs or not."""
    with database.writing() as connection:
        # No write of theirs may come between, which would sign with the key before and be older than its receipt.
        every = select(organisation.c.id).order_by(organisation.c.id).with_for_update()
        owners = connection.scalars(every).all()
        at_ms = clock()
        key, until_ms = rotate_signing_key(connection, at_ms)
        for owner in owners:
            write_receipt(connection, key, system_of(owner), "signing_key_rotated", Facts(reason=key.kid), at_ms)
    return Rotated(key.kid, until_ms)
