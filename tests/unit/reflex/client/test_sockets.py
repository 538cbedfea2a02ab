"""The promises that only a real connection can break: total deadlines, and late answers that nobody reads."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reflex.client import AsyncReflexClient, ReflexClient, chunk
from reflex.errors import ClientTimeoutError, TransportError
from reflex.wire import MAX_ANSWER_BYTES
from support.promise import Promise
from support.waiting import HANGS_S, let_pass

STATE = [0.0] * 6
LONG_ENOUGH_TO_ASK_S = 2.0
"""On a machine that stands still for half a second."""
Talk = Callable[[socket.socket, int], None]


class Server:
    """Accepts connections and lets `talk(connection, number)` serve each in a thread; remembers what it read."""

    def __init__(self, talk: Talk) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._talk = talk
        self.connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, len(self.connections)), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            self._talk(connection, number)
        except OSError:
            connection.close()  # the client hung up, which many of these tests want

    def close(self) -> None:
        """Nobody waits at a socket any more when it is closed: its number may be that of another test's at once."""
        for waited_at in (self._listener, *self.connections):
            with contextlib.suppress(OSError):
                waited_at.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(HANGS_S)
        for finished in (self._listener, *self.connections):
            finished.close()


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[Server]:
    server = Server(talk)
    try:
        yield server
    finally:
        server.close()


def read_request(connection: socket.socket) -> dict[str, Any]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or hung_up()
    head, body = received.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536) or hung_up()
    request: dict[str, Any] = json.loads(body)
    return request


def hung_up() -> bytes:
    raise ConnectionError("the client closed the connection")


