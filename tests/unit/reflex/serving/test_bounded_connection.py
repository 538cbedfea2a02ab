"""Each request of a connection gets its own answer, in its turn, and all of its body, whatever comes with it."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import pytest
from starlette.types import Receive, Scope, Send

from reflex.serving.bounded_connection import BoundedConnection
from reflex_control.http.timed_protocol import TimedProtocol
from reflex_frontend.http.protocol import BoundedProtocol
from support.misuse.one_connection import Client, connected
from support.waiting import eventually

SERVERS: Final[tuple[type[BoundedConnection], ...]] = (BoundedProtocol, TimedProtocol)
TIMEOUT_S = 0.15
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
BODY = b"of\r\nupgrade: h2c\r\n\r\nupgrade: h2c\r\nUPGRADE:\r\n"
BROKEN: Final = {
    "no HTTP": (b"\0garbage\r\n\r\n", "begins with a method"),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "more than one Content-Length"),
    "too many headers": (POST + b"a: b\r\n" * 300 + b"\r\n", "more than 256 headers"),
    "a header without end": (POST + b"X: " + b"a" * 70_000, "64 KiB"),
    "a path without end": (b"GET /" + b"a" * 70_000, "64 KiB"),
    "empty lines": (b"\r\n" * 35_000, "64 KiB"),
    "a chunk's size": (CHUNKED + b"zz\r\n", "chunk's size"),
    "trailers without end": (CHUNKED + b"0\r\nX: " + b"a" * 70_000, "64 KiB"),
    "words of a chunk without end": (CHUNKED + b"5;" + b"a" * 70_000, "64 KiB"),
    "HTTP/0.9": (b"GET /\r\n\r\n", "as HTTP/1.1"),
    "HTTP/1.2": (GET.replace(b"1.1", b"1.2"), "as HTTP/1.1"),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", "no proxy"),
    "no slash": (GET.replace(b" / ", b" health "), "path"),
    "a space before the colon": (POST + b"X : y\r\n\r\n", "`Name: value`"),
}


@pytest.fixture(params=SERVERS, ids=lambda server: server.__name__)
def server(request: pytest.FixtureRequest) -> type[BoundedConnection]:
    return cast("type[BoundedConnection]", request.param)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path and the body; of /early before the body has come; /half begins and never ends."""
    body, more = b"", scope["path"] != "/early"
    while more:
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"<half", "more_body": True})
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    told = scope["path"].encode() + b" " + body
    headers = [(b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


def connection_of(client: Client) -> Any:
    (connection,) = client.server.connections
    return connection


def with_length(body: bytes, more: bytes = b"") -> bytes:
    return POST + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(body: bytes, more: bytes = b"", trailers: bytes = b"") -> bytes:
    return POST + more + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailers)


@pytest.mark.parametrize("offer", [b"", OFFER, OFFER.replace(b"pgrade", b"PGRADE")], ids=["none", "h2c", "capitals"])
def test_a_body_that_looks_like_an_offer_arrives_unchanged_also_of_requests_in_one_piece(
    server: type[BoundedConnection], offer: bytes
) -> None:
    async def scenario(client: Client) -> None:
        client.send(with_length(BODY, offer) + in_chunks(BODY, offer) + GET + with_length(BODY, offer))
        assert [(await client.answer())[2] for _ in range(4)] == [b"/ " + body for body in (BODY, BODY, b"", BODY)]

    connected(scenario, app=echo, connection=server)


@pytest.mark.slow
@pytest.mark.parametrize("cut", range(1, len(with_length(BODY, OFFER)), 3))
def test_an_offer_takes_no_body_away_wherever_the_network_cuts_it(server: type[BoundedConnection], cut: int) -> None:
    sent = with_length(BODY, OFFER)

    async def scenario(client: Client) -> None:
        protocol = connection_of(client)
        protocol.data_received(sent[:cut])
        protocol.data_received(sent[cut:])
        client.send(GET)
        assert [(await client.answer())[2] for _ in range(2)] == [b"/ " + BODY, b"/ "]

    connected(scenario, app=echo, connection=server)


def test_trailers_offer_nothing(server: type[BoundedConnection]) -> None:
    async def scenario(client: Client) -> None:
        client.send(in_chunks(b"body", trailers=OFFER) + GET)
        assert [(await client.answer())[2] for _ in range(2)] == [b"/ body", b"/ "]

    connected(scenario, app=echo, connection=server)


@pytest.mark.parametrize(("broken", "told"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_refused_in_its_turn_and_nothing_after_it_is_heard(
    server: type[BoundedConnection], broken: bytes, told: str
) -> None:
    async def scenario(client: Client) -> None:
        client.send(with_length(b"body") + GET + broken + GET)
        assert [(await client.answer())[2] for _ in range(2)] == [b"/ body", b"/ "]
        status, envelope = await client.envelope()
        assert (status, envelope["error"]) == (400, "invalid_http")
        assert told in envelope["message"]
        assert await client.rest() == b""

    connected(scenario, app=echo, connection=server)


@pytest.mark.parametrize("rest", [b"zz\r\n", b""], ids=["broken", "never"])
def test_a_request_that_has_its_answer_gets_no_second_one(server: type[BoundedConnection], rest: bytes) -> None:
    async def scenario(client: Client) -> None:
        client.send(CHUNKED.replace(b" / ", b" /early "))
        assert (await client.answer())[2] == b"/early "
        client.send(rest)
        assert await client.rest() == b""

    connected(scenario, app=echo, connection=server, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("rest", [b"zz\r\n", b""], ids=["broken", "never"])
def test_an_answer_that_has_begun_is_cut_and_not_broken_into(server: type[BoundedConnection], rest: bytes) -> None:
    async def scenario(client: Client) -> None:
        client.send(CHUNKED.replace(b" / ", b" /half "))
        began = await client.reader.readuntil(b"<half")
        client.send(rest)
        assert began.count(b"HTTP/1.1") == 1
        assert b"HTTP/1.1" not in await client.rest()

    connected(scenario, app=echo, connection=server, timeout_s=TIMEOUT_S)


def test_of_a_whole_url_the_path_is_asked_for(server: type[BoundedConnection]) -> None:
    async def scenario(client: Client) -> None:
        client.send(GET.replace(b" / ", b" http://x ") + GET.replace(b" / ", b" http://X/a/b?c "))
        assert [(await client.answer())[2] for _ in range(2)] == [b"/ ", b"/a/b "]

    connected(scenario, app=echo, connection=server)


def test_a_whole_request_is_answered_to_who_has_closed_its_sending_half(server: type[BoundedConnection]) -> None:
    may_answer = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await may_answer.wait()
        await echo(scope, receive, send)

    async def scenario(client: Client) -> None:
        protocol = connection_of(client)
        client.send(with_length(b"body"))
        await eventually(lambda: client.server.tasks, "the request is heard")
        client.writer.write_eof()
        try:
            await eventually(lambda: protocol.transport.is_closing() or not protocol.cycle.keep_alive, "it is seen")
        finally:
            may_answer.set()
        assert (await client.answer())[2] == b"/ body"
        assert await client.rest() == b""

    connected(scenario, app=slow, connection=server)
