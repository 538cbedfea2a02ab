"""Who may go on with a stream, who looks on, and what a stream may hold; on virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from reflex.api_keys import KeyEntry, digest_of, new_key
from reflex.errors import ServiceError, UnauthorizedError
from reflex.signed.signing import Keyset, SigningKey
from reflex.wire import ObserversHealth
from reflex_frontend.act.act import ActService
from reflex_frontend.callers.ended import EndedSessions
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.callers.sessions import Sessions
from reflex_frontend.exchange.exchange import Exchange
from support.fakes import FakeTriton
from support.outside.control_stand_in import credential
from unit.reflex_frontend.streams.stream_scene import Client, slow, streamed

KEY = SigningKey.generate("k1")


def ring(path: Path, key: str, now: Callable[[], float]) -> KeyRing:
    path.write_text(KeyEntry("robot", digest_of(key.encode())).as_line())
    return KeyRing.read(path, now)


def test_a_key_that_is_taken_back_ends_the_stream_within_a_second(tmp_path: Path) -> None:
    key = new_key()
    path = tmp_path / "keys"
    path.write_text(KeyEntry("robot", digest_of(key.encode())).as_line())
    rings: list[KeyRing] = []

    def with_keys(service: ActService) -> ActService:
        rings.append(KeyRing.read(path, service.now))
        return dataclasses.replace(service, keys=rings[0])

    async def scenario(client: Client) -> None:
        client.send(1)
        assert (await client.frame(1))["type"] == "chunk"
        path.write_text("# nobody\n")
        rings[0].look()
        gone_at = client.now()
        await client.ended()
        assert client.now() - gone_at <= 1.0
        assert client.closed is not None
        assert (client.closed[0], client.closed[1].split(":")[0]) == (1008, "unauthorized")

    streamed(scenario, change=with_keys, headers=[(b"x-reflex-key", key.encode())])


def test_every_observation_is_asked_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_given: Any) -> None:
        raise UnauthorizedError("session_expired", "the session is closed")

    async def scenario(client: Client) -> None:
        await client.frame(0)
        monkeypatch.setattr(ActService, "check_caller", refuse)
        client.send(1)
        await client.ended()
        assert client.frames[1]["error"] == "session_expired"
        assert client.closed == (1008, "session_expired: the session is closed")

    streamed(scenario)


class Recording:
    """Looks on."""

    def __init__(self) -> None:
        self.seen: list[Exchange] = []

    def note(self, exchange: Exchange, _error: ServiceError | None) -> None:
        exchange.record_seq = len(self.seen)
        self.seen.append(exchange)

    def health(self) -> ObserversHealth:
        return {}

    def gauges(self) -> Mapping[str, float]:
        return {}


def test_what_looks_on_sees_observations_as_it_sees_requests() -> None:
    recording = Recording()

    async def scenario(client: Client) -> None:
        client.send(1)
        assert (await client.frame(1))["record_seq"] == 0
        client.send(2, state=[0.0])
        await client.frame(2)
        assert [exchange.outcome is not None for exchange in recording.seen] == [True, False]

    streamed(scenario, change=lambda service: dataclasses.replace(service, observers=(recording,)))


class Keys:
    """What a control plane published."""

    keyset = Keyset.of([KEY.as_public()])
    stale = None
    organisation_id = None
    is_catching_up = False

    async def renew(self) -> None:
        pass


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """In place of a thread, which virtual time would overtake."""
    return function(*arguments)


def test_a_closed_session_ends_its_stream_within_a_second_and_a_renewed_credential_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    ended: list[EndedSessions] = []
    wall_ms = int(time.time() * 1000)

    def with_sessions(service: ActService) -> ActService:
        began = service.now()
        ended.append(EndedSessions(service.now))
        sessions = Sessions(Keys(), ended[0], lambda: wall_ms + int((service.now() - began) * 1000))
        return dataclasses.replace(service, sessions=sessions)

    async def scenario(client: Client) -> None:
        client.send(1)
        assert (await client.frame(1))["mode"] == "dry_run"
        await asyncio.sleep(100)
        renewed = credential(KEY, issued_at_ms=wall_ms + 100_000)
        client.send_raw(msgpack.packb({"type": "hello", "api_key": renewed}))
        assert (await client.frame(2))["type"] == "ready"
        await asyncio.sleep(60)
        client.send(2)
        assert (await client.frame(3))["type"] == "chunk", "the first credential lived for 120 s"
        ended[0].note("sess_1")
        closed_at = client.now()
        await client.ended()
        assert client.now() - closed_at <= 1.0
        assert client.closed is not None
        assert client.closed[1].startswith("session_expired")

    presented = credential(KEY, issued_at_ms=wall_ms)
    streamed(scenario, change=with_sessions, headers=[(b"authorization", f"Bearer {presented}".encode())])


@pytest.mark.parametrize("key", ["rfx_of_nobody", 7, "x" * 9000, "\u00e9"])
def test_a_hello_with_a_wrong_key_never_opens_anything(key: Any, tmp_path: Path) -> None:
    right = new_key()

    async def scenario(client: Client) -> None:
        client.send_raw(msgpack.packb({"type": "hello", "api_key": key}))
        refused = await client.frame(1)
        assert refused["error"] in ("unauthorized", "wrong_type")
        if refused["error"] == "unauthorized":
            await client.ended()
            assert client.closed is not None
            assert client.closed[0] == 1008

    def with_keys(service: ActService) -> ActService:
        return dataclasses.replace(service, keys=ring(tmp_path / "keys", right, service.now))

    streamed(scenario, change=with_keys, headers=[(b"x-reflex-key", right.encode())])


def test_what_a_stream_holds_counts_among_the_bodies_of_all_and_is_given_back() -> None:
    async def scenario(client: Client) -> None:
        budget = client.service.bodies
        budget.free_bytes = 5_000
        client.send(1, padding=b"x" * 2_000)
        client.send(2, padding=b"x" * 2_000)
        client.send(3, padding=b"x" * 4_000)
        refused = await client.frame(1)
        assert (refused["seq"], refused["error"], refused["status"]) == (3, "queue_full", 503)
        await client.frame(3)
        assert [frame["seq"] for frame in client.answers("chunk")] == [1, 2]
        assert budget.free_bytes == 5_000
        client.send(4, padding=b"x" * 2_000)
        await asyncio.sleep(0.01)
        assert budget.free_bytes < 3_000
        client.leave()
        await client.ended()
        assert budget.free_bytes == 5_000

    streamed(scenario, FakeTriton(slow(0.1)))