def response(value: float) -> bytes:
    body = json.dumps(chunk([[value] * 7])).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def is_closed_by_peer(connection: socket.socket) -> bool:
    connection.settimeout(HANGS_S)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_calls_share_one_connection(connect: Any) -> None:
    def talk(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            connection.sendall(response(number))

    with serving(talk) as server:
        client = connect(server.url)
        answers = [client.act(state=STATE)["actions"][0][0] for _ in range(3)]
    assert answers == [1.0, 1.0, 1.0]
    assert len(server.connections) == 1


def test_a_late_answer_is_never_read_by_the_next_call(connect: Any) -> None:
    released = threading.Event()
    hung_up = threading.Event()

    def talk(connection: socket.socket, number: int) -> None:
        read_request(connection)
        if number == 1:
            released.wait(HANGS_S)
            if is_closed_by_peer(connection):
                hung_up.set()
        connection.sendall(response(number))

    with serving(talk) as server:
        client = connect(server.url, deadline_s=LONG_ENOUGH_TO_ASK_S)
        with pytest.raises(ClientTimeoutError):
            client.act(state=STATE)
        released.set()
        assert hung_up.wait(HANGS_S)
        assert client.act(state=STATE, deadline_s=HANGS_S)["actions"][0][0] == 2.0
        assert len(server.connections) == 2


@pytest.mark.slow
@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_bytes_cannot_stretch_the_deadline(connect: Any, promise: Promise, part: str) -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        read_request(connection)
        whole = response(1.0)
        at_once = 5 if part == "headers" else whole.index(b"\r\n\r\n") + 5
        connection.sendall(whole[:at_once])
        for byte in whole[at_once:]:
            let_pass(0.05)
            connection.sendall(bytes([byte]))

    with serving(talk) as server:
        began = time.monotonic()
        with pytest.raises(ClientTimeoutError):
            connect(server.url, deadline_s=0.3).act(state=STATE)
        took_s = time.monotonic() - began
        assert took_s > 0.29
        promise("a server that drips cannot stretch the client's deadline of 0.3 s", took_s, at_most=2)
        assert is_closed_by_peer(server.connections[0])


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_answer_without_end_is_dropped_after_8_mib_and_not_asked_for_again(connect: Any, framing: bytes) -> None:
    sent = 0

    def talk(connection: socket.socket, _number: int) -> None:
        nonlocal sent
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        piece = b"10000\r\n" + bytes(65536) + b"\r\n" if b"chunked" in framing else bytes(65536)
        while True:
            connection.sendall(piece)
            sent += len(piece)

    with serving(talk) as server:
        with pytest.raises(TransportError, match="longer than 8 MiB and was dropped; check that the URL"):
            connect(server.url).act(state=STATE, deadline_s=HANGS_S)
        assert len(server.connections) == 1
    assert sent < 8 * MAX_ANSWER_BYTES, "the kernel's buffers aside, no more was taken"


@pytest.mark.slow
def test_a_compressed_answer_is_dropped_unread(connect: Any) -> None:
    bomb = gzip.compress(bytes(32 * MAX_ANSWER_BYTES), 1)

    def talk(connection: socket.socket, _number: int) -> None:
        read_request(connection)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        connection.sendall(head.encode() + bomb)

    with serving(talk) as server:
        tracemalloc.start()
        with pytest.raises(TransportError, match="compressed"):
            connect(server.url).act(state=STATE, deadline_s=HANGS_S)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2 * MAX_ANSWER_BYTES
        assert len(server.connections) == 1


@pytest.mark.slow
def test_a_server_that_reads_slowly_cannot_stretch_the_deadline(connect: Any, promise: Promise) -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        while connection.recv(65536):
            let_pass(0.01)

    picture = b"\xff\xd8\xff" + bytes(8_000_000)
    with serving(talk) as server:
        client = connect(server.url)
        began = time.monotonic()
        with pytest.raises(ClientTimeoutError):
            client.act(state=STATE, image=picture, deadline_s=0.6)
        took_s = time.monotonic() - began
        promise("a server that reads slowly cannot stretch the client's deadline of 0.6 s", took_s, at_most=2)


def test_a_connection_that_the_server_closed_while_idle_is_replaced(connect: Any) -> None:
    def talk(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(response(number))
        connection.close()

    with serving(talk) as server:
        client = connect(server.url)
        assert [client.act(state=STATE)["actions"][0][0] for _ in range(3)] == [1.0, 2.0, 3.0]


def test_a_connection_that_breaks_inside_a_request_is_retried_with_the_same_id(connect: Any) -> None:
    seen = []

    def talk(connection: socket.socket, number: int) -> None:
        seen.append(read_request(connection)["request_id"])
        connection.sendall(response(number)[: 20 if number == 1 else None])
        connection.close()

    with serving(talk) as server:
        assert connect(server.url).act(state=STATE)["actions"][0][0] == 2.0
    assert seen[0] == seen[1]


def test_a_cancelled_call_closes_its_connection_and_leaves_the_others_alone() -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        while request := read_request(connection):
            if request["seed"] == 0:
                return  # never answers
            let_pass(0.05)
            connection.sendall(response(request["seed"]))

    async def cancel_one_of_three(url: str) -> list[Any]:
        async with AsyncReflexClient(url, deadline_s=HANGS_S) as client:
            calls = [asyncio.create_task(client.act(state=STATE, seed=seed)) for seed in range(3)]
            await asyncio.wait(calls[1:])
            calls[0].cancel()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            return [outcomes, await client.act(state=STATE, seed=3)]

    with serving(talk) as server:
        (cancelled, *answered), later = asyncio.run(cancel_one_of_three(server.url))
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [result["actions"][0][0] for result in (*answered, later)] == [1.0, 2.0, 3.0]


def test_threads_that_share_a_client_get_their_own_answers() -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        while request := read_request(connection):
            connection.sendall(response(request["seed"]))

    with (
        serving(talk) as server,
        ReflexClient(server.url, deadline_s=HANGS_S) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        results = list(threads.map(lambda seed: client.act(state=STATE, seed=seed)["actions"][0][0], range(100)))
        assert results == [float(seed) for seed in range(100)]
        assert len(server.connections) <= 8


def test_a_server_that_is_not_there_is_named_with_what_to_start(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TransportError, match=rf"{url} cannot be reached .* is `reflex serve` running"):
        connect(url).act(state=STATE)


def test_a_name_that_does_not_resolve_is_a_transport_error(connect: Any) -> None:
    with pytest.raises(TransportError, match="cannot be reached"):
        connect("http://no-such-robot.invalid:8000").act(state=STATE)


def test_something_that_does_not_speak_http_is_a_transport_error(connect: Any) -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        read_request(connection)
        connection.sendall(b"220 mail.example ESMTP\r\n\r\n")

    with serving(talk) as server, pytest.raises(TransportError, match="broke before"):
        connect(server.url).act(state=STATE)
