"""Asking a server that a user named: one address, no redirect, nothing packed, bounded in time and size."""

from __future__ import annotations

import contextlib
import functools
import gzip
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from reflex.errors import SetupError, TransportError
from reflex.outbound import Answered, Asker, asking
from support.outside.talking import Talking, talking
from support.promise import Promise
from support.waiting import HANGS_S, let_pass, wait_until

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\n"
DEADLINE_S = 0.3

Talk = Callable[[socket.socket], None]


def saying(*parts: bytes) -> Talk:
    """Answers with these bytes, then nothing more, and hangs up at the end."""

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            for part in parts:
                connection.sendall(part)

    return talk


def dripping(first: bytes, drop: bytes) -> Talk:
    """Goes on for ever, a little at a time."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(first)
        for _ in itertools.count():
            connection.sendall(drop)
            let_pass(0.005)

    return talk


def get(server: Talking, path: str = "/health", **how: float) -> Answered:
    with Asker(server.url, deadline_s=how.get("deadline_s", HANGS_S)) as asker:
        return asker.get(path)


def test_an_answer_comes_whole_with_its_status_and_two_share_a_connection() -> None:
    with talking(saying(OK)) as server, Asker(f"{server.url}/", deadline_s=HANGS_S) as asker:
        first, second = asker.get("/health"), asker.get("/config", {"authorization": "Bearer x"})
        heads = server.heads

    assert (first.status, first.body, second.body) == (200, b"{}", b"{}")
    assert first.asked_at_s <= first.answered_at_s <= second.asked_at_s
    assert len(server.connections) == 1
    assert heads[0].startswith(b"GET /health HTTP/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in heads[0].lower()
    assert b"authorization: Bearer x" in heads[1]


def test_a_name_is_resolved_once_and_its_own_name_is_sent() -> None:
    asked = []

    def rebinding(host: str, port: int, _ends_s: float) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["127.9.9.9"]

    def closing(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")

    with talking(closing) as server:
        url = f"http://gpu-box.example:{server.port}"
        with Asker(url, deadline_s=HANGS_S, resolver=rebinding) as asker:
            assert [asker.get("/health").status for _ in range(3)] == [200, 200, 200]

    assert asked == [("gpu-box.example", server.port)]
    assert len(server.connections) == 3
    assert all(f"host: gpu-box.example:{server.port}".encode() in head.lower() for head in server.heads)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://a", ("a", 80)),
        ("https://a/act", ("a", 443)),
        ("http://[::1]", ("::1", 80)),
        ("http://A:8000/", ("a", 8000)),
    ],
)
def test_a_url_without_a_port_has_that_of_its_scheme_and_two_seconds(url: str, place: tuple[str, int]) -> None:
    asked: list[tuple[str, int]] = []
    left_s: list[float] = []

    def resolver(host: str, port: int, ends_s: float) -> list[str]:
        asked.append((host, port))
        left_s.append(ends_s - time.monotonic())
        return ["127.0.0.1"]

    began_s = time.monotonic()
    with Asker(url, resolver=resolver) as asker:
        assert began_s + 2.0 <= asker.ends_s <= time.monotonic() + 2.0
    assert asked == [place]
    assert left_s[0] <= 2.0


def test_the_next_address_is_tried_where_the_first_does_not_listen() -> None:
    with talking(saying(OK)) as server:
        url = f"http://localhost:{server.port}"
        with Asker(url, deadline_s=HANGS_S, resolver=lambda *_: ["127.0.0.9", "127.0.0.1"]) as asker:
            assert asker.get("/health").status == 200


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with talking(saying(OK)) as server:
        assert get(server).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    elsewhere = b"location: http://169.254.169.254/latest/meta-data/\r\ncontent-length: 0\r\n\r\n"
    with talking(saying(b"HTTP/1.1 %d Found\r\n" % status + elsewhere)) as server:
        assert get(server).status == status
        assert len(server.connections) == 1


def test_an_answer_of_64_kib_is_not_too_long() -> None:
    with talking(saying(HEAD + b"content-length: 65536\r\n\r\n" + b"a" * 65536)) as server:
        assert len(get(server).body) == 65536


@functools.cache
def bomb() -> bytes:
    """50 MB of one digit; not made before a test wants it."""
    return gzip.compress(b"0" * 50_000_000)


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (saying(HEAD + b"content-length: 65537\r\n\r\n" + b"a" * 65537), "longer than 64 KiB"),
        (saying(HEAD + b"transfer-encoding: chunked\r\n\r\n", *[b"4000\r\n" + b"a" * 0x4000 + b"\r\n"] * 5), "longer"),
        (saying(HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb()) + bomb()), "packed"),
        (saying(HEAD + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}"), "packed"),
        (saying(HEAD + b"a: " + b"b" * 200_000), "HTTP/1.1"),
        (saying(b"\x16\x03\x01 no http\r\n\r\n"), "HTTP/1.1"),
        (saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", b""), "in time"),
    ],
    ids=["too long", "too long in pieces", "gzip bomb", "brotli", "head without end", "no http", "half a body"],
)
def test_what_is_no_short_plain_answer_is_told_and_not_kept(talk: Talk, words: str) -> None:
    with talking(talk) as server, pytest.raises(TransportError, match=words):
        get(server, deadline_s=0.5 if words == "in time" else HANGS_S)


def test_an_answer_that_is_not_kept_ends_its_connection_at_once() -> None:
    has_ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n")
        with contextlib.suppress(OSError):
            connection.recv(1)
        has_ended.set()

    with talking(talk) as server, Asker(server.url, deadline_s=HANGS_S) as asker:
        with pytest.raises(TransportError, match="packed"):
            asker.get("/health")
        assert has_ended.wait(HANGS_S)


@pytest.mark.parametrize(("left_s", "asked"), [(0.5, 1), (1.0, 1), (0.0, 0), (-0.5, 0)])
def test_nobody_is_asked_once_the_time_for_all_answers_has_passed(
    monkeypatch: pytest.MonkeyPatch, left_s: float, asked: int
) -> None:
    with talking(saying(OK)) as server, Asker(server.url, deadline_s=HANGS_S) as asker:
        monkeypatch.setattr(asking, "time", SimpleNamespace(monotonic=lambda: asker.ends_s - left_s))
        with contextlib.suppress(TransportError) if asked else pytest.raises(TransportError, match="in time"):
            asker.get("/health")
        wait_until(lambda: len(server.connections) == asked, "it is asked")


@pytest.mark.slow
@pytest.mark.parametrize(
    "talk",
    [
        dripping(b"", b""), dripping(HEAD, b"a: b\r\n"), dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(HEAD + b"content-length: 60000\r\n\r\n", b"a"),
        dripping(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
    ids=["silence", "headers without end", "100 Continue without end", "a body by drops", "chunks by drops"],
)  # fmt: skip
def test_whatever_a_server_does_the_deadline_is_that_of_all_its_answers(talk: Talk, promise: Promise) -> None:
    with talking(talk) as server:
        began_s = time.monotonic()
        with pytest.raises(TransportError, match=r"in time|HTTP/1\.1"):
            get(server, deadline_s=DEADLINE_S)
        promise("an address of a user's holds nothing beyond its deadline", time.monotonic() - began_s - DEADLINE_S,
                at_most=0.2)  # fmt: skip


def test_nobody_there_is_told_with_the_address() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Asker(url, deadline_s=HANGS_S) as asker, pytest.raises(TransportError, match=f"{url} cannot be connected to"):
        asker.get("/health")


@pytest.mark.parametrize(
    "url",
    ["ftp://a", "file:///etc/passwd", "gopher://a", "a", "", "http://", "http:///health", "http://u:p@a", "http://u@a",
     "http://@a", "http://a?b", "http://a#b", "http://a:99999", "http://a:x", "http://[::1", "http://[fe80::1%25lo]",
     "http://a\\@169.254.169.254", "http://\u0131", "//a", "http:a",
     "http://a/\r\nx", "http://a\tb", "http://a b", " http://a", "http://a\x00"],
)  # fmt: skip
def test_a_url_that_is_none_of_a_server_is_refused(url: str) -> None:
    def never(*_args: object) -> Iterator[str]:
        raise AssertionError("it was resolved")

    with pytest.raises(SetupError):
        Asker(url, resolver=never)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["http://169.254.169.254", "https://[fe80::1]", "http://2852039166/act", "http://0/"])
def test_a_refused_address_is_never_connected_to(url: str) -> None:
    with pytest.raises(SetupError, match="is not asked"):
        Asker(url, deadline_s=HANGS_S)


def test_a_server_without_tls_that_is_trusted_is_told_as_that() -> None:
    with talking(lambda connection: connection.sendall(b"HTTP/1.1 400 no TLS here\r\n\r\n")) as server:
        url = server.url.replace("http://", "https://")
        with (
            Asker(url, deadline_s=HANGS_S) as asker,
            pytest.raises(TransportError, match="no TLS that is trusted here"),
        ):
            asker.get("/health")
