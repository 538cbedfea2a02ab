"""One look at the store wakes whoever listens, and only whom it concerns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from reflex.errors import ServiceError
from reflex_control import feed as module
from reflex_control.feed import Feed, News, events_after, news_of
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import revoke_key
from reflex_control.plane import Plane
from support.waiting import HANGS_S, eventually, let_pass_here


def tell(plane: Plane, actor: Actor, what: int) -> None:
    with plane.writing(actor) as writing:
        writing.tell("session", {"what": what})


def looking_into(plane: Plane) -> Callable[[Mapping[str, int], frozenset[str]], News]:
    def look(places: Mapping[str, int], keys: frozenset[str]) -> News:
        with plane.reading() as connection:
            return news_of(connection, places, keys, plane.clock())

    return look


@asynccontextmanager
async def running(feed: Feed, look: Callable[[Mapping[str, int], frozenset[str]], News]) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run(look))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_listener_is_woken_by_its_own_organisation_and_finds_what_came(
    plane: Plane, actor: Actor, stranger: Actor
) -> None:
    async def listen() -> None:
        feed = plane.feed
        async with running(feed, looking_into(plane)):
            with (
                feed.listening(actor.organisation_id, actor.key_id) as ours,
                feed.listening(stranger.organisation_id, stranger.key_id) as theirs,
            ):
                feed.follow(ours, 0)
                feed.follow(theirs, 0)
                await asyncio.to_thread(tell, plane, actor, 1)
                await eventually(ours.woken.is_set, "the listener is woken")
                kept = feed.kept(ours, 0)
                assert kept is not None
                assert [row.data for row in kept] == [{"what": 1}]
                assert feed.kept(ours, kept[-1].seq) == []
                assert not theirs.woken.is_set()

    asyncio.run(listen())


@pytest.mark.slow
def test_many_listeners_cost_the_store_one_look(plane: Plane, actor: Actor) -> None:
    looks: list[Mapping[str, int]] = []

    def look(places: Mapping[str, int], keys: frozenset[str]) -> News:
        looks.append(places)
        return looking_into(plane)(places, keys)

    async def listen() -> None:
        async with running(plane.feed, look):
            with (
                plane.feed.listening(actor.organisation_id, actor.key_id) as one,
                plane.feed.listening(actor.organisation_id, actor.key_id) as two,
            ):
                for listener in (one, two):
                    plane.feed.follow(listener, 0)
                await asyncio.to_thread(tell, plane, actor, 1)
                await eventually(lambda: one.woken.is_set() and two.woken.is_set(), "both are woken")
        assert all(list(places) in ([actor.organisation_id], []) for places in looks)
        silent = len(looks)
        await let_pass_here(2 * module.LOOK_EVERY_S)
        assert len(looks) == silent

    asyncio.run(listen())


@pytest.mark.slow
def test_nobody_looks_while_nobody_listens(plane: Plane) -> None:
    def look(_places: Mapping[str, int], _keys: frozenset[str]) -> News:
        raise AssertionError("somebody looks")

    async def wait() -> None:
        async with running(plane.feed, look):
            plane.feed.wake()
            await let_pass_here(2 * module.LOOK_EVERY_S)
            assert plane.feed.looked_at == 0.0

    asyncio.run(wait())


def test_who_is_far_behind_reads_the_store(plane: Plane, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)

    async def listen() -> None:
        feed = plane.feed
        async with running(feed, looking_into(plane)):
            with feed.listening(actor.organisation_id, actor.key_id) as listener:
                feed.follow(listener, 0)
                for what in range(5):
                    await asyncio.to_thread(tell, plane, actor, what)
                with plane.reading() as connection:
                    third = events_after(connection, actor.organisation_id, 0)[2].seq
                await eventually(lambda: len(feed.kept(listener, third) or ()) == 2, "the last two are kept")
                assert feed.kept(listener, third - 1) is None
                assert feed.kept(listener, 0) is None

    asyncio.run(listen())
    with plane.reading() as connection:
        assert [row.data["what"] for row in events_after(connection, actor.organisation_id, 0)] == list(range(5))


def test_more_than_one_look_gives_comes_at_once(plane: Plane, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AT_ONCE", 2)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 3_600.0)

    async def listen() -> list[int]:
        feed = plane.feed
        with feed.listening(actor.organisation_id, actor.key_id) as listener:
            feed.follow(listener, 0)
            for what in range(5):
                tell(plane, actor, what)
            async with running(feed, looking_into(plane)):
                await let_pass_here(0)
                feed.wake()
                await eventually(lambda: len(feed.kept(listener, 0) or ()) == 5, "all of them are there")
            return [row.data["what"] for row in feed.kept(listener, 0) or ()]

    assert asyncio.run(listen()) == list(range(5))


def test_a_key_that_is_taken_back_ends_its_listeners_alone(plane: Plane, actor: Actor, stranger: Actor) -> None:
    async def listen() -> None:
        async with running(plane.feed, looking_into(plane)):
            with (
                plane.feed.listening(actor.organisation_id, actor.key_id) as lost,
                plane.feed.listening(stranger.organisation_id, stranger.key_id) as kept,
            ):
                with plane.database.writing() as connection:
                    revoke_key(connection, actor.key_id, plane.clock())
                await eventually(lambda: lost.is_over, "its listener ends")
                assert lost.woken.is_set()
                assert not kept.is_over

    asyncio.run(listen())


@pytest.mark.slow
def test_a_store_that_fails_for_a_while_ends_no_stream(plane: Plane, actor: Actor) -> None:
    failures = iter([OSError("gone"), OSError("gone")])

    def look(places: Mapping[str, int], keys: frozenset[str]) -> News:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return looking_into(plane)(places, keys)

    async def listen() -> None:
        async with running(plane.feed, look):
            with plane.feed.listening(actor.organisation_id, actor.key_id) as listener:
                plane.feed.follow(listener, 0)
                tell(plane, actor, 1)
                await eventually(listener.woken.is_set, "it is woken when the store is back")
                assert plane.feed.looked_at > 0.0
                assert not listener.is_over

    asyncio.run(listen())


def test_as_many_streams_as_a_server_keeps_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 3)
    monkeypatch.setattr(module, "MAX_STREAMS_OF_A_KEY", 2)
    feed = Feed()

    def codes(*keys: str) -> list[object]:
        if not keys:
            return []
        try:
            with feed.listening("org_1", keys[0]):
                return ["in", *codes(*keys[1:])]
        except ServiceError as exc:
            return [(exc.code, exc.retry_after_s), *codes(*keys[1:])]

    for _ in range(2):  # the places are free again
        assert codes("a", "a", "a", "b", "b") == [
            "in", "in", ("rate_limited", 10.0), "in", ("queue_full", 10.0)
        ]  # fmt: skip


def test_a_look_for_those_before_leaves_no_gap_for_who_came_meanwhile() -> None:
    told = [SimpleNamespace(seq=seq) for seq in (98, 99, 100, 101)]
    places_looked_for, may_go_on = threading.Event(), threading.Event()

    def look(places: Mapping[str, int], _keys: frozenset[str]) -> News:
        places_looked_for.set()
        assert may_go_on.wait(HANGS_S)
        found: Any = {owner: [row for row in told if row.seq > place] for owner, place in places.items()}
        return News(found, frozenset())

    async def listen() -> None:
        feed = Feed()
        with feed.listening("org_1", "key_1") as before:
            feed.follow(before, 100)
            looking = asyncio.create_task(feed._look(look))
            await eventually(places_looked_for.is_set, "it looks after 100")
        with feed.listening("org_1", "key_1") as late:
            feed.follow(late, 97)
            may_go_on.set()
            await looking
            assert feed.kept(late, 97) == []
            await feed._look(look)
            assert [row.seq for row in feed.kept(late, 97) or ()] == [98, 99, 100, 101]

    asyncio.run(listen())


def test_when_it_has_ended_every_stream_is_over_and_so_is_one_that_comes_later() -> None:
    feed = Feed()
    with feed.listening("org", "key") as before:
        assert not before.is_over
        feed.end()
        with feed.listening("org", "key") as after:
            assert (before.is_over, before.woken.is_set(), after.is_over) == (True, True, True)
