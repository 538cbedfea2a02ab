"""What the control plane says is heard while it can be, and what is lost with it is said and found again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from reflex.api_keys import new_key
from reflex.signed.signing import Keyset, SigningKey
from reflex_frontend.callers import control_plane as module
from reflex_frontend.callers.control_plane import ControlPlane
from reflex_frontend.callers.ended import EndedSessions
from support.clock import Clock, clock
from support.outside.control_stand_in import ControlPlaneStandIn, running_control_plane
from support.promise import Promise
from support.waiting import HANGS_S, eventually, let_pass_here

__all__ = ["clock"]

CLOSED_WITHIN_S = 1.0


@pytest.fixture(autouse=True)
def _tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(module, "FETCH_S", HANGS_S)


@pytest.fixture
def plane() -> Iterator[ControlPlaneStandIn]:
    with running_control_plane(ControlPlaneStandIn()) as running:
        yield running


@contextlib.asynccontextmanager
async def followed(
    plane: ControlPlaneStandIn, key: str | None = None, now: Callable[[], float] = time.monotonic
) -> AsyncIterator[tuple[ControlPlane, EndedSessions]]:
    ended = EndedSessions(time.monotonic)
    following = ControlPlane(plane.url, plane.api_key if key is None else key, ended, now)
    task = asyncio.create_task(following.run())
    try:
        yield following, ended
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def heard(following: ControlPlane) -> None:
    await eventually(lambda: following.stale is None and following.keyset, "the control plane is heard")


def test_a_session_that_ends_there_is_known_to_have_ended(plane: ControlPlaneStandIn, promise: Promise) -> None:
    async def follow() -> None:
        async with followed(plane) as (following, ended):
            assert following.stale is not None
            await heard(following)
            for number, status in enumerate(("dry_run", "apply_actions", "closed", "expired")):
                plane.tell(f"sess_{number}", status)
            took_s = await eventually(lambda: "sess_3" in ended, "the last one has ended")
            assert ["sess_0" in ended, "sess_1" in ended, "sess_2" in ended] == [False, False, True]
            promise("the end of a session is heard of", took_s, at_most=CLOSED_WITHIN_S)

    asyncio.run(follow())


def test_what_ended_while_the_stream_was_lost_is_heard_when_it_is_back(
    plane: ControlPlaneStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    async def follow() -> None:
        async with followed(plane) as (following, ended):
            await heard(following)
            plane.tell("sess_1", "dry_run")
            await eventually(lambda: following._last_id == "1", "the first event is heard")
            plane.api_key, right = new_key(), plane.api_key
            plane.breaks += 1
            await eventually(lambda: following.stale, "the stream is lost")
            plane.tell("sess_1", "closed")
            plane.api_key = right
            await eventually(lambda: "sess_1" in ended, "its end is heard of")
            await eventually(lambda: following.stale is None, "the stream is back")

    asyncio.run(follow())
    assert plane.asked_for("/v1/events")[0] is None
    assert set(plane.asked_for("/v1/events")[1:]) == {"1"}
    assert "is heard again" in caplog.text
    assert plane.api_key not in caplog.text


def test_an_end_before_any_event_is_not_lost_with_the_stream(plane: ControlPlaneStandIn) -> None:
    async def follow() -> None:
        async with followed(plane) as (following, ended):
            await heard(following)
            await eventually(lambda: following._last_id == "0", "the place in the stream is known")
            plane.is_silent = True
            plane.tell("sess_1", "closed")
            plane.breaks += 1
            plane.is_silent = False
            await eventually(lambda: "sess_1" in ended, "its end is heard of")

    asyncio.run(follow())


def test_who_starts_knows_what_ended_before_it_lets_anybody_in(plane: ControlPlaneStandIn) -> None:
    plane.tell("sess_0", "closed")

    async def follow() -> None:
        async with followed(plane) as (following, ended):
            assert following.is_catching_up
            await eventually(lambda: not following.is_catching_up, "everything up to now is told")
            assert "sess_0" in ended
            assert following.organisation_id == "org_1"

    asyncio.run(follow())


@pytest.mark.parametrize("organisation_id", [None, "told wrongly"])
def test_who_is_never_told_that_this_is_all_waits_for_a_while_and_no_longer(
    plane: ControlPlaneStandIn, clock: Clock, organisation_id: str | None
) -> None:
    plane.organisation_id = None if organisation_id is None else 7  # type: ignore[assignment]

    async def follow() -> None:
        async with followed(plane, now=clock) as (following, _):
            await heard(following)
            clock.now_s += 4.9
            assert following.is_catching_up
            clock.now_s += 0.1
            assert not following.is_catching_up
            assert following.organisation_id is None

    asyncio.run(follow())


def test_a_stream_that_is_silent_for_too_long_is_lost(
    plane: ControlPlaneStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.1)

    async def follow() -> None:
        async with followed(plane) as (following, _):
            await eventually(lambda: len(plane.asked_for("/v1/events")) > 2, "it is asked again")
            assert following.keyset is not None

    asyncio.run(follow())


@pytest.mark.parametrize(
    ("why", "words"), [("key", "refuses the key of this server; set REFLEX_CONTROL_KEY"), ("down", "cannot be reached")]
)
def test_why_it_is_not_heard_is_said_once_in_the_log(
    plane: ControlPlaneStandIn, caplog: pytest.LogCaptureFixture, why: str, words: str
) -> None:
    async def follow() -> None:
        if why == "down":
            plane.port = 9
        async with followed(plane, new_key()) as (following, _):
            await eventually(lambda: words in (following.stale or ""), "it is known why")
            await let_pass_here(0.2)

    asyncio.run(follow())
    assert [record.message for record in caplog.records if words in record.message] == [caplog.records[-1].message]


@pytest.mark.parametrize("data", ["", "{", "[]", '"x"', '{"sessionId": 1, "status": "closed"}', "[" * 5000])
def test_an_event_that_cannot_be_read_ends_no_other(plane: ControlPlaneStandIn, data: str) -> None:
    async def follow() -> None:
        async with followed(plane) as (following, ended):
            await heard(following)
            plane.events.append(data)
            plane.tell("sess_1", "closed")
            await eventually(lambda: "sess_1" in ended, "the next one is heard")
            assert following.stale is None

    asyncio.run(follow())


def test_a_new_key_is_fetched_when_it_is_wanted_and_no_more_than_once_a_second(
    plane: ControlPlaneStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_EVERY_S", 0.05)

    async def follow() -> None:
        async with followed(plane) as (following, _):
            await heard(following)
            first = following.keyset
            await let_pass_here(0.1)
            await following.renew()
            assert following.keyset is first
            plane.keyset = Keyset.of([SigningKey.generate("k2").as_public()]).as_json()
            await let_pass_here(0.1)
            fetched = len(plane.asked_for("/v1/keyset"))
            monkeypatch.setattr(module, "RENEW_EVERY_S", 60.0)
            following._fetched_at = -60.0
            await asyncio.gather(*(following.renew() for _ in range(20)))
            assert len(plane.asked_for("/v1/keyset")) == fetched + 1
            assert following.keyset is not None
            assert set(following.keyset.keys) == {"k2"}

    asyncio.run(follow())


@pytest.mark.parametrize("keyset", [{}, {"keys": []}, {"keys": ["x" * 300_000]}])
def test_what_is_no_keyset_replaces_none(plane: ControlPlaneStandIn, keyset: dict[str, object]) -> None:
    async def follow() -> None:
        async with followed(plane) as (following, _):
            await heard(following)
            plane.keyset = keyset
            following._fetched_at = -60.0
            await following.renew()
            assert following.keyset is not None
            assert set(following.keyset.keys) == {"k1"}
            assert "answers with no keyset" in (following.stale or "")

    asyncio.run(follow())


def test_a_keyset_that_nobody_foresaw_is_told_and_replaces_none(
    plane: ControlPlaneStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_content: bytes) -> Keyset:
        raise ZeroDivisionError

    async def follow() -> None:
        async with followed(plane) as (following, _):
            await heard(following)
            monkeypatch.setattr(Keyset, "from_json", fail)
            following._fetched_at = -60.0
            await following.renew()
            assert following.keyset is not None
            assert "answers with a keyset that cannot be read" in (following.stale or "")

    asyncio.run(follow())
    assert "keyset could not be read" in caplog.text


def test_tries_are_further_and_further_apart_and_never_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for jitter, share in ((0.0, 0.5), (1.0, 1.0)):
        following = ControlPlane(
            "http://127.0.0.1:9",
            new_key(),
            EndedSessions(time.monotonic),
            time.monotonic,
            jitter=lambda: jitter,  # noqa: B023
        )
        waits = [following._wait_s(failed) for failed in (1, 2, 3, 100)]
        assert waits == [share * wait for wait in (0.5, 1.0, 2.0, 10.0)]
