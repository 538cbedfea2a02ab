"""A server on loopback that says any bytes at all, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["Talking", "talking"]

HEAD_END: Final = b"\r\n\r\n"


class Talking:
    """Each connection is served by `talk` in a thread of its own; what is received through it stands in `heads`."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections: list[socket.socket] = []
        self.heads: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(connection):
            self._talk(_Heard(connection, self.heads))  # type: ignore[arg-type]


class _Heard:
    """A connection that keeps the heads of requests."""

    def __init__(self, connection: socket.socket, heads: list[bytes]) -> None:
        self._connection, self._heads = connection, heads

    def recv(self, size: int) -> bytes:
        received = self._connection.recv(size)
        while received and HEAD_END not in received:
            more = self._connection.recv(size)
            received += more
            if not more:
                return b""
        if received:
            self._heads.append(received.partition(HEAD_END)[0])
        return received

    def sendall(self, data: bytes) -> None:
        self._connection.sendall(data)


@contextlib.contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[Talking]:
    server = Talking(talk)
    try:
        yield server
    finally:
        server.close()
