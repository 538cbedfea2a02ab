"""The control plane's events, read in one thread and ended from another, over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reflex.control.event_feed import EventFeed
from reflex.errors import TransportError, UnauthorizedError
from support.waiting import HANGS_S, wait_until

KEY = "rfx_" + "0" * 36
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
FIRST = b'id: 7\nevent: session\ndata: {"sessionId": "sess_1"}\n\nevent: heartbeat\ndata: {}\n\n: alive\n\n'


@contextmanager
def plane(*answers: bytes, holds: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """Says these answers one after the other; `holds`: and stays on the line."""
    asked: list[bytes] = []
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(5.0)

        def answer() -> None:
            for each in answers:
                line, _ = door.accept()
                with line:
                    asked.append(line.recv(65536))
                    line.sendall(each)
                    if holds:
                        ended.wait(HANGS_S)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}", asked
        finally:
            ended.set()
            thread.join()


def test_events_of_its_kind_are_told_and_the_next_reading_goes_on_where_it_was() -> None:
    with plane(HEAD + FIRST, HEAD) as (url, asked):
        feed = EventFeed(url, KEY, "session")
        assert list(feed.events()) == [{"sessionId": "sess_1"}]
        assert list(feed.events()) == []
        feed.release()
    assert b"GET /v1/events?kind=session " in asked[0]
    assert b"Last-Event-ID" not in asked[0]
    assert b"Authorization: Bearer " + KEY.encode() in asked[0]
    assert b"last-event-id: 7" in asked[1].lower()


def test_whoever_reads_is_let_go_at_once() -> None:
    heard: list[object] = []
    with plane(HEAD + FIRST, holds=True) as (url, _):
        feed = EventFeed(url, KEY, "session")

        def read() -> None:
            try:
                heard.extend(feed.events())
            except TransportError as exc:
                heard.append(exc)

        thread = threading.Thread(target=read)
        thread.start()
        wait_until(lambda: feed.is_open, "the feed is open")
        feed.close()
        thread.join(HANGS_S / 2)
        assert not thread.is_alive()
        assert not feed.is_open
        feed.close()
        feed.release()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", UnauthorizedError),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", UnauthorizedError),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", TransportError),
        (HEAD + b"event: session\ndata: {\n\n", TransportError),
        (HEAD + b"data: " + b"x" * 70_000, TransportError),
        (b"nonsense", TransportError),
    ],
)
def test_what_is_no_feed_is_an_error_of_ours(answer: bytes, error: type[Exception]) -> None:
    with plane(answer) as (url, _), pytest.raises(error):
        list(EventFeed(url, KEY, "session").events())
