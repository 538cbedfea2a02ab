"""Clients that misbehave on the socket level, and a look at which of them a server still holds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import psutil

__all__ = ["drip", "held_sockets", "opened"]

DRIP_EVERY_S: Final = 0.25
SMALL_BUFFER_BYTES: Final = 4_096


@contextlib.contextmanager
def opened(
    port: int, count: int, first_bytes: bytes = b"", *, small_buffer: bool = False
) -> Iterator[list[socket.socket]]:
    """`count` connections that have sent `first_bytes`; non-blocking."""
    sockets = [_connected(port, first_bytes, small_buffer=small_buffer) for _ in range(count)]
    try:
        yield sockets
    finally:
        for one in sockets:
            one.close()


async def drip(sockets: list[socket.socket], data: bytes = b"x") -> None:
    """Send a little every now and then on every socket, for ever; a socket that the server closed is left alone."""
    while True:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.send(data)
        await asyncio.sleep(DRIP_EVERY_S)


def held_sockets(server_pid: int, sockets: list[socket.socket]) -> int:
    """How many of these connections the server process still has open."""
    ours = {one.getsockname()[1] for one in sockets}
    held = psutil.Process(server_pid).net_connections("tcp")
    return sum(1 for connection in held if connection.raddr and connection.raddr.port in ours)


def _connected(port: int, first_bytes: bytes, *, small_buffer: bool) -> socket.socket:
    one = socket.socket()
    if small_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    one.connect(("127.0.0.1", port))
    one.setblocking(False)
    if first_bytes:
        one.send(first_bytes)
    return one
