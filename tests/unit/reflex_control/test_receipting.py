"""Receipts make one signed chain for each organisation, without gaps, as anybody can check."""

from __future__ import annotations

import threading

from reflex.signed.receipts import line_of, seal_header, verify_lines
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.receipting import Facts, kinds_of, newest_receipts, receipts_of
from reflex_control.signing_keys import active_key, keyset

WRITERS, EACH = 4, 5


def attest(plane: Plane, actor: Actor, kind: str, facts: Facts | None = None) -> None:
    with plane.writing(actor) as writing:
        writing.receipt(kind, facts or Facts())


def test_the_chain_of_writers_at_once_is_whole(plane: Plane, actor: Actor) -> None:
    def write() -> None:
        for _ in range(EACH):
            attest(plane, actor, "test")

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with plane.reading() as connection:
        receipts = receipts_of(connection, actor.organisation_id)
        keys, count = keyset(connection), WRITERS * EACH
        header = seal_header(actor.organisation_id, keys, 1, count, plane.clock(), active_key(connection))
    verdict = verify_lines([line_of(header), *map(line_of, receipts)], keys)
    assert (verdict.is_whole, verdict.receipts, verdict.fault) == (True, count, None)


def test_each_organisation_has_a_chain_of_its_own(plane: Plane, actor: Actor, stranger: Actor) -> None:
    for who in (actor, stranger, actor):
        attest(plane, who, "test")

    with plane.reading() as connection:
        assert [one["seq"] for one in receipts_of(connection, actor.organisation_id)] == [1, 2]
        assert [one["seq"] for one in receipts_of(connection, stranger.organisation_id)] == [1]


def test_what_was_undone_leaves_no_receipt_and_no_gap(plane: Plane, actor: Actor) -> None:
    try:
        with plane.writing(actor) as writing:
            writing.receipt("undone", Facts())
            raise ZeroDivisionError
    except ZeroDivisionError:
        attest(plane, actor, "done")

    with plane.reading() as connection:
        assert [(one["seq"], one["kind"]) for one in receipts_of(connection, actor.organisation_id)] == [(1, "done")]


def test_a_receipt_says_who_did_what_and_is_found_by_it(plane: Plane, actor: Actor) -> None:
    attest(plane, actor, "first", Facts(robot_id="robot_1", reason="because"))
    attest(plane, actor, "second", Facts(robot_id="robot_2"))

    with plane.reading() as connection:
        found = receipts_of(connection, actor.organisation_id, robot_id="robot_1")
        later = receipts_of(connection, actor.organisation_id, after=1, limit=1)

    assert [one["kind"] for one in later] == ["second"]
    assert [(one["actor"]["keyId"], one["reason"], one["deploymentId"]) for one in found] == [
        (actor.key_id, "because", None)
    ]


def test_the_newest_receipts_come_first_and_page_by_page(plane: Plane, actor: Actor, stranger: Actor) -> None:
    for kind in ("a", "b", "a", "c"):
        attest(plane, actor, kind)
    attest(plane, stranger, "d")

    with plane.reading() as connection:
        owner = actor.organisation_id
        newest = [each["seq"] for each in newest_receipts(connection, owner, limit=2)]
        older = [each["seq"] for each in newest_receipts(connection, owner, before=3)]
        chosen = [each["seq"] for each in newest_receipts(connection, owner, kind="a")]
        assert kinds_of(connection, owner) == ["a", "b", "c"]
    assert (newest, older, chosen) == ([4, 3], [2, 1], [3, 1])
