"""The limits of one WebSocket, on real sockets of a bare application."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from websockets.frames import Opcode

from reflex.errors import service_error
from reflex.wire import MAX_BODY_BYTES
from reflex_frontend.act.body_budget import BUDGET_BYTES, BodyBudget
from reflex_frontend.streams import bounded_websocket
from reflex_frontend.streams.bounded_websocket import MAX_FRAGMENTS
from reflex_frontend.streams.connection import DRAINING, Connection
from support.misuse.one_connection import Client, connected, echo
from support.misuse.websocket import binary, frame, opening, read_close, read_frame, text
from support.waiting import eventually, let_pass_here

TIMEOUT_S = 0.15
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
Scenario = Callable[[Client], Coroutine[Any, Any, None]]


async def lengths(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers each message of a WebSocket with its kind and length; HTTP is echoed.

    `bye` is answered by closing it, `big` with 64 MiB, and `give N` with so many bytes.
    """
    if scope["type"] == "http":
        await echo(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        kind = "text" if event.get("bytes") is None else "bytes"
        if event[kind][:3] == "bye":
            await send({"type": "websocket.close", "code": 1000})
            return
        answer = bytes(64 << 20) if event[kind] == "big" else f"{kind} {len(event[kind])}".encode()
        if event[kind][:5] == "give ":
            answer = bytes(int(event[kind][5:]))
        await send({"type": "websocket.send", "bytes": answer})


def opened(scenario: Scenario, **options: Any) -> None:
    """The scenario with a WebSocket that is open."""

    async def main(client: Client) -> None:
        client.send(opening())
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        await scenario(client)

    connected(main, app=lengths, streams={b"/stream"}, **options)


def protocol_of(client: Client) -> Any:
    (protocol,) = client.server.connections
    return protocol


async def told(client: Client) -> str:
    return (await read_frame(client.reader)).data.decode()


def test_messages_of_both_kinds_whole_and_in_fragments_are_received() -> None:
    async def scenario(client: Client) -> None:
        client.send(binary(b"abc") + text("de") + binary(bytes(300_000)))
        client.send(frame(Opcode.BINARY, b"1", fin=False) + frame(Opcode.PING, b"p") + frame(Opcode.CONT, b"23"))
        received = [await read_frame(client.reader) for _ in range(5)]
        assert [each.data for each in received if each.opcode == Opcode.PONG] == [b"p"]
        answers = [each.data.decode() for each in received if each.opcode != Opcode.PONG]
        assert answers == ["bytes 3", "text 2", "bytes 300000", "bytes 3"]

    opened(scenario)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
def test_an_answer_of_any_size_is_one_frame(size: int) -> None:
    async def scenario(client: Client) -> None:
        client.send(text(f"give {size}"))
        answer = await read_frame(client.reader)
        assert (answer.opcode, answer.data) == (Opcode.BINARY, bytes(size))
        client.send(binary(b"abc"))
        assert await told(client) == "bytes 3"

    opened(scenario)


@pytest.mark.parametrize("cut", range(1, len(opening()) + 8, 3))
def test_a_websocket_opens_after_requests_and_wherever_the_network_cuts(cut: int) -> None:
    async def scenario(client: Client) -> None:
        client.send(GET)
        assert (await client.answer())[0] == 200
        sent = opening() + binary(b"abc")
        client.send(sent[:cut])
        await let_pass_here(0.001)
        client.send(sent[cut:])
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert await told(client) == "bytes 3"

    connected(scenario, app=lengths, streams={b"/stream"})


def test_a_websocket_that_was_pipelined_behind_a_request_opens_once_that_is_answered() -> None:
    async def scenario(client: Client) -> None:
        client.send(GET + opening() + binary(bytes(100_000)) + binary(b"abc"))
        assert (await client.answer())[0] == 200
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert [await told(client) for _ in range(2)] == ["bytes 100000", "bytes 3"]

    connected(scenario, app=lengths, streams={b"/stream"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (opening("/other"), 200),
        (opening("/streams"), 200),
        (opening().replace(b"GET", b"POST"), 200),
        (opening(upgrade="h2c"), 400),
        (opening(content_length="3") + b"abc", 400),
        (opening(transfer_encoding="chunked") + b"0\r\n\r\n", 400),
        (opening(sec_websocket_version="12"), 400),
        (opening(sec_websocket_key="short"), 400),
    ],
    ids=["path", "longer path", "method", "protocol", "body", "chunked body", "version", "key"],
)
def test_what_offers_no_websocket_here_is_plain_http_or_refused(sent: bytes, status: int) -> None:
    async def scenario(client: Client) -> None:
        client.send(sent)
        if status == 200:
            assert (await client.answer())[0] == 200
            return
        assert (await client.envelope())[0] == status
        await client.closed()

    connected(scenario, app=lengths, streams={b"/stream"})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (struct.pack(">BBQ4x", 0x82, 0xFF, MAX_BODY_BYTES + 1), 1009),
        (struct.pack(">BBQ4x", 0x82, 0xFF, 2**62), 1009),
        (frame(Opcode.BINARY, bytes(1000), fin=False) * 2, 1002),
        (frame(Opcode.CONT, b"a"), 1002),
        (frame(Opcode.BINARY, b"", fin=False) + frame(Opcode.CONT, b"", fin=False) * MAX_FRAGMENTS, 1008),
        (frame(Opcode.BINARY, b"a", mask=False), 1002),
        (b"\xc2" + binary(b"a")[1:], 1002),
        (b"\x83" + binary(b"a")[1:], 1002),
        (frame(Opcode.TEXT, b"\xff\xfe"), 1007),
    ],
    ids=["long", "very long", "unfinished", "no beginning", "fragments", "no mask", "compressed", "opcode", "UTF-8"],
)
def test_what_breaks_the_rules_is_closed_with_a_code_and_a_reason(sent: bytes, code: int) -> None:
    bodies = BodyBudget()

    async def scenario(client: Client) -> None:
        client.send(sent)
        found, _reason = await read_close(client.reader)
        assert found == code
        await client.closed()

    opened(scenario, bodies=bodies)
    assert bodies.free_bytes == BUDGET_BYTES


