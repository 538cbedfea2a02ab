"""Streams of asyncio on loopback, of which nothing is left open when the test's loop ends.

What is left open is closed by the garbage collector, later and in the middle of another test, which is red for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from support.waiting import HANGS_S

__all__ = ["Handle", "dialled", "listening"]

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def listening(handle: Handle) -> AsyncIterator[int]:
    """The port of a server. Whatever `handle` has begun by the end of the block is waited for."""
    begun: list[asyncio.Task[None]] = []

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            await _hang_up(writer)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(asyncio.get_running_loop().create_task(handled(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        async with asyncio.timeout(HANGS_S):
            await server.wait_closed()
            await asyncio.gather(*begun)


@contextlib.asynccontextmanager
async def dialled(port: int) -> AsyncIterator[Streams]:
    """A connection to a server of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        await _hang_up(writer)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
