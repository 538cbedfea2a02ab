"""The first start on an empty store: an organisation, and one key that may everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, select

from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.keys import make_key, make_organisation
from reflex_control.plane import Plane
from reflex_control.receipting import Facts, write_receipt
from reflex_control.signing_keys import active_key
from reflex_control.store.tables import organisation

__all__ = ["FirstKey", "begin", "has_begun"]

ORGANISATION: Final = "default"
KEY_NAME: Final = "admin"


def begin(plane: Plane, hand_out: Callable[[str], None]) -> bool:
    """Make both, and hand the key out before it is committed: a key that nobody has seen would lock everybody out.

    Of several servers that start at once, one does. False where there is an organisation already.
    """
    with plane.database.making() as connection:
        if _has_owner(connection):
            return False
        now_ms = plane.clock()
        owner = make_organisation(connection, ORGANISATION, now_ms)
        key = make_key(connection, owner, KEY_NAME, SCOPES, now_ms)
        actor = Actor(key.id, KEY_NAME, owner, frozenset(SCOPES))
        facts = Facts(reason=f"{key.id}: {KEY_NAME}")
        write_receipt(connection, active_key(connection), actor, "key_created", facts, now_ms)
        hand_out(key.secret)
    return True


def has_begun(plane: Plane) -> bool:
    """Whether somebody has a key."""
    with plane.reading() as connection:
        return _has_owner(connection)


def _has_owner(connection: Connection) -> bool:
    return connection.scalar(select(organisation.c.id).limit(1)) is not None


@dataclass(frozen=True, slots=True)
class FirstKey:
    """What is printed, once."""

    key: str = field(repr=False)
    url: str

    def as_text(self) -> str:
        return (
            f"admin key, shown this once: {self.key}\n"
            f"next: reflex login --backend-url {self.url} --api-key -\n"
            "      reflex whoami\n"
            f"      open {self.url}/ and sign in with the key"
        )

    def as_json(self) -> dict[str, str]:
        return {"key": self.key, "backendUrl": self.url}
