"""A connection has one request in being, whatever it sends; what it holds is bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from reflex.serving.pieces import READ_BYTES
from reflex.wire import MAX_HEADERS
from support.misuse.one_connection import ACT, Client, connected
from support.waiting import eventually, let_pass_here

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\r\n\r\nx\r\n0\r\n\r\n"
ANSWER_BYTES = 64 * 1024
MANY = 2_000


class Slow:
    """Counts the requests that are begun; answers when told to, with `answer_bytes`."""

    def __init__(self, answer_bytes: int = 0) -> None:
        self.begun = 0
        self.may_answer = asyncio.Semaphore(0)
        self.answer = b"x" * answer_bytes
        self.header_names: set[bytes] = set()

    def release_all(self) -> None:
        for _ in range(MANY):
            self.may_answer.release()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        while (await receive())["more_body"]:
            pass
        self.header_names |= {name for name, _ in scope["headers"]}
        await self.may_answer.acquire()
        headers = [(b"content-length", str(len(self.answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.answer})


def protocol_of(client: Client) -> Any:
    (protocol,) = client.server.connections
    return protocol


@pytest.mark.slow
def test_of_many_requests_at_once_one_is_in_being_and_16_kib_are_held() -> None:
    slow, seen, held = Slow(), [], []

    async def scenario(client: Client) -> None:
        protocol = protocol_of(client)
        client.send(GET * MANY)
        for told in range(1, 20):
            await eventually(lambda told=told: slow.begun >= told, "the next request is begun")  # type: ignore[misc]
            await let_pass_here(0.005)  # in which another could begin
            seen.append((slow.begun - told, len(client.server.tasks), len(protocol.pipeline)))
            held.append(len(protocol.pieces))
            slow.may_answer.release()
        slow.release_all()
        assert set(seen) == {(0, 1, 0)}
        assert 0 < min(held) <= max(held) <= READ_BYTES
        for _ in range(MANY):
            assert (await client.answer())[0] == 200
        assert slow.begun == MANY

    connected(scenario, app=slow)


@pytest.mark.slow
def test_the_next_request_begins_when_the_answer_before_has_been_taken() -> None:
    slow = Slow(ANSWER_BYTES)
    slow.release_all()

    async def scenario(client: Client) -> None:
        protocol = protocol_of(client)
        client.send(GET * MANY)
        await eventually(lambda: protocol.flow.write_paused, "the kernel takes no more")
        begun = slow.begun
        assert begun < MANY / 2
        assert protocol.transport.get_write_buffer_size() <= ANSWER_BYTES + 1024
        assert len(protocol.pieces) <= READ_BYTES
        await let_pass_here(0.02)
        assert slow.begun == begun
        for _ in range(MANY):
            assert len((await client.answer())[2]) == ANSWER_BYTES

    connected(scenario, app=slow)


@pytest.mark.parametrize("cut", range(1, len(GET + CHUNKED + ACT + GET) + 3, 7))
def test_requests_of_all_kinds_are_answered_in_order_wherever_the_network_cuts(cut: int) -> None:
    sent = GET + CHUNKED + ACT + b"\r\n\r\n" + GET

    async def scenario(client: Client) -> None:
        client.send(sent[:cut])
        await asyncio.sleep(0)
        client.send(sent[cut:])
        assert [(await client.answer())[2] for _ in range(4)] == [b"0", b"5", b"4", b"0"]

    connected(scenario)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (GET[:-2] + b"X: " + b"a" * 70_000 + b"\r\n\r\n", "64 KiB"),
        (GET[:-2] + b"X: " + b"a" * 70_000 + b"\r\n\r\n" + GET * 100, "64 KiB"),
        (GET[:-2] + b"a: b\r\n" * 5_000 + b"\r\n", "headers"),
        (GET[:-2] + b"a: b\r\n" * MAX_HEADERS + b"\r\n", "headers"),
        (CHUNKED[:-2] + b"X: " + b"a" * 90_000 + b"\r\n\r\n", "64 KiB"),
        (CHUNKED.replace(b"5\r\n", b"5;" + b"e" * 90_000 + b"\r\n"), "64 KiB"),
        (b"GET /health\r\n\r\n", "HTTP/1.1"),
        (b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1"),
        (GET.replace(b" /", b" http://evil.example/"), "Host"),
        (GET.replace(b" /", b" http://x@evil.example/"), "Host"),
        (GET.replace(b" /", b" ftp://x/"), "Host"),
        (b"GET http://evil.example/ HTTP/1.0\r\n\r\n", "Host"),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "no proxy"),
    ],
    ids=[
        "one packet", "pipelined", "5,000 headers", "one header too many", "trailers", "chunk extension", "HTTP/0.9",
        "HTTP/2", "another host", "another host behind a name", "another scheme", "no host", "CONNECT",
    ],
)  # fmt: skip
def test_what_is_too_much_or_for_somebody_else_is_400_and_closed(sent: bytes, told: str) -> None:
    connected(lambda client: client.refused(sent, told))


@pytest.mark.parametrize(
    "sent",
    [
        GET[:-2] + b"X: " + b"a" * 65_000 + b"\r\n\r\n",
        GET[:-2] + b"a: b\r\n" * (MAX_HEADERS - 1) + b"\r\n",
        GET.replace(b" /", b" http://X/"),
        GET.replace(b"1.1", b"1.0"),
    ],
    ids=["just below 64 KiB", "as many headers as may be", "its own host", "HTTP/1.0"],
)
def test_what_is_just_within_the_limits_is_answered(sent: bytes) -> None:
    async def scenario(client: Client) -> None:
        client.send(sent)
        assert (await client.answer())[0] == 200

    connected(scenario)


def test_trailers_do_not_become_headers() -> None:
    slow = Slow()
    slow.release_all()

    async def scenario(client: Client) -> None:
        client.send(CHUNKED[:-2] + b"Authorization: Bearer x\r\n\r\n")
        assert (await client.answer())[0] == 200
        assert slow.header_names == {b"host", b"transfer-encoding"}

    connected(scenario, app=slow)
