"""One suite for both clients of the control plane: a test says its promise once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reflex.client import MockTransport
from reflex.control import AsyncControlClient, ControlClient

KEY = "rfx_" + "0" * 36
URL = "http://control:8100"


class AwaitedClient:
    """`AsyncControlClient` as seen by a test: every call runs on one event loop until it is done."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._loop = asyncio.Runner()
        self._client = AsyncControlClient(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self._loop.run(getattr(self._client, name)(*args, **options))

    def close(self) -> None:
        self._loop.run(self._client.close())
        self._loop.close()


Connect = Callable[..., Any]


@pytest.fixture(params=[ControlClient, AwaitedClient], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Opens a client of either kind; the `script` of a MockTransport stands for the server."""
    opened = []

    def open_client(script: Any, *, api_key: str | None = KEY, url: str = URL, **options: Any) -> Any:
        transport = script if isinstance(script, MockTransport) else MockTransport(script)
        opened.append(request.param(url, api_key=api_key, transport=transport, **options))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()
