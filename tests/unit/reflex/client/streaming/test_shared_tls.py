"""TLS that one thread reads and another writes: nothing is lost or mixed up, and nothing waits for ever."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from reflex.client.streaming.shared_tls import SharedTls, shared
from support.streams.certificate import certificate
from support.waiting import HANGS_S, let_pass

MESSAGES, MESSAGE = 400, bytes(range(256)) * 12

Ends = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    """A client's and a server's end of one connection."""
    trust, served_with = certificate(tmp_path)
    near, far = socket.socketpair()
    with ThreadPoolExecutor(1) as other:
        accepted = other.submit(served_with.wrap_socket, far, server_side=True)
        client = trust.wrap_socket(near, server_hostname="localhost")
        server = accepted.result(HANGS_S)
    with client, server:
        yield client, server


def received(sock: SharedTls, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = sock.recv(65536)
        assert more, "the connection ended"
        data += more
    return bytes(data)


def test_both_ends_read_and_write_at_once_and_every_byte_arrives(ends: Ends) -> None:
    near, far = (SharedTls(end, HANGS_S) for end in ends)

    def write(sock: SharedTls) -> None:
        for _ in range(MESSAGES):
            sock.sendall(MESSAGE)

    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, end) for end in (near, far)]
        reading = [threads.submit(received, end, MESSAGES * len(MESSAGE)) for end in (near, far)]
        assert all(done.result(HANGS_S) == MESSAGE * MESSAGES for done in reading)
        assert all(done.result(HANGS_S) is None for done in writing)


class Watched:
    """A connection that notices when two threads are in it at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0

    def setblocking(self, _: bool) -> None:
        pass

    def fileno(self) -> int:
        return 0

    def send(self, data: bytes) -> int:
        self._enter()
        return len(data)

    def recv(self, size: int) -> bytes:
        self._enter()
        return bytes(size)

    def _enter(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        let_pass(0.002)
        self.inside -= 1


def test_no_two_threads_are_in_openssl_at_once() -> None:
    watched = Watched()
    sock = SharedTls(cast("ssl.SSLSocket", watched), HANGS_S)

    def often(ask: Callable[[], object]) -> None:
        for _ in range(40):
            ask()

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(often, ask) for ask in (partial(sock.recv, 1), partial(sock.sendall, b"x"))]
        for one in both:
            one.result(HANGS_S)
    assert watched.most == 1


def test_a_write_that_nobody_reads_ends_in_time(ends: Ends) -> None:
    near, _ = ends
    sock = SharedTls(near, 0.05)
    with pytest.raises(TimeoutError, match="did not read in time"):
        sock.sendall(bytes(32 * 1024 * 1024))


def test_a_time_limit_only_ever_shortens_a_write(ends: Ends) -> None:
    near, _ = ends
    sock = SharedTls(near, 0.05)
    for given in (None, HANGS_S):
        sock.settimeout(given)
        with pytest.raises(TimeoutError):
            sock.sendall(bytes(32 * 1024 * 1024))


def test_closing_it_wakes_the_thread_that_reads(ends: Ends) -> None:
    near, _ = ends
    sock = SharedTls(near, HANGS_S)
    reads = threading.Event()

    def read() -> bytes:
        reads.set()
        return sock.recv(1)

    with ThreadPoolExecutor(1) as other:
        reading = other.submit(read)
        reads.wait(HANGS_S)
        sock.close()
        assert wait([reading], HANGS_S).done
        assert isinstance(reading.exception(), OSError) or reading.result() == b""
    assert sock.fileno() == -1


def test_after_the_last_write_what_was_sent_is_still_read(ends: Ends) -> None:
    near, far = (SharedTls(end, HANGS_S) for end in ends)
    far.sendall(b"answer")
    near.sendall(b"last")
    near.shutdown(socket.SHUT_WR)
    assert received(near, 6) == b"answer"
    assert received(far, 4) == b"last"
    assert far.recv(1) == b""


def test_without_tls_a_socket_is_what_it_was() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert shared(near, 1.0) is near


def test_its_names_are_those_of_the_connection(ends: Ends) -> None:
    near, _ = ends
    sock = SharedTls(near, 1.0)
    assert (sock.getsockname(), sock.getpeername()) == (near.getsockname(), near.getpeername())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
