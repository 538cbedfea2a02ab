"""Whether an organisation's chain of receipts is whole: each one checked, as `reflex receipts verify` would."""

from __future__ import annotations

from collections.abc import Iterator

from reflex.signed.receipts import Verdict, verify_lines
from reflex_control.http.routes.receipts import exported_lines
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.signing_keys import keyset

__all__ = ["verdict_on"]


def verdict_on(plane: Plane, actor: Actor) -> Verdict:
    """What comes of checking all of it, by the keys of the store."""
    lines = exported_lines(plane, actor)
    with plane.reading() as connection:
        keys = keyset(connection)
    return verify_lines(_one_by_one(lines), keys)


def _one_by_one(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from piece.splitlines()
