"""Who may open a WebSocket: told over ASGI, without sockets."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from reflex.errors import ServiceError, service_error
from reflex.serving.hosts import allowed_hosts
from reflex_frontend.streams import door
from reflex_frontend.streams.connection import Connection, close_code
from reflex_frontend.streams.door import Stream, StreamDoor, check_origin
from support.fakes import FakeTriton, act_service

HOST = (b"host", b"127.0.0.1:8000")


async def echo(connection: Connection) -> None:
    while True:
        await connection.send(await connection.receive())


async def breaks(connection: Connection) -> None:
    raise ZeroDivisionError


async def ends(connection: Connection) -> None:
    await connection.close(1000, "é" * 100)


class Opened:
    """What an application said to one request for a WebSocket, and to the messages that followed."""

    def __init__(self, stream: Stream = echo) -> None:
        self.service = act_service(FakeTriton(), time.monotonic)
        self.door = StreamDoor(self.service, {"/stream": stream}, allowed_hosts("127.0.0.1", None), ("*",))
        self.sent: list[dict[str, Any]] = []

    def ask(self, *messages: bytes | str, path: str = "/stream", subprotocols: list[str] | None = None,
            headers: tuple[tuple[bytes, bytes], ...] = (HOST,)) -> list[dict[str, Any]]:  # fmt: skip
        events: list[dict[str, Any]] = [{"type": "websocket.connect"}]
        kinds = {bytes: "bytes", str: "text"}
        events += [{"type": "websocket.receive", kinds[type(message)]: message} for message in messages]
        events.append({"type": "websocket.disconnect", "code": 1005})
        scope = {"type": "websocket", "path": path, "headers": list(headers), "subprotocols": subprotocols or []}

        async def receive() -> Any:
            return events.pop(0)

        async def send(event: Any) -> None:
            self.sent.append(event)

        asyncio.run(self.door(scope, receive, send))
        return self.sent

    @property
    def refusal(self) -> tuple[int, str]:
        start, body = self.sent
        assert dict(start["headers"])[b"content-type"] == b"application/json"
        return start["status"], json.loads(body["body"])["error"]


def test_messages_go_both_ways_in_their_own_kind() -> None:
    sent = Opened().ask(b"abc", "de")
    assert [event["type"] for event in sent] == ["websocket.accept", "websocket.send", "websocket.send"]
    assert (sent[1]["bytes"], sent[2]["text"]) == (b"abc", "de")


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"path": "/act"}, (404, "not_found")),
        ({"headers": ((b"host", b"evil.example"),)}, (400, "invalid_http")),
        ({"headers": (HOST, (b"origin", b"http://evil.example"))}, (403, "forbidden")),
        ({"subprotocols": ["mqtt"]}, (400, "invalid_http")),
    ],
)
def test_who_may_not_is_told_why_before_anything_is_opened(asked: dict[str, Any], refusal: tuple[int, str]) -> None:
    opened = Opened()
    opened.ask(b"abc", **asked)
    assert opened.refusal == refusal
    assert opened.door.open == 0


def test_a_server_that_stops_opens_none() -> None:
    opened = Opened()
    opened.service.instance.is_draining = True
    opened.ask()
    assert opened.refusal == (503, "draining")


def test_a_server_has_only_so_many_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MOST_OPEN", 0)
    opened = Opened()
    opened.ask()
    assert opened.refusal == (503, "queue_full")


def test_a_fault_of_ours_ends_the_stream_with_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    opened = Opened(breaks)
    close = opened.ask()[-1]
    assert (close["type"], close["code"]) == ("websocket.close", 1011)
    assert "logged" in close["reason"]
    assert "stream failed" in caplog.text
    assert opened.door.open == 0


def test_a_reason_is_cut_to_what_a_close_may_carry() -> None:
    reason = Opened(ends).ask()[-1]["reason"]
    assert reason == "é" * 61


@pytest.mark.parametrize(
    ("origin", "origins", "may"),
    [
        (None, ("*",), True),
        ("http://127.0.0.1:8000", ("*",), True),
        ("http://localhost:3000", ("*",), True),
        ("http://app.localhost", ("*",), True),
        ("http://127.0.0.1:8000", ("http://other",), True),
        ("https://robots.example", ("https://robots.example",), True),
        ("http://localhost:3000", ("https://robots.example",), False),
        ("https://robots.example", ("*",), False),
        ("https://robots.example:444", ("https://robots.example",), False),
        ("null", ("*",), False),
        ("", ("*",), False),
        ("http://[", ("*",), False),
        ("http://localhost.evil.example", ("*",), False),
    ],
)
def test_a_page_may_open_one_when_it_is_named_or_near(origin: str | None, origins: tuple[str, ...], may: bool) -> None:
    headers = [HOST] if origin is None else [HOST, (b"origin", origin.encode())]
    if may:
        check_origin(headers, origins)
        return
    with pytest.raises(ServiceError) as caught:
        check_origin(headers, origins)
    assert caught.value.code == "forbidden"


def test_two_origins_are_none() -> None:
    near = (b"origin", b"http://localhost")
    with pytest.raises(ServiceError):
        check_origin([HOST, near, near], ("*",))


@pytest.mark.parametrize(
    ("code", "closed"),
    [("unauthorized", 1008), ("rate_limited", 1008), ("draining", 1001), ("queue_full", 1013), ("internal", 1011)],
)
def test_an_error_that_ends_a_stream_has_a_close_code(code: str, closed: int) -> None:
    assert close_code(service_error(code, "no")) == closed
