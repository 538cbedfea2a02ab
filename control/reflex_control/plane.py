"""What every operation stands on: the store, the time of day, the key that signs, and who hears of changes.

A write is one transaction of one actor. What it did and its receipts are committed together, and whoever listens is
woken afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sqlalchemy import Connection, insert

from reflex.errors import ServiceError
from reflex.signed.signing import SigningKey
from reflex_control.feed import Feed
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import still_holds, unauthorized
from reflex_control.identity.login_limits import LoginLimits
from reflex_control.moments import Clock, now_ms
from reflex_control.receipting import Facts, write_receipt
from reflex_control.repeating import Repetition, repeatably
from reflex_control.signing_keys import active_key
from reflex_control.store.database import Database
from reflex_control.store.tables import event

__all__ = ["Plane", "Writing"]


@dataclass(frozen=True, slots=True)
class Writing:
    """One write of one actor, at one moment."""

    connection: Connection
    actor: Actor
    now_ms: int
    key: SigningKey
    refusals: list[ServiceError] = field(default_factory=list)
    """Those that are facts themselves: the transaction is committed, and then the error goes on."""
    told: list[str] = field(default_factory=list)
    """The kinds of what those who listen will hear."""
    deaf_until_ms: int = 0
    """Up to then this control plane could hear nobody: silence before says nothing."""

    def receipt(self, kind: str, facts: Facts) -> None:
        """Attest what this write does."""
        write_receipt(self.connection, self.key, self.actor, kind, facts, self.now_ms)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Let those who listen know, once it is committed."""
        self.told.append(kind)
        self.connection.execute(
            insert(event).values(
                organisation_id=self.actor.organisation_id, kind=kind, data=data, created_at=self.now_ms
            )
        )

    def refuse(self, error: ServiceError, kind: str, facts: Facts) -> NoReturn:
        """Keep a receipt of the refusal, and raise it."""
        self.receipt(kind, facts)
        self.refusals.append(error)
        raise error


@dataclass(frozen=True)
class Plane:
    """One control plane. `clock` is the time of day in milliseconds; `feed` is woken when something was told."""

    database: Database
    clock: Clock = now_ms
    feed: Feed = field(default_factory=Feed)
    deaf_until: Callable[[], int] = field(default=lambda: 0)
    """The moment of its start, or when its store failed last."""
    logins: LoginLimits = field(default_factory=LoginLimits)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self, actor: Actor) -> Iterator[Writing]:
        """Committed at the end, with what was refused on the record; every other exception undoes all of it.

        `ServiceError` 401 when the actor's key was taken back since it was looked at: a body may take seconds to come.
        """
        refused: ServiceError | None = None
        with self.database.writing(actor.organisation_id) as connection:
            key = active_key(connection)
            writing = Writing(connection, actor, self.clock(), key, deaf_until_ms=self.deaf_until())
            if actor.key_id and not still_holds(connection, actor.key_id, writing.now_ms):
                raise unauthorized()
            try:
                yield writing
            except ServiceError as exc:
                if exc not in writing.refusals:
                    raise
                refused = exc
        if writing.told:
            self.feed.wake()
        if refused is not None:
            raise refused

    def create(
        self, actor: Actor, repetition: Repetition | None, make: Callable[[Writing], dict[str, Any]]
    ) -> dict[str, Any]:
        """What `make` gives within a write, or gave when the same request came before."""
        with self.writing(actor) as writing:
            return repeatably(writing.connection, actor, repetition, writing.now_ms, lambda: make(writing))