TOO_LONG = struct.pack(">BBQ4x", 0x82, 0xFF, MAX_BODY_BYTES + 1)


def test_who_sends_too_much_hears_why_also_when_it_sends_all_of_it_first() -> None:
    async def scenario(client: Client) -> None:
        client.send(TOO_LONG + bytes(MAX_BODY_BYTES + 1))
        await client.writer.drain()
        found, _reason = await read_close(client.reader)
        assert found == 1009
        await client.closed()

    opened(scenario)


def test_who_never_ends_is_listened_to_only_for_a_while() -> None:
    async def scenario(client: Client) -> None:
        async def send_for_ever() -> None:
            while True:
                client.send(bytes(1 << 16))
                await client.writer.drain()

        client.send(TOO_LONG)
        with pytest.raises(ConnectionError):
            await send_for_ever()

    opened(scenario, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize(
    "sent",
    [binary(bytes(1000))[:-1], binary(b"abc")[:4], frame(Opcode.BINARY, b"a", fin=False)],
    ids=["all but a byte", "no byte", "a fragment"],
)
def test_a_message_that_is_not_whole_in_time_is_closed_however_it_drips(sent: bytes) -> None:
    async def scenario(client: Client) -> None:
        client.send(sent)
        assert await read_close(client.reader) == (1008, "the message did not arrive whole in time")
        await client.closed()

    opened(scenario, timeout_s=TIMEOUT_S)


def test_who_reads_no_answers_is_cut_off_and_sends_no_pings_into_our_memory() -> None:
    async def scenario(client: Client) -> None:
        protocol = protocol_of(client)
        client.send(text("big"))
        await eventually(lambda: not protocol.writable.is_set(), "the kernel takes no more")
        before = protocol.transport.get_write_buffer_size()
        client.send(frame(Opcode.PING, bytes(125)) * 5_000)
        await eventually(lambda: not client.server.connections, "the server gave the connection up")
        assert protocol.transport.get_write_buffer_size() <= before

    opened(scenario, timeout_s=TIMEOUT_S)


def test_long_messages_count_against_the_memory_of_all_bodies_until_they_are_answered() -> None:
    bodies = BodyBudget(1_000_000)

    async def scenario(client: Client) -> None:
        client.send(binary(bytes(900_000)))
        assert await told(client) == "bytes 900000"
        client.send(binary(b"a"))
        assert await told(client) == "bytes 1"
        assert bodies.free_bytes > 900_000
        client.send(binary(bytes(1_100_000)))
        assert (await read_close(client.reader))[0] == 1013

    opened(scenario, bodies=bodies)
    assert bodies.free_bytes == 1_000_000


def test_a_long_message_that_is_answered_counts_no_more_also_when_nothing_follows() -> None:
    bodies = BodyBudget(1_000_000)

    async def scenario(client: Client) -> None:
        client.send(binary(bytes(900_000)))
        assert await told(client) == "bytes 900000"
        await eventually(lambda: bodies.free_bytes == 1_000_000, "it is given back")
        assert client.server.connections, "and not because the connection is lost"

    opened(scenario, bodies=bodies)
    assert bodies.free_bytes == 1_000_000


def test_a_fragment_counts_until_its_message_is_whole() -> None:
    bodies = BodyBudget(1_000_000)

    async def scenario(client: Client) -> None:
        client.send(frame(Opcode.BINARY, bytes(700_000), fin=False))
        await eventually(lambda: protocol_of(client).frames, "it is there")
        await let_pass_here(0.001)
        assert bodies.free_bytes == 300_000
        client.send(frame(Opcode.CONT, bytes(200_000)))
        assert await told(client) == "bytes 900000"
        await eventually(lambda: bodies.free_bytes == 1_000_000, "it is given back")

    opened(scenario, bodies=bodies)


def test_what_is_sent_after_the_servers_close_counts_no_more_once_it_is_there() -> None:
    bodies = BodyBudget(1_000_000)

    async def scenario(client: Client) -> None:
        client.send(text("bye" * 300_000))
        assert (await read_close(client.reader))[0] == 1000
        await eventually(lambda: bodies.free_bytes == 1_000_000, "what was answered by the close is given back")
        client.send(frame(Opcode.BINARY, bytes(900_000), fin=False) + frame(Opcode.PING, b"there"))
        assert (await read_frame(client.reader)).opcode == Opcode.PONG
        assert bodies.free_bytes == 1_000_000
        client.send(frame(Opcode.CONT, b""))
        for _ in range(3):
            client.send(binary(bytes(900_000)) + frame(Opcode.PING, b"there"))
            assert (await read_frame(client.reader)).opcode == Opcode.PONG
            assert bodies.free_bytes == 1_000_000
        protocol = protocol_of(client)
        client.send(struct.pack(">BBQ4x", 0x82, 0xFF, 3_000_000) + bytes(2_900_000))
        await client.closed()
        assert len(protocol.conn.reader.buffer) < 2_000_000, "more is not read"

    opened(scenario, bodies=bodies)
    assert bodies.free_bytes == 1_000_000


@pytest.mark.slow
def test_thousands_of_messages_at_once_are_answered_and_never_held_at_once() -> None:
    held = []

    async def scenario(client: Client) -> None:
        protocol = protocol_of(client)
        client.send(binary(b"") * 20_000)
        for _ in range(20_000):
            await told(client)
            held.append(protocol.queue.qsize())
        assert 0 < max(held) <= 16 * 1024 / len(binary(b"")) + 1  # one began in the read before

    opened(scenario)


def test_a_peer_that_answers_no_ping_is_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_websocket, "PING_EVERY_S", 0.02)
    monkeypatch.setattr(bounded_websocket, "PONG_WITHIN_S", 0.02)

    async def scenario(client: Client) -> None:
        assert (await read_close(client.reader))[0] == 1011
        await client.closed()

    opened(scenario)


def test_a_server_that_ends_says_so_to_whoever_is_connected() -> None:
    async def scenario(client: Client) -> None:
        client.send(binary(b"abc"))
        await told(client)
        protocol_of(client).shutdown()
        assert await read_close(client.reader) == (1001, DRAINING)
        await client.closed()

    opened(scenario)


def test_a_server_that_ends_says_no_second_thing_to_whoever_is_leaving() -> None:
    async def scenario(client: Client) -> None:
        client.send(binary(b"abc"))
        await told(client)
        protocol = protocol_of(client)
        protocol.data_received(frame(Opcode.CLOSE, struct.pack(">H", 1000)))
        protocol.shutdown()
        assert await read_close(client.reader) == (1000, "")
        await client.closed()

    opened(scenario)


def test_a_refusal_is_no_fault_of_ours_and_leaves_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await Connection(scope, receive, send).refuse(service_error("forbidden", "no"))

    async def scenario(client: Client) -> None:
        client.send(opening())
        assert (await client.envelope())[0] == 403
        await client.closed()

    connected(scenario, app=refuses, streams={b"/stream"})
    assert caplog.text == ""
