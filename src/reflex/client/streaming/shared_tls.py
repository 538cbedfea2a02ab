"""TLS over a socket that one thread reads and another one writes, as `websockets.sync` does.

OpenSSL may not be asked by two threads at once for one connection, and Python's `ssl` lets them: now and then an
opening stood still until its deadline, or broke (python/cpython#151508). Here they take turns. Nobody keeps the turn
while it waits.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar, cast

__all__ = ["SharedTls", "shared"]

LOOK_EVERY_S: Final = 0.1
"""Whether the socket was closed by another thread, where that does not end the wait."""
T = TypeVar("T")


def shared(sock: socket.socket, write_s: float) -> socket.socket:
    """The socket, for two threads: as it is without TLS, which is safe; `write_s` bounds each write."""
    return cast("socket.socket", SharedTls(sock, write_s)) if isinstance(sock, ssl.SSLSocket) else sock


class SharedTls:
    """What `websockets.sync` asks of a socket. The socket belongs to it from now on, and does not block."""

    def __init__(self, tls: ssl.SSLSocket, write_s: float) -> None:
        tls.setblocking(False)  # noqa: FBT003 - socket has no other name for it
        self._tls = tls
        self._turn = threading.Lock()
        self._longest_write_s = self._write_s = write_s

    def recv(self, size: int) -> bytes:
        """As `socket.recv`: waits for the first bytes, `b""` at the end."""
        return self._in_turn(partial(self._tls.recv, size), None)

    def sendall(self, data: bytes) -> None:
        """As `socket.sendall`; raises `TimeoutError` when the other side does not read in time."""
        ends_s = time.monotonic() + self._write_s
        unsent = memoryview(data)
        while unsent:
            unsent = unsent[self._in_turn(partial(self._tls.send, unsent), ends_s) :]

    def settimeout(self, value: float | None) -> None:
        """Of writes, which are bounded whatever is said here."""
        self._write_s = self._longest_write_s if value is None else min(value, self._longest_write_s)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self._tls.setsockopt(level, option, value)

    def shutdown(self, how: int) -> None:
        """Of the connection below TLS: what is still to be read stays readable."""
        with self._turn:
            socket.socket.shutdown(self._tls, how)

    def close(self) -> None:
        """Also wakes whoever waits for it."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        with self._turn:
            self._tls.close()

    def fileno(self) -> int:
        return self._tls.fileno()

    def getsockname(self) -> object:
        return self._tls.getsockname()

    def getpeername(self) -> object:
        return self._tls.getpeername()

    def _in_turn(self, ask: Callable[[], T], ends_s: float | None) -> T:
        while True:
            with self._turn:
                try:
                    return ask()
                except ssl.SSLWantReadError:
                    wanted = selectors.EVENT_READ
                except ssl.SSLWantWriteError:
                    wanted = selectors.EVENT_WRITE
                number = self._tls.fileno()
            self._wait(number, wanted, ends_s)

    def _wait(self, number: int, wanted: int, ends_s: float | None) -> None:
        if number < 0:
            raise OSError("the connection was closed")
        left_s = LOOK_EVERY_S if ends_s is None else min(LOOK_EVERY_S, ends_s - time.monotonic())
        if left_s <= 0:
            raise TimeoutError("the other side did not read in time")
        with selectors.DefaultSelector() as ready:
            ready.register(number, wanted)
            ready.select(left_s)
