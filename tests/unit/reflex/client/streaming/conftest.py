"""One suite for both kinds of stream: the asyncio one is driven through the same calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reflex.client import ActionStream, AsyncActionStream
from support.streams.scripted import Proxy, ScriptedServer, proxy, scripted_server


class AwaitedStream:
    """`AsyncActionStream` as seen by a test: every call runs on one event loop until it is done."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.Runner()
        self._stream = AsyncActionStream(**options)

    def open(self) -> None:
        self._loop.run(self._stream.open())

    def close(self) -> None:
        self._loop.run(self._stream.close())
        self._loop.close()

    def send_observation(self, **given: Any) -> int:
        return self._loop.run(self._stream.send_observation(**given))

    def recv_action(self, timeout: float | None = None) -> dict[str, Any]:
        return self._loop.run(self._stream.recv_action(timeout))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


Make = Callable[..., Any]


@pytest.fixture(params=[ActionStream, AwaitedStream], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a stream of either kind; all are closed at the end."""
    made = []

    def make_stream(**options: Any) -> Any:
        made.append(request.param(**{"prompt": "pick", "connect_retry_seconds": 0, **options}))
        return made[-1]

    yield make_stream
    for stream in made:
        stream.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def cutting(server: ScriptedServer) -> Iterator[Proxy]:
    """Stands before `server`."""
    with proxy(server.port) as made:
        yield made
