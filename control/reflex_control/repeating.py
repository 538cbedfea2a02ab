"""Requests that are sent again: the same Idempotency-Key and body give the same answer, for a day.

An answer may hold a secret, a new key for example. So it is kept encrypted (`sealing`) under a key that is derived
from the Idempotency-Key itself, of which only a hash is kept: who reads the store learns nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from reflex.errors import service_error
from reflex_control.identity.actor import Actor
from reflex_control.moments import DAY_MS
from reflex_control.sealing import sealed, unsealed
from reflex_control.store.tables import repeatable

__all__ = ["IDEMPOTENCY_KEY", "Repetition", "repeatably"]

IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}")
"""Printable ASCII without spaces."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repetition:
    """What makes two requests the same: the key, who sends it, and what was asked."""

    key: str
    route: str
    body: bytes

    def digest(self, actor: Actor) -> bytes:
        return _derived(self.key, f"digest {actor.key_id} {self.route}")

    def secret(self, actor: Actor) -> bytes:
        return _derived(self.key, f"answer {actor.key_id} {self.route}")

    def request(self) -> bytes:
        return hashlib.sha256(self.body).digest()


def repeatably(
    connection: Connection, actor: Actor, repetition: Repetition | None, now_ms: int, make: Callable[[], Answer]
) -> Answer:
    """What `make` gives, or what it gave the first time. Within one write of the organisation, so there is one first.

    `ServiceError` 409 when the same key came with another body.
    """
    if repetition is None:
        return make()
    is_this = (repeatable.c.organisation_id == actor.organisation_id) & (
        repeatable.c.digest == repetition.digest(actor)
    )
    connection.execute(delete(repeatable).where(is_this, repeatable.c.created_at <= now_ms - DAY_MS))
    found = connection.execute(select(repeatable).where(is_this)).one_or_none()
    if found is None:
        answer = make()
        _keep(connection, actor, repetition, answer, now_ms)
        return answer
    if found.request != repetition.request():
        raise service_error(
            "idempotency_mismatch", "this Idempotency-Key came before with another body; send a new key with a new body"
        )
    repeated: Answer = json.loads(unsealed(repetition.secret(actor), found.answer))
    return repeated


def _keep(connection: Connection, actor: Actor, repetition: Repetition, answer: Answer, now_ms: int) -> None:
    connection.execute(
        insert(repeatable).values(
            organisation_id=actor.organisation_id, digest=repetition.digest(actor), request=repetition.request(),
            answer=sealed(repetition.secret(actor), json.dumps(answer).encode()), created_at=now_ms,
        )
    )  # fmt: skip


def _derived(key: str, label: str) -> bytes:
    return hmac.digest(key.encode(), f"reflex {label}".encode(), "sha256")
