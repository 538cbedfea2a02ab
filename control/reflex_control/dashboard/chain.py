"""Whether an organisation's chain of receipts is whole: each one checked, as `reflex receipts verify` would."""

from __future__ import annotations

from collections.abc import Iterator

from reflex.signed.receipts import Verdict, verify_lines
from reflex_control.http.routes.receipts import exported_lines
from reflex_control.identity.actor import Actor
from reflex_control.places import Places
from reflex_control.plane import Plane
from reflex_control.signing_keys import keyset

__all__ = ["verdict_on"]

_places = Places(2, 1, "this chain is being checked already, or others are; try again")
"""A long one takes a thread of the server, and all of a core, for minutes."""


def verdict_on(plane: Plane, actor: Actor) -> Verdict:
    """What comes of checking all of it, by the keys of the store. `ServiceError` 429 while it is being checked."""
    with _places.taken(actor.organisation_id):
        lines = exported_lines(plane, actor)
        with plane.reading() as connection:
            keys = keyset(connection)
        return verify_lines(_one_by_one(lines), keys)


def _one_by_one(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from piece.splitlines()
