"""The keys that sign credentials and receipts. They lie in the store, so every replica signs with the same one.

A key is followed by a newer one, with overlap: its receipts stay provable, and credentials that it signed are accepted
until the last of them has expired.
"""

from __future__ import annotations

import hmac
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from reflex.signed.signing import Keyset, PublicKey, SigningKey
from reflex_control.identity.ids import new_id
from reflex_control.moments import MINUTE_MS
from reflex_control.store.tables import receipt, signing_key

__all__ = ["active_key", "derived_secrets", "keyset", "rotate_signing_key"]

OVERLAP_MS: Final = 10 * MINUTE_MS
"""Longer than any credential lives, and than a server needs to fetch the keyset again."""


def active_key(connection: Connection) -> SigningKey:
    """The newest one; the first is made when there is none."""
    newest = select(signing_key).order_by(signing_key.c.created_at.desc(), signing_key.c.kid).limit(1)
    row = connection.execute(newest).one_or_none()
    return _make(connection, 0) if row is None else SigningKey(row.kid, row.private)


def rotate_signing_key(connection: Connection, now_ms: int) -> tuple[SigningKey, int]:
    """A new key signs from now on; the other one before it vouches for nothing new after the moment that is returned.

    The clock may be behind that which wrote the receipts: all that there are stay provable.
    """
    until_ms = max(now_ms, connection.scalar(select(func.max(receipt.c.created_at))) or 0) + OVERLAP_MS
    connection.execute(update(signing_key).where(signing_key.c.trusted_until.is_(None)).values(trusted_until=until_ms))
    newest_ms = connection.scalar(select(func.max(signing_key.c.created_at)))
    made_ms = now_ms if newest_ms is None else max(now_ms, newest_ms + 1)  # the clock may go back
    return _make(connection, made_ms), until_ms


def keyset(connection: Connection) -> Keyset:
    """All of them: an old receipt is as good as a new one."""
    rows = connection.execute(select(signing_key).order_by(signing_key.c.created_at, signing_key.c.kid))
    return Keyset.of(PublicKey(row.kid, SigningKey(row.kid, row.private).public, row.trusted_until) for row in rows)


def derived_secrets(connection: Connection, label: str, now_ms: int) -> list[bytes]:
    """32 bytes for another purpose, the same for every replica, of each key that is still trusted; the newest first."""
    newest = select(signing_key).order_by(signing_key.c.created_at.desc(), signing_key.c.kid)
    return [
        hmac.digest(row.private, f"reflex derived {label}".encode(), "sha256")
        for row in connection.execute(newest)
        if row.trusted_until is None or now_ms < row.trusted_until
    ]


def _make(connection: Connection, created_ms: int) -> SigningKey:
    key = SigningKey.generate(new_id("kid"))
    connection.execute(insert(signing_key).values(kid=key.kid, private=key.seed, created_at=created_ms))
    return key
