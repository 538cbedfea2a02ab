"""The chain's state is that of every receipt in it."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from reflex.errors import RateLimitedError
from reflex_control.dashboard import chain
from reflex_control.dashboard.chain import verdict_on
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.receipting import Facts
from reflex_control.store.tables import receipt


def test_a_chain_is_whole_until_one_receipt_of_it_is_changed(plane: Plane, actor: Actor, stranger: Actor) -> None:
    for who in (actor, stranger, actor, actor):
        with plane.writing(who) as writing:
            writing.receipt("test", Facts(reason="as it was"))
    verdict = verdict_on(plane, actor)
    assert (verdict.is_whole, verdict.receipts) == (True, 3)

    second = (receipt.c.seq == 2) & (receipt.c.organisation_id == actor.organisation_id)
    with plane.database.writing() as connection:
        body = connection.scalar(receipt.select().with_only_columns(receipt.c.body).where(second))
        connection.execute(update(receipt).where(second).values(body=str(body).replace("as it was", "as I like it")))
    verdict = verdict_on(plane, actor)
    assert (verdict.is_whole, verdict.receipts) == (False, 1)
    assert verdict_on(plane, stranger).is_whole


def test_a_chain_is_checked_once_at_a_time_and_holds_up_no_other_organisations(
    plane: Plane, actor: Actor, stranger: Actor
) -> None:
    with chain._places.taken(actor.organisation_id):
        with pytest.raises(RateLimitedError, match="is being checked already"):
            verdict_on(plane, actor)
        assert verdict_on(plane, stranger).is_whole
    assert verdict_on(plane, actor).is_whole
