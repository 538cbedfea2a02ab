"""A new key signs, every organisation's chain says so and stays whole, and what the key before signed stays good."""

from __future__ import annotations

import pytest

from reflex.signed.receipts import FIRST_SEQ, line_of, seal_header, verify_lines
from reflex.signed.session_credential import read
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.receipting import Facts, last_seq, receipts_of
from reflex_control.rotating import rotate
from reflex_control.signing_keys import OVERLAP_MS, active_key, keyset
from support.outside.control_stand_in import credential
from unit.reflex_control.conftest import Moment


def token_key(plane: Plane) -> str:
    with plane.reading() as connection:
        return active_key(connection).kid


def is_whole(plane: Plane, owner: str) -> bool:
    """What the organisation's receipts are worth to who exports them now."""
    with plane.reading() as connection:
        keys = keyset(connection)
        header = seal_header(owner, keys, FIRST_SEQ, last_seq(connection, owner), plane.clock(), active_key(connection))
        return verify_lines([line_of(header), *map(line_of, receipts_of(connection, owner))], keys).is_whole


def note(plane: Plane, actor: Actor, kind: str) -> None:
    with plane.writing(actor) as writing:
        writing.receipt(kind, Facts())


def test_every_chain_goes_on_whole_under_the_new_key(
    plane: Plane, actor: Actor, stranger: Actor, moment: Moment
) -> None:
    for each in (actor, stranger):
        note(plane, each, "before")
    moment.now_ms += 1_000
    kid = rotate(plane.database, plane.clock).kid
    moment.now_ms += 10 * OVERLAP_MS
    for each in (actor, stranger):
        note(plane, each, "after")

        with plane.reading() as connection:
            receipts = receipts_of(connection, each.organisation_id)
        assert [receipt["kind"] for receipt in receipts] == ["before", "signing_key_rotated", "after"]
        assert [receipt["keyId"] == kid for receipt in receipts] == [False, True, True]
        assert is_whole(plane, each.organisation_id)


@pytest.mark.slow
def test_a_credential_of_the_key_before_lives_on_to_its_own_end(plane: Plane, actor: Actor) -> None:
    note(plane, actor, "before")
    with plane.reading() as connection:
        token = credential(active_key(connection), issued_at_ms=plane.clock())
    before = token_key(plane)
    rotate(plane.database, plane.clock)

    with plane.reading() as connection:
        assert read(token, keyset(connection), plane.clock() + 119_999).session_id == "sess_1"
        # Longer than the two minutes that a credential lives, as docs/operations.md has it.
        assert keyset(connection).keys[before].not_after_ms == plane.clock() + 10 * 60 * 1000


def test_a_clock_that_is_behind_the_receipts_leaves_them_provable(
    plane: Plane, actor: Actor, stranger: Actor, moment: Moment
) -> None:
    for each in (actor, stranger):
        note(plane, each, "before")
        moment.now_ms += 3_600_000
    moment.now_ms -= 10 * 3_600_000
    rotated = rotate(plane.database, plane.clock)
    newest_ms = moment.now_ms + 9 * 3_600_000
    assert rotated.before_until_ms == newest_ms + OVERLAP_MS, "whoever rotates a key that leaked hears of it"
    note(plane, actor, "after")

    for each in (actor, stranger):
        assert is_whole(plane, each.organisation_id)


def test_a_clock_that_goes_back_leaves_the_newest_key_the_newest(plane: Plane, actor: Actor, moment: Moment) -> None:
    note(plane, actor, "before")
    kids = []
    for _ in range(3):
        kids.append(rotate(plane.database, plane.clock).kid)
        moment.now_ms -= 60_000
        with plane.reading() as connection:
            assert active_key(connection).kid == kids[-1]
    assert len(set(kids)) == 3
