"""One suite for both clients: the asyncio one is driven through the same calls, so a test says its promise once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from reflex.client import AsyncReflexClient, MockTransport, ReflexClient
from support.waiting import HANGS_S


class AwaitedClient:
    """`AsyncReflexClient` as seen by a test: every call runs on one event loop until it is done."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._loop = asyncio.Runner()
        self._client = AsyncReflexClient(*args, **options)

    def act(self, **arguments: Any) -> Any:
        return self._await(lambda: self._client.act(**arguments))

    def act_in_episode(self, episode_id: str | None, usual: str | None, **arguments: Any) -> Any:
        return self._await(lambda: self._client.episode(episode_id, instruction=usual).act(**arguments))

    def health(self) -> Any:
        return self._await(self._client.health)

    def config(self) -> Any:
        return self._await(self._client.config)

    def embodiment(self) -> Any:
        return self._await(self._client.embodiment)

    def metrics(self) -> Any:
        return self._await(self._client.metrics)

    def close(self) -> None:
        self._await(self._client.close)
        self._loop.close()

    def _await(self, start: Callable[[], Any]) -> Any:
        return self._loop.run(start())


class BlockingClient(ReflexClient):
    """`ReflexClient` with the one shortcut that the tests share."""

    def act_in_episode(self, episode_id: str | None, usual: str | None, **arguments: Any) -> Any:
        return self.episode(episode_id, instruction=usual).act(**arguments)


Connect = Callable[..., Any]


@pytest.fixture(params=[BlockingClient, AwaitedClient], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Opens a client of either kind; `script` stands for the server, without it the network is real."""
    opened = []

    def open_client(url: str = "http://robot-server:8000", script: Any = None, **options: Any) -> Any:
        transport = script if script is None or isinstance(script, httpx.MockTransport) else MockTransport(script)
        if script is None:
            options.setdefault("deadline_s", HANGS_S)  # A busy machine must not decide what a test of the network says.
        opened.append(request.param(url, transport=transport, **options))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()
