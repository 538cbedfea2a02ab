"""A client that has said all and closes its sending half still reads: what it asked whole is answered, then it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from reflex.errors import service_error
from reflex_frontend.act.answer import whole_response
from support.misuse.one_connection import ACT, Client, connected
from support.waiting import eventually

TIMEOUT_S = 0.15
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
FULL = whole_response(service_error("queue_full", "wait", retry_after_s=2.0), close=False)


def say_all(client: Client, data: bytes) -> None:
    client.send(data)
    client.writer.write_eof()


class Slow:
    """Answers when it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("sent", [ACT + b"body", CHUNKED, GET], ids=["act", "chunked", "get"])
def test_a_whole_request_is_answered_and_the_connection_closed(sent: bytes) -> None:
    slow = Slow()

    async def scenario(client: Client) -> None:
        protocol: Any = next(iter(client.server.connections))
        client.send(sent)
        await eventually(lambda: client.server.tasks, "the request is heard")
        client.writer.write_eof()
        try:
            await eventually(lambda: protocol.transport.is_closing() or not protocol.cycle.keep_alive, "it is seen")
        finally:
            slow.may_answer.set()
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.reader.read() == b""

    connected(scenario, app=slow)


def test_one_whose_end_is_seen_before_its_answer_begins_is_answered_too() -> None:
    async def scenario(client: Client) -> None:
        client.send(ACT + b"bo")
        await eventually(lambda: client.server.tasks, "the request is heard")
        say_all(client, b"dy")
        assert (await client.answer())[::2] == (200, b"4")
        await client.closed()

    connected(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [GET * 3, (ACT + b"body") * 40, GET * 2_000], ids=["three", "40 acts", "2,000"])
def test_all_pipelined_requests_are_answered_before_it_closes(sent: bytes) -> None:
    async def scenario(client: Client) -> None:
        say_all(client, sent)
        for _ in range(sent.count(b"HTTP/1.1")):
            assert (await client.answer())[0] == 200
        assert await client.reader.read() == b""

    connected(scenario)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /act HT", ACT[:-2], ACT + b"bod"], ids=["nothing", "line", "head", "body"]
)
def test_what_can_never_be_whole_is_closed_at_once(sent: bytes) -> None:
    async def scenario(client: Client) -> None:
        say_all(client, sent)
        assert await client.reader.read() == b""

    connected(scenario)


def test_a_connection_between_two_requests_is_closed() -> None:
    async def scenario(client: Client) -> None:
        client.send(ACT + b"body")
        assert (await client.answer())[0] == 200
        say_all(client, b"")
        assert await client.reader.read() == b""

    connected(scenario)


def test_a_refusal_of_a_full_instance_is_still_read() -> None:
    async def scenario(client: Client) -> None:
        say_all(client, ACT + b"body")
        assert (await client.answer())[0] == 503
        await client.closed()

    connected(scenario, lambda: FULL)


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async def scenario(client: Client) -> None:
        say_all(client, GET.replace(b" / ", b" /big "))
        await eventually(lambda: not client.server.connections, "the server gave the connection up")

    connected(scenario, timeout_s=TIMEOUT_S)


def test_who_has_left_altogether_leaves_no_connection_behind() -> None:
    slow = Slow()

    async def scenario(client: Client) -> None:
        client.send(ACT + b"body")
        await eventually(lambda: client.server.tasks, "the request is heard")
        client.writer.close()
        slow.may_answer.set()
        await eventually(lambda: not client.server.connections, "the server's side is closed")

    connected(scenario, app=slow)
