"""The limits of one connection, on real sockets of a bare application."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from reflex.errors import service_error
from reflex.serving.turnstile import Turnstile
from reflex_frontend.act.answer import whole_response
from support.misuse.one_connection import ACT, Client, connected
from support.promise import Promise
from support.waiting import eventually, let_pass_here

TIMEOUT_S = 0.15
SLACK_S = 0.5
"""A busy machine's; the promise itself is the deadline plus 2 s."""
FULL = whole_response(service_error("queue_full", "wait", retry_after_s=2.0), close=False)


def test_a_whole_request_is_answered_and_its_connection_kept() -> None:
    async def scenario(client: Client) -> None:
        for _ in range(3):
            client.send(ACT + b"body")
            assert (await client.answer())[::2] == (200, b"4")
        await let_pass_here(TIMEOUT_S + 0.1)  # idle between requests is not the receive time-out's business
        client.send(ACT + b"body")
        assert (await client.answer())[0] == 200

    connected(scenario, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /act HT", ACT[:-2], ACT + b"bod"], ids=["nothing", "line", "head", "body"]
)
def test_a_request_that_is_not_whole_in_time_is_408_and_closed(sent: bytes, promise: Promise) -> None:
    async def scenario(client: Client) -> None:
        client.send(sent)
        started = time.monotonic()
        status, envelope = await client.envelope()
        assert (status, envelope["error"]) == (408, "request_timeout")
        promise("a request that is not whole in time is a 408", time.monotonic() - started, at_most=TIMEOUT_S + SLACK_S)
        await client.closed()

    connected(scenario, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX: ", ACT.replace(b"4", b"9999")], ids=["header", "body"])
def test_dripping_bytes_do_not_put_the_time_out_off(start: bytes, promise: Promise) -> None:
    async def scenario(client: Client) -> None:
        client.send(start)
        ended = asyncio.create_task(client.closed())

        def drips() -> bool:
            client.send(b"x")
            return ended.done()

        await eventually(drips, "the connection is closed")
        promise("dripping bytes do not put the receive time-out off", await ended, at_most=TIMEOUT_S + SLACK_S)

    connected(scenario, timeout_s=TIMEOUT_S)


def test_the_second_request_of_a_connection_has_the_same_time_limit() -> None:
    async def scenario(client: Client) -> None:
        client.send(ACT + b"body")
        await client.answer()
        client.send(ACT + b"bo")
        assert (await client.envelope())[0] == 408
        await client.closed()

    connected(scenario, timeout_s=TIMEOUT_S)


def test_a_response_that_nobody_reads_ends_with_the_connection() -> None:
    async def scenario(client: Client) -> None:
        client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: not client.server.connections, "the server gave the connection up")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(64 << 20)

    connected(scenario, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / SPDY/9\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"]
)
def test_what_is_no_http_gets_the_envelope(sent: bytes) -> None:
    async def scenario(client: Client) -> None:
        client.send(sent)
        status, envelope = await client.envelope()
        assert (status, envelope["error"]) == (400, "invalid_http")
        await client.closed()

    connected(scenario)


def test_endless_headers_are_cut_off() -> None:
    async def scenario(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\nX: " + b"a" * (80 << 10))
        assert (await client.envelope())[1]["error"] == "invalid_http"
        await client.closed()

    connected(scenario)


def test_many_small_requests_on_one_connection_do_not_add_up_to_long_headers() -> None:
    async def scenario(client: Client) -> None:
        head = ACT[:-2] + b"X-Filler: " + b"a" * 9_000 + b"\r\n\r\n"
        for _ in range(10):
            client.send(head + b"body")
            assert (await client.answer())[0] == 200

    connected(scenario)


def test_a_full_instance_refuses_before_the_body_has_come_and_keeps_the_connection() -> None:
    refusals: list[bytes | None] = [FULL, FULL, None]
    counted: list[int] = []

    async def scenario(client: Client) -> None:
        for _ in range(2):
            client.send(ACT)
            status, headers, body = await client.answer()
            assert (status, headers["retry-after"], json.loads(body)["error"]) == (503, "2", "queue_full")
            client.send(b"body")
        client.send(ACT + b"body")
        assert (await client.answer())[::2] == (200, b"4")

    connected(scenario, lambda: refusals.pop(0), counted)
    assert counted == [503, 503]


def test_a_whole_request_that_is_refused_unread_stands_in_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its body is what is left when it is refused: no next request, which would have to wait its turn."""
    waits: list[object] = []
    monkeypatch.setattr(Turnstile, "wait", lambda _self, go_on: waits.append(go_on))

    async def scenario(client: Client) -> None:
        for _ in range(3):
            client.send(ACT + b"body")
            assert (await client.answer())[0] == 503
        await let_pass_here(0.02)

    connected(scenario, lambda: FULL)
    assert not waits


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /act HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /act HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["health", "wrong method", "browser"],
)
def test_a_full_instance_still_hears_everything_else_out(sent: bytes) -> None:
    async def scenario(client: Client) -> None:
        client.send(sent)
        assert (await client.answer())[0] == 200

    connected(scenario, lambda: FULL)


def test_pipelined_requests_are_answered_in_their_order() -> None:
    async def scenario(client: Client) -> None:
        client.send(b"".join(ACT.replace(b"4", str(size).encode()) + b"x" * size for size in (1, 2, 3)))
        assert [(await client.answer())[2] for _ in range(3)] == [b"1", b"2", b"3"]

    connected(scenario)


@pytest.mark.parametrize(
    "sent",
    [
        ACT + b"body",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        ACT.replace(b"Host", b"Origin: http://a\r\nHost") + b"body",
    ],
    ids=["act", "health", "browser"],
)
def test_a_draining_server_answers_says_that_it_closes_and_closes(sent: bytes) -> None:
    draining: list[bool] = []

    async def scenario(client: Client) -> None:
        client.send(sent)
        status, headers, _ = await client.answer()
        assert (status, headers.get("connection")) == (200, None)
        draining.append(True)
        client.send(sent)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        await client.closed()

    connected(scenario, is_draining=lambda: bool(draining))


def test_a_request_in_flight_when_the_drain_begins_is_answered_and_its_connection_closed() -> None:
    draining: list[bool] = []

    async def scenario(client: Client) -> None:
        client.send(ACT + b"bo")
        await eventually(lambda: client.server.tasks, "the request is heard")
        draining.append(True)
        client.send(b"dy")
        status, headers, body = await client.answer()
        assert (status, headers["connection"], body) == (200, "close", b"4")
        await client.closed()

    connected(scenario, is_draining=lambda: bool(draining))


def test_a_draining_server_does_not_close_on_a_body_that_is_still_coming() -> None:
    """The kernel would reset the connection, and the client might never read its answer."""

    async def scenario(client: Client) -> None:
        client.send(ACT.replace(b"/act", b"/act?unread") + b"bo")
        status, headers, _ = await client.answer()
        assert (status, headers.get("connection")) == (401, None)
        client.send(b"dy" + ACT + b"body")
        status, headers, body = await client.answer()
        assert (status, headers["connection"], body) == (200, "close", b"4")

    connected(scenario, is_draining=lambda: True)


def test_a_full_instance_that_drains_hears_requests_out_to_tell_them_to_go_elsewhere() -> None:
    async def scenario(client: Client) -> None:
        client.send(ACT + b"body")
        assert (await client.answer())[0] == 200

    connected(scenario, lambda: FULL, is_draining=lambda: True)
